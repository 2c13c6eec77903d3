"""`Stylizer`: RGB in, RGB out, for pictures, video and everything else."""

from __future__ import annotations

import copy
import math
import os
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
from absl import logging
from PIL import Image

from anime_tf.inference import tiling
from anime_tf.inference.autotune import open_engine
from anime_tf.inference.config import StylizerConfig
from anime_tf.inference.engines.keras import KerasEngine
from anime_tf.inference.frozen import Freezer, FrozenEngine, can_freeze
from anime_tf.inference.memory import fits_into_memory
from anime_tf.inference.postprocess import postprocess
from anime_tf.io.geometry import limit_array_side
from anime_tf.io.pictures import image_to_array, read_array
from anime_tf.io.pixels import (
    NotFiniteError,
    as_type,
    check_finite,
    from_pm1,
    to_eight_bits,
    to_pm1,
)
from anime_tf.styles.registry import style_of, weights_path

Photo = np.ndarray | str | os.PathLike[str] | Image.Image


class Stylizer:
    """Stylize photos with one generator; stateless and thread-safe.

    The network sees pixel / 127.5 - 1 in RGB, reflect-padded where its strides need it and cropped
    back afterwards; a pixel out is round((y + 1) * 127.5), clipped. With the default settings a
    picture is the network's output and nothing else.

        stylizer = Stylizer("cel", strength=0.7)
        anime = stylizer(photo)

    Args:
        config: A `StylizerConfig`, or its `weights`: the name of a style, whose recommended
            settings then are the defaults, or a path.
        **settings: Settings of the config by name.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: An invalid setting, or weights that cannot be read.
    """

    def __init__(
        self, config: StylizerConfig | str | os.PathLike[str] = "cel", **settings: Any
    ) -> None:
        if not isinstance(config, (StylizerConfig, str, os.PathLike)):
            remedy = 'make stylizer = Stylizer("cel"), then anime = stylizer(photo)'
            if hasattr(config, "save_weights"):  # a Keras model
                remedy = "save it by save_generator(model, PATH), then make Stylizer(PATH)"
            raise ValueError(
                f"expected a style or the path of weights, got {type(config).__name__}; {remedy}"
            )
        if not isinstance(config, StylizerConfig):
            style = style_of(config)
            known = {} if style is None else style.settings
            recommended = {n: v for n, v in known.items() if n in StylizerConfig.__annotations__}
            config = StylizerConfig(weights=config, **recommended)
        self.config = config = config.replace(**settings)
        self._path = weights_path(config.weights)
        self._engine = open_engine(
            self._path,
            config.engine,
            config.engine_precision,
            config.ema_statistics,
            config.trust_weights,
        )
        precision = getattr(self._engine, "precision", "float32")
        self._fits = partial(fits_into_memory, path=self._path, precision=precision)
        # Loads what it needs on first use, once for all stylizers that share it.
        may_freeze = can_freeze(self._path, self._engine)
        self._freezer = Freezer(self._path, self._engine) if may_freeze else None
        self._check_tiles()

    def with_settings(self, **settings: Any) -> Stylizer:
        """Return a `Stylizer` that shares engine and weights and has other settings.

        Raises:
            ValueError: An invalid setting, or one that chooses the engine.
        """
        config = self.config.replace(**settings)
        for name in ("weights", "engine", "engine_precision", "ema_statistics", "trust_weights"):
            if getattr(config, name) != getattr(self.config, name):
                raise ValueError(f"{name}: expected a setting of the pictures; make a new Stylizer")
        other = copy.copy(self)
        other.config = config
        other._check_tiles()
        return other

    def __call__(self, photo: Photo) -> np.ndarray:
        """Stylize a photo or a batch of photos.

        Args:
            photo: uint8 in 0..255, or uint16 in 0..65535: RGB (height, width, 3), RGBA
                (height, width, 4), or a batch (n, height, width, 3); or the path of a picture
                file, or an image of Pillow, which are turned upright, converted to sRGB, and read
                in 8 bits unless `dtype` is uint16. Alpha is kept.

        Returns:
            A new array of the same shape, of the type of the photo or of `dtype`; with `max_side`
            of the smaller height and width.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: Another type or shape, or a file that cannot be read.
            MemoryError: The picture is too large for the device; see `tile` and `max_side`.
        """
        photo_u8 = self._to_array(photo)
        _check(photo_u8)
        max_side = self.config.max_side
        if photo_u8.ndim == 3:
            photo = limit_array_side(photo_u8, max_side)
            anime = self._stylize(photo[None, ..., :3], self._engine)[0]
            if photo.shape[2] == 3:
                return anime
            return np.dstack([anime, as_type(photo[..., 3], anime.dtype)])
        if len(photo_u8) == 0:
            return photo_u8.astype(self.config.dtype or photo_u8.dtype)
        limited = [limit_array_side(photo, max_side) for photo in photo_u8]
        return self._stylize(np.stack(limited), self._engine)

    def _to_array(self, photo: Photo) -> np.ndarray:
        if isinstance(photo, str | os.PathLike):
            array = read_array(photo)
        elif isinstance(photo, Image.Image):
            array = image_to_array(photo)
        else:
            return np.asarray(photo)
        return array if self.config.dtype == "uint16" else to_eight_bits(array)

    @property
    def can_freeze(self) -> bool:
        """Whether `freeze` works: for archives and built-in styles it does."""
        return self._freezer is not None

    def freeze(self, photo: Photo | Sequence[Photo], passes: int | None = None) -> Stylizer:
        """Return a `Stylizer` with frozen norm statistics: those of one or several photos.

        A norm uses mean and variance of the whole picture at its layer. Frozen, they are folded
        into the convolutions: pictures of any size can be tiled, the frames of a shot do not
        flicker, and the network is faster, on a CPU up to 1.4 times. Pictures unlike the photo
        look different from a plain call.

        Up to 0.82 megapixels the statistics are exact. Those of larger photos are measured on
        tiles; see docs/performance.md for the accuracy.

        Args:
            photo: uint8 or uint16 RGB (height, width, 3), a path or an image of Pillow, or a
                sequence of such photos of any sizes, which count as one large photo. They are
                shrunk to `max_side`.
            passes: Passes over the photo, or over eight megapixels of it, that refine the
                statistics; each takes as long as stylizing as much. None is 3.

        Raises:
            ValueError: Another type or shape, or weights or an engine that cannot be frozen.
            MemoryError: The photo is too large for the device; see `max_side`.
        """
        photos: list[Any] = list(photo) if isinstance(photo, list | tuple) else [photo]
        arrays = [self._to_array(photo) for photo in photos]
        for array in arrays:
            _check(array)
            if array.ndim != 3 or array.shape[2] != 3:
                raise ValueError(f"expected photos (height, width, 3), got {array.shape}")
        limited = [limit_array_side(array, self.config.max_side) for array in arrays]
        frozen = self.with_settings()
        frozen._engine = self._frozen(limited, passes)
        return frozen

    def _frozen(self, photos: Sequence[np.ndarray], passes: int | None = None) -> FrozenEngine:
        freezer = self._freezer or Freezer(self._path, self._engine)  # which then raises
        return freezer(photos, passes)

    def _check_tiles(self) -> None:
        if isinstance(self.config.tile, int) and not self.can_freeze:
            Freezer(self._path, self._engine)  # raises

    @property
    def supports_ema(self) -> bool:
        """Whether the engine supports `stylize_ema`; Keras does."""
        return isinstance(self._engine, KerasEngine)

    def stylize_ema(
        self,
        photo_u8: np.ndarray,
        statistics: np.ndarray | None,
        momentum: float,
        tolerance: float = math.inf,
        measured: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Stylize a video frame with a moving average of the norm statistics.

        Frames flicker because each has statistics of its own; an average changes slowly. The caller
        keeps it between frames.

        Args:
            photo_u8: uint8 in 0..255, or uint16: RGB (height, width, 3).
            statistics: Average of the frame before; None for the first frame.
            momentum: Weight of this frame's statistics in the average, 0..1; with 1 the picture
                equals that of a plain call.
            tolerance: Largest difference of the average from the frame's own statistics: means by
                so many standard deviations, deviations by a factor of 1 + tolerance. Without a
                limit a frame unlike the one before becomes a different picture.
            measured: Statistics of another photo, from `measure_statistics`, instead of the
                frame's own: 1.2 to 1.4 times as fast on a CPU.

        Returns:
            The picture as of a plain call, and the new average.

        Raises:
            ValueError: Another type or shape, an argument out of range, or an engine without
                support.
            MemoryError: The picture is too large for the device; see `max_side`.
        """
        engine, photo_u8 = self._ema_input(photo_u8)
        if not 0 <= momentum <= 1:
            raise ValueError(f"momentum: expected a number from 0 to 1, got {momentum}")
        if not tolerance >= 0:
            raise ValueError(f"tolerance: expected a number of at least 0, got {tolerance}")
        used = statistics

        def run(pictures_pm1: np.ndarray) -> np.ndarray:
            nonlocal used
            anime_pm1, used = engine.run_ema(
                pictures_pm1, statistics, momentum, tolerance, measured
            )
            return anime_pm1

        return self._stylize(photo_u8[None], run)[0], used

    def measure_statistics(self, photo_u8: np.ndarray) -> np.ndarray:
        """Return the exact norm statistics of a photo, (k,) float32, in the time of stylizing it.

        See `stylize_ema` for the photo and the errors.
        """
        engine, photo_u8 = self._ema_input(photo_u8)
        try:
            return engine.run_ema(to_pm1(photo_u8[None]), None, 1.0, math.inf)[1]
        except MemoryError as error:
            raise MemoryError(
                tiling.out_of_memory_message((1, *photo_u8.shape), 0, False)
            ) from error

    def _ema_input(self, photo_u8: np.ndarray) -> tuple[KerasEngine, np.ndarray]:
        """Check a frame, and limits its size."""
        if not isinstance(self._engine, KerasEngine):
            raise ValueError(
                "expected the engine keras for averaged statistics, got "
                f"{type(self._engine).__name__}; use a .keras archive or a built-in style with "
                "--engine=keras"
            )
        photo_u8 = np.asarray(photo_u8)
        _check(photo_u8)
        if photo_u8.ndim != 3 or photo_u8.shape[2] != 3:
            raise ValueError(f"expected a frame (height, width, 3), got {photo_u8.shape}")
        return self._engine, limit_array_side(photo_u8, self.config.max_side)

    def _stylize(
        self, photos: np.ndarray, network: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Stylize (n, height, width, 3) of any size; return a new array."""
        config = self.config
        dtype = np.dtype(config.dtype or photos.dtype)
        if config.strength == 0:
            return as_type(photos, dtype)
        side = 0
        may_tile = network is self._engine and self.can_freeze
        if may_tile:
            size_hw = photos.shape[1], photos.shape[2]
            side = tiling.choose_tile_side(size_hw, config.tile, self._fits)
        try:
            if side:
                animes = np.stack([self._in_tiles(photo, side, dtype) for photo in photos])
            else:
                animes_pm1 = network(to_pm1(photos))
                check_finite(animes_pm1)
                animes = from_pm1(animes_pm1, dtype)
        except NotFiniteError as error:
            raise NotFiniteError(f"{self._path}: {error}") from error
        except MemoryError as error:
            raise MemoryError(tiling.out_of_memory_message(photos.shape, side, may_tile)) from error
        if config.strength == 1 and not (config.keep_color or config.match_brightness):
            return animes
        settings = {n: getattr(config, n) for n in ("strength", "keep_color", "match_brightness")}
        pairs = zip(photos, animes, strict=True)
        return np.stack([postprocess(*pair, **settings) for pair in pairs])

    def _in_tiles(self, photo: np.ndarray, side: int, dtype: np.dtype) -> np.ndarray:
        height, width = photo.shape[:2]
        engine = self._engine
        if not isinstance(engine, FrozenEngine):
            logging.info(
                "stylizing %dx%d pixels in tiles of %d with frozen statistics (--tile=never for "
                "the whole at once, --max_side for a smaller picture)",
                width,
                height,
                side,
            )
            engine = self._frozen([photo])
        return engine.stylize_tiles(photo, side, dtype)


def _check(photo_u8: np.ndarray) -> None:
    shape = photo_u8.shape
    single = len(shape) == 3 and shape[-1] in (3, 4)
    batch = len(shape) == 4 and shape[-1] == 3
    if not (single or batch):
        raise ValueError(
            "expected a picture (height, width, 3 or 4) or a batch (n, height, width, 3), a path "
            f"or an image of Pillow, got an array of shape {shape}"
        )
    if photo_u8.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"expected uint8 pixels in 0..255, or uint16, got {photo_u8.dtype}; convert them "
            "first, (x * 255).round().astype('uint8') if they lie in 0..1"
        )
    if 0 in shape[-3:-1]:
        raise ValueError(f"expected a picture of at least 1x1 pixels, got shape {shape}")
