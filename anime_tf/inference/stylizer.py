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

from anime_tf.inference import tiling
from anime_tf.inference.engines.engine import KerasEngine, open_engine
from anime_tf.inference.frozen import Freezer, FrozenEngine, can_freeze
from anime_tf.inference.memory import fits_into_memory
from anime_tf.inference.postprocess import finish
from anime_tf.io import pictures
from anime_tf.styles.builtin import weights_path

_TYPES = tuple(dtype.name for dtype in pictures.WHITE)


class Stylizer:
    """Stylises photos with one generator.

    Each call stands by itself: nothing is kept from one to the next, and several threads may call
    one `Stylizer` at once. The network sees pixel / 127.5 - 1 in RGB, reflect-padded where its
    strides need it and cropped back afterwards; a pixel out is round((y + 1) * 127.5), clipped.
    With the defaults a picture is the network's output and nothing else.

        stylizer = Stylizer("cel")
        anime = stylizer(photo)

    Args:
        weights: Name of a built-in style, or the path of a ``.keras`` archive, of a SavedModel
            folder, or of a ``.tflite`` or ``.onnx`` file.
        engine: What runs the network, a key of `inference.engines.ENGINES`, or "auto".
        engine_precision: What it computes in: "float32", "bfloat16", or "auto" for the engine's own
            choice; see `inference.engines.open_engine`.
        hold: Whether `stylise_held` will be called: "auto" is then an engine that can hold
            statistics, where the weights have one.
        strength: From 0, the photo itself, to 1, what the network makes of it. Between them light
            and colour move evenly, while the photo's texture goes and the drawing's lines come
            early; see `inference.finish.blend`.
        match_brightness: Give each picture the mean luma of its photo.
        keep_color: Give each picture the chroma of its photo under the luma of the result. The
            steps come in this order: brightness, colour, strength.
        tile: What is done with pictures that may be too large for the memory that is free. "auto"
            stylises them in tiles, with statistics that are held (`freeze`), where the weights
            allow that; "never" stylises every picture whole; a number of pixels is height and width
            of the tiles, for every picture that is larger.
        max_side: Shrink pictures whose longer side has more pixels than this before they are
            stylised; they come out in the smaller size. 0 keeps every size.
        dtype: Type of the pictures that come out: "uint8", "uint16", or "float32" in 0..1; None
            for the type of the photo. What the network gives is rounded to it once, so that uint16
            holds more than 8 bits of it whatever the photo's type.

    Attributes:
        strength: As given.
        match_brightness: As given.
        keep_color: As given.
        max_side: As given.
        tile: As given.
        dtype: As given.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: An argument out of its range, or weights that cannot be read.
    """

    def __init__(
        self,
        weights: str | os.PathLike[str] = "cel",
        *,
        engine: str = "auto",
        engine_precision: str = "auto",
        hold: bool = False,
        strength: float = 1.0,
        match_brightness: bool = False,
        keep_color: bool = False,
        max_side: int = 0,
        tile: str | int = "auto",
        dtype: str | None = None,
    ) -> None:
        self._set(
            strength=strength,
            match_brightness=match_brightness,
            keep_color=keep_color,
            max_side=max_side,
            tile=tile,
            dtype=dtype,
        )
        self._path = weights_path(weights)
        self._engine = open_engine(self._path, engine, engine_precision, hold)
        precision = getattr(self._engine, "precision", "float32")
        self._fits = partial(fits_into_memory, path=self._path, precision=precision)
        # What it needs it loads when it is needed, once for all that share it.
        may_freeze = can_freeze(self._path, self._engine)
        self._freezer = Freezer(self._path, self._engine) if may_freeze else None
        self._check_tiles()

    def _set(
        self,
        *,
        strength: float,
        match_brightness: bool,
        keep_color: bool,
        max_side: int,
        tile: str | int,
        dtype: str | None,
    ) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must lie in 0..1, received {strength}")
        if max_side < 0:
            raise ValueError(f"max_side must be 0 (no limit) or more, received {max_side}")
        if dtype not in (None, *_TYPES):
            raise ValueError(f"dtype must be None or one of {', '.join(_TYPES)}, received {dtype}")
        tiling.check_tile(tile)
        self.strength = float(strength)
        self.match_brightness = bool(match_brightness)
        self.keep_color = bool(keep_color)
        self.max_side = int(max_side)
        self.tile = tile
        self.dtype = dtype

    def with_settings(self, **settings: Any) -> Stylizer:
        """Makes a `Stylizer` of the same network with other settings; nothing is loaded anew.

        Args:
            **settings: Any of `strength`, `match_brightness`, `keep_color`, `max_side`, `tile` and
                `dtype`, as of the constructor. The others stay as they are.

        Returns:
            A new `Stylizer`, which shares engine and weights with this one.

        Raises:
            ValueError: A setting out of its range.
            TypeError: None of these settings.
        """
        other = copy.copy(self)
        other._set(
            **{
                "strength": self.strength,
                "match_brightness": self.match_brightness,
                "keep_color": self.keep_color,
                "max_side": self.max_side,
                "tile": self.tile,
                "dtype": self.dtype,
                **settings,
            }
        )
        other._check_tiles()
        return other

    def __call__(self, photo_u8: np.ndarray) -> np.ndarray:
        """Stylises a photo, or a batch of them.

        Args:
            photo_u8: uint8 in 0..255, or uint16 in 0..65535: RGB (height, width, 3), RGBA
                (height, width, 4), or a batch (n, height, width, 3). Alpha is handed through.

        Returns:
            A new array of the same shape, of the type of the photo or of `dtype`; with `max_side`,
            of the smaller height and width.

        Raises:
            ValueError: Another type or shape.
            MemoryError: The picture is too large for the device; see `tile` and `max_side`.
        """
        photo_u8 = np.asarray(photo_u8)
        _check(photo_u8)
        if photo_u8.ndim == 3:
            photo = pictures.limit_array_side(photo_u8, self.max_side)
            anime = self._stylise(photo[None, ..., :3], self._engine)[0]
            if photo.shape[2] == 3:
                return anime
            return np.dstack([anime, pictures.as_type(photo[..., 3], anime.dtype)])
        if len(photo_u8) == 0:
            return photo_u8.astype(self.dtype or photo_u8.dtype)
        limited = [pictures.limit_array_side(photo, self.max_side) for photo in photo_u8]
        return self._stylise(np.stack(limited), self._engine)

    @property
    def can_freeze(self) -> bool:
        """Whether `freeze` can be called: with archives and built-in styles it can."""
        return self._freezer is not None

    def freeze(
        self, photo_u8: np.ndarray | Sequence[np.ndarray], passes: int | None = None
    ) -> Stylizer:
        """Makes a `Stylizer` with fixed statistics: those of a photo, or of several together.

        A norm of the network goes by mean and variance of the whole picture at its layer. Fixed,
        they become part of the convolutions: pictures of any size may be stylised in tiles, frames
        of a shot do not flicker, and the network is quicker, on a CPU up to 1.4 times by the engine
        and number type. Pictures unlike the photo come out otherwise than they would by themselves.

        Up to 0.82 megapixels statistics are the photo's own, and it comes out as of a plain call.
        Those of larger photos are measured on tiles, and how near the result is depends on the
        norms: see docs/performance.md for what was measured.

        Args:
            photo_u8: uint8 or uint16 RGB (height, width, 3), or a sequence of such photos, of any
                sizes, which count as one large photo. Larger than `max_side`, they are shrunk.
            passes: Passes over the photo, or over eight megapixels of it, by which its statistics
                become more exact; each takes as long as stylising as much. None for 3.

        Returns:
            A new `Stylizer` with the settings of this one.

        Raises:
            ValueError: Another type or shape, or weights or an engine that cannot be frozen.
            MemoryError: The photo is too large for the device; see `max_side`.
        """
        photos = [photo_u8] if isinstance(photo_u8, np.ndarray) else list(photo_u8)
        for photo in photos:
            _check(photo)
            if photo.ndim != 3 or photo.shape[2] != 3:
                raise ValueError(f"expected photos (height, width, 3), received {photo.shape}")
        limited = [pictures.limit_array_side(photo, self.max_side) for photo in photos]
        frozen = self.with_settings()
        frozen._engine = self._frozen(limited, passes)
        return frozen

    def _frozen(self, photos: Sequence[np.ndarray], passes: int | None = None) -> FrozenEngine:
        from anime_tf.inference.norm_statistics import PASSES

        freezer = self._freezer or Freezer(self._path, self._engine)  # which then raises
        return freezer(photos, PASSES if passes is None else passes)

    def _check_tiles(self) -> None:
        if isinstance(self.tile, int) and not self.can_freeze:
            Freezer(self._path, self._engine)  # raises

    @property
    def can_hold(self) -> bool:
        """Whether the engine can hold statistics, as `stylise_held` needs it; Keras can."""
        return isinstance(self._engine, KerasEngine)

    def stylise_held(
        self,
        photo_u8: np.ndarray,
        held: np.ndarray | None,
        rate: float,
        leeway: float = math.inf,
        newest: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Stylises a photo with the statistics of the networks' norms held, in part or wholly.

        Each frame of a film alone has statistics of its own, which is why it flickers; held from
        one to the next they move slowly. What is held is the caller's to keep: a `Stylizer` keeps
        nothing.

        Without measuring a photo's own the network is quicker, on a CPU 1.2 to 1.4 times: norms are
        then part of the convolutions. So `measured` statistics may stand for many frames.

        Args:
            photo_u8: uint8 in 0..255, or uint16: RGB (height, width, 3).
            held: The statistics that the frame before used; None for the first.
            rate: How far they move to this photo's own, from 0, not at all, to 1, all the way: then
                the picture is the same as of a plain call.
            leeway: How far they may then still be from the photo's own: means by so many standard
                deviations, deviations by a factor of 1 + leeway. Without such a limit a photo much
                unlike the one before comes out as another picture altogether.
            newest: Statistics of another photo, as of `measured`, which take the place of this
                one's own. None measures them.

        Returns:
            The picture as of a plain call, and the statistics that it used.

        Raises:
            ValueError: Another type or shape, a rate out of its range, or an engine that cannot
                hold statistics.
            MemoryError: The picture is too large for the device; see `max_side`.
        """
        engine, photo_u8 = self._held_of(photo_u8)
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must lie in 0..1, received {rate}")
        if not leeway >= 0:
            raise ValueError(f"leeway must be 0 or more, received {leeway}")
        used = held

        def run(pictures_pm1: np.ndarray) -> np.ndarray:
            nonlocal used
            anime_pm1, used = engine.run_held(pictures_pm1, held, rate, leeway, newest)
            return anime_pm1

        return self._stylise(photo_u8[None], run)[0], used

    def measured(self, photo_u8: np.ndarray) -> np.ndarray:
        """Measures the statistics of a photo, exactly, in the time that stylising it takes.

        Args:
            photo_u8: uint8 in 0..255, or uint16: RGB (height, width, 3).

        Returns:
            (k,) float32, those that a plain call uses; for `stylise_held`.

        Raises:
            ValueError: Another type or shape, or an engine that cannot hold statistics.
            MemoryError: The picture is too large for the device; see `max_side`.
        """
        engine, photo_u8 = self._held_of(photo_u8)
        try:
            return engine.run_held(pictures.to_pm1(photo_u8[None]), None, 1.0, math.inf)[1]
        except MemoryError as error:
            raise MemoryError(
                tiling.out_of_memory_message((1, *photo_u8.shape), 0, False)
            ) from error

    def _held_of(self, photo_u8: np.ndarray) -> tuple[KerasEngine, np.ndarray]:
        """An engine that holds statistics, and a frame in the size that it is stylised in."""
        if not isinstance(self._engine, KerasEngine):
            raise ValueError(
                "only the engine keras can hold statistics, found "
                f"{type(self._engine).__name__}; take a .keras archive or a built-in style, with "
                "--engine=keras"
            )
        photo_u8 = np.asarray(photo_u8)
        _check(photo_u8)
        if photo_u8.ndim != 3 or photo_u8.shape[2] != 3:
            raise ValueError(f"expected a frame (height, width, 3), received {photo_u8.shape}")
        return self._engine, pictures.limit_array_side(photo_u8, self.max_side)

    def _stylise(
        self, photos: np.ndarray, network: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Stylises (n, height, width, 3) of any size; a new array."""
        dtype = np.dtype(self.dtype or photos.dtype)
        if self.strength == 0:
            return pictures.as_type(photos, dtype)
        side = 0
        may_tile = network is self._engine and self.can_freeze
        if may_tile:
            size_hw = photos.shape[1], photos.shape[2]
            side = tiling.choose_tile_side(size_hw, self.tile, self._fits)
        try:
            if side:
                animes = np.stack([self._in_tiles(photo, side, dtype) for photo in photos])
            else:
                animes = pictures.from_pm1(network(pictures.to_pm1(photos)), dtype)
        except MemoryError as error:
            raise MemoryError(tiling.out_of_memory_message(photos.shape, side, may_tile)) from error
        if self.strength == 1 and not (self.keep_color or self.match_brightness):
            return animes
        return np.stack(
            [
                finish(
                    photo,
                    anime,
                    strength=self.strength,
                    keep_color=self.keep_color,
                    match_brightness=self.match_brightness,
                )
                for photo, anime in zip(photos, animes, strict=True)
            ]
        )

    def _in_tiles(self, photo: np.ndarray, side: int, dtype: np.dtype) -> np.ndarray:
        height, width = photo.shape[:2]
        engine = self._engine
        if not isinstance(engine, FrozenEngine):
            logging.info(
                "%dx%d pixels are stylised in tiles of %d, with statistics that are held "
                "(--tile=never for the whole at once, --max_side for a smaller picture)",
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
            "expected a picture (height, width, 3 or 4) or a batch (n, height, width, 3), "
            f"received an array of shape {shape}"
        )
    if photo_u8.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"expected uint8 pixels in 0..255, or uint16, received {photo_u8.dtype}; "
            "convert them first, (x * 255).round().astype('uint8') if they lie in 0..1"
        )
    if 0 in shape[-3:-1]:
        raise ValueError(f"expected a picture of at least 1x1 pixels, received shape {shape}")
