"""`Stylizer`: uint8 RGB in, uint8 RGB out, for pictures, video and everything else."""

from __future__ import annotations

import math
import os
from collections.abc import Callable

import numpy as np

from anime_tf.data import pictures
from anime_tf.inference.engines import KerasEngine, open_engine
from anime_tf.weights.builtin import weights_path


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
        strength: From 0, the photo itself, to 1, what the network makes of it; between them a
            linear blend of the two.
        match_brightness: Give each picture the mean luma of its photo, before blending.
        max_side: Shrink pictures whose longer side has more pixels than this before they are
            stylised; they come out in the smaller size. 0 keeps every size.

    Attributes:
        strength: As given.
        match_brightness: As given.
        max_side: As given.

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
        strength: float = 1.0,
        match_brightness: bool = False,
        max_side: int = 0,
    ) -> None:
        if not 0 <= strength <= 1:
            raise ValueError(f"strength must lie in 0..1, received {strength}")
        if max_side < 0:
            raise ValueError(f"max_side must be 0 (no limit) or more, received {max_side}")
        self.strength = float(strength)
        self.match_brightness = bool(match_brightness)
        self.max_side = int(max_side)
        self._engine = open_engine(weights_path(weights), engine, engine_precision)

    def __call__(self, photo_u8: np.ndarray) -> np.ndarray:
        """Stylises a photo, or a batch of them.

        Args:
            photo_u8: uint8 in 0..255: RGB (height, width, 3), RGBA (height, width, 4), or a batch
                (n, height, width, 3). Alpha is handed through.

        Returns:
            A new array of the same type and shape; with `max_side`, of the smaller height and
            width.

        Raises:
            ValueError: Another type or shape.
            MemoryError: The picture is too large for the device; see `max_side`.
        """
        photo_u8 = np.asarray(photo_u8)
        _check(photo_u8)
        if photo_u8.ndim == 3:
            picture = pictures.limit_side(pictures.as_picture(photo_u8), self.max_side)
            anime = self._stylise(picture.rgb_u8[None], self._engine)[0]
            return pictures.Picture(anime, picture.alpha_u8).array_u8
        if len(photo_u8) == 0:
            return photo_u8.copy()
        limited = [pictures.limit_side(pictures.Picture(p), self.max_side) for p in photo_u8]
        return self._stylise(np.stack([picture.rgb_u8 for picture in limited]), self._engine)

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
    ) -> tuple[np.ndarray, np.ndarray | None]:
        """Stylises a photo with the statistics of the networks' norms held, in part or wholly.

        Each frame of a film alone has statistics of its own, which is why it flickers; held from
        one to the next they move slowly. What is held is the caller's to keep: a `Stylizer` keeps
        nothing.

        Args:
            photo_u8: uint8 in 0..255: RGB (height, width, 3).
            held: The statistics that the frame before used; None for the first.
            rate: How far they move to this photo's own, from 0, not at all, to 1, all the way: then
                the picture is the same as of a plain call.
            leeway: How far they may then still be from the photo's own: means by so many standard
                deviations, deviations by a factor of 1 + leeway. Without such a limit a photo much
                unlike the one before comes out as another picture altogether.

        Returns:
            The picture as of a plain call, and the statistics that it used.

        Raises:
            ValueError: Another type or shape, a rate out of its range, or an engine that cannot
                hold statistics.
            MemoryError: The picture is too large for the device; see `max_side`.
        """
        engine = self._engine
        if not isinstance(engine, KerasEngine):
            raise ValueError(
                f"only the engine keras can hold statistics, found {type(engine).__name__}; take "
                "a .keras archive or a built-in style, with --engine=keras"
            )
        photo_u8 = np.asarray(photo_u8)
        _check(photo_u8)
        if photo_u8.ndim != 3 or photo_u8.shape[2] != 3:
            raise ValueError(f"expected a frame (height, width, 3), received {photo_u8.shape}")
        if not 0 <= rate <= 1:
            raise ValueError(f"rate must lie in 0..1, received {rate}")
        if not leeway >= 0:
            raise ValueError(f"leeway must be 0 or more, received {leeway}")
        used = held

        def run(pictures_pm1: np.ndarray) -> np.ndarray:
            nonlocal used
            anime_pm1, used = engine.run_held(pictures_pm1, held, rate, leeway)
            return anime_pm1

        photo = pictures.limit_side(pictures.Picture(photo_u8), self.max_side)
        return self._stylise(photo.rgb_u8[None], run)[0], used

    def _stylise(
        self, photos_u8: np.ndarray, network: Callable[[np.ndarray], np.ndarray]
    ) -> np.ndarray:
        """Stylises (n, height, width, 3) of any size; a new array."""
        if self.strength == 0:
            return photos_u8.copy()
        anime_u8 = pictures.to_u8(network(pictures.to_pm1(photos_u8)))
        if self.match_brightness:
            pairs = zip(photos_u8, anime_u8, strict=True)
            anime_u8 = np.stack([pictures.match_brightness(*pair) for pair in pairs])
        if self.strength == 1:
            return anime_u8
        photos, anime = photos_u8.astype(np.float32), anime_u8.astype(np.float32)
        return np.rint(photos + self.strength * (anime - photos)).astype(np.uint8)


def _check(photo_u8: np.ndarray) -> None:
    shape = photo_u8.shape
    single = len(shape) == 3 and shape[-1] in (3, 4)
    batch = len(shape) == 4 and shape[-1] == 3
    if not (single or batch):
        raise ValueError(
            "expected a picture (height, width, 3 or 4) or a batch (n, height, width, 3), "
            f"received an array of shape {shape}"
        )
    if photo_u8.dtype != np.uint8:
        raise ValueError(
            f"expected uint8 pixels in 0..255, received {photo_u8.dtype}; "
            "convert them first, (x * 255).round().astype('uint8') if they lie in 0..1"
        )
    if 0 in shape[-3:-1]:
        raise ValueError(f"expected a picture of at least 1x1 pixels, received shape {shape}")
