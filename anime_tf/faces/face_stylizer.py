"""`FaceStylizer`: pictures whose faces are stylised apart, in a size the network is good at."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from anime_tf.faces.align import Square, paste, portrait, square_of
from anime_tf.faces.blend import face_mask, match_colours, weight_of_colours
from anime_tf.faces.config import FaceConfig
from anime_tf.faces.face import Face, resizing
from anime_tf.io import pictures

Stylise = Callable[[np.ndarray], np.ndarray]
"""A `Stylizer`, or what takes and gives pictures as it does."""

MAGNIFIED = 2.5
"""By how much a portrait is magnified at most when it is pasted; larger faces get larger ones."""

SIZE_STEP = 64
"""Larger portraits have a multiple of this, so that the size seldom changes within a film."""


class FaceStylizer:
    """Stylises pictures, and their faces apart: detect, align, stylise, paste.

        stylizer = Stylizer("cel")
        with_faces = FaceStylizer(stylizer, FaceFinder())
        anime = with_faces(photo)

    It takes and gives what a `Stylizer` does, and keeps nothing from one call to the next.

    Args:
        stylizer: Stylises the picture.
        finder: Finds the faces of an RGB picture, as `FaceFinder` does.
        face_stylizer: Stylises the portraits; `stylizer` where it is None. It must keep sizes.
        config: Settings; the defaults without one. Faces more than `MAGNIFIED` times as large as
            `size` are pasted from larger portraits.
        **settings: Settings of the config by name.

    Raises:
        ValueError: An invalid setting.
    """

    def __init__(
        self,
        stylizer: Stylise,
        finder: Callable[[np.ndarray], list[Face]],
        *,
        face_stylizer: Stylise | None = None,
        config: FaceConfig | None = None,
        **settings: Any,
    ) -> None:
        self.config = (config or FaceConfig()).replace(**settings)
        self._stylizer = stylizer
        self._finder = finder
        self._face_stylizer = stylizer if face_stylizer is None else face_stylizer

    def __call__(self, photo_u8: np.ndarray) -> np.ndarray:
        """Stylises a picture, or a batch of them, with every face drawn apart.

        Args:
            photo_u8: uint8, RGB (height, width, 3), RGBA (height, width, 4), or a batch
                (n, height, width, 3). Alpha is handed through.

        Returns:
            A new array of the same type and shape, or smaller where the stylizer makes pictures
            smaller; without a face what the stylizer makes of it.

        Raises:
            ValueError: Another type or shape.
        """
        if photo_u8.ndim == 4:
            return np.array([self(photo) for photo in photo_u8], np.uint8)
        photo = pictures.as_picture(photo_u8)
        # The search takes no longer than the network and needs other means: it costs next to
        # nothing beside it, nor does cutting out what it found.
        with ThreadPoolExecutor(1, "faces") as other:
            finding = other.submit(self._cut_out_found, photo.rgb_u8)
            anime = pictures.as_picture(self._stylizer(photo_u8))
            faces, cuts = finding.result()
        if anime.rgb_u8.shape == photo.rgb_u8.shape:
            blended_u8 = self._pasted(anime.rgb_u8, cuts)
        else:
            blended_u8 = self.blend(photo.rgb_u8, anime.rgb_u8, faces)
        return pictures.Picture(blended_u8, anime.alpha_u8).array_u8

    def blend(self, photo_u8: np.ndarray, anime_u8: np.ndarray, faces: list[Face]) -> np.ndarray:
        """Stylises faces of a photo, and pastes them into the stylised picture.

        The smallest face, which is the farthest as a rule, is pasted first.

        Args:
            photo_u8: (height, width, 3) RGB uint8.
            anime_u8: What the stylizer made of it, in the same size or another.
            faces: Faces of the photo.

        Returns:
            A new array of the shape of `anime_u8`.
        """
        before_hw, after_hw = photo_u8.shape[:2], anime_u8.shape[:2]
        if faces and before_hw != after_hw:
            faces = [face.moved(resizing(before_hw, after_hw)) for face in faces]
            photo_u8 = pictures.resize(photo_u8, after_hw)
        return self._pasted(anime_u8, self._cut_out(photo_u8, faces))

    def portraits(self, photo_u8: np.ndarray, faces: list[Face]) -> list[np.ndarray]:
        """Cuts faces out, upright, and stylises them.

        Args:
            photo_u8: (height, width, 3) RGB uint8.
            faces: Faces of it.

        Returns:
            Portraits (size, size, 3) uint8 in the order of the faces.
        """
        squares = [square_of(face, self.config.padding) for face in faces]
        return [self._drawn(portrait(photo_u8, square, self.config.size)) for square in squares]

    def _cut_out_found(self, photo_u8: np.ndarray) -> tuple[list[Face], list[_CutOut]]:
        """The faces of a photo, and what is pasted for them."""
        faces = self._finder(photo_u8)
        return faces, self._cut_out(photo_u8, faces)

    def _cut_out(self, photo_u8: np.ndarray, faces: list[Face]) -> list[_CutOut]:
        """What is pasted for faces, in this order."""
        cuts = []
        for face in sorted(faces, key=lambda face: square_of(face).side):
            square = square_of(face, self.config.padding)
            size = self._size_within(square)
            mask = face_mask(face, square, size)
            # Half the size is enough to tell the colours, and takes a quarter of the time.
            half_mask = pictures.resize(mask, (size // 2, size // 2))
            weight = weight_of_colours(half_mask, photo_u8.shape[:2], square)
            cuts.append(_CutOut(square, portrait(photo_u8, square, size), mask, weight))
        return cuts

    def _pasted(self, anime_u8: np.ndarray, cuts: list[_CutOut]) -> np.ndarray:
        """A stylised picture with portraits, stylised, in it; a new array."""
        out = anime_u8.copy()
        for cut in cuts:
            like_u8 = portrait(anime_u8, cut.square, len(cut.weight))
            drawn_u8 = match_colours(self._drawn(cut.portrait_u8), like_u8, cut.weight)
            out = paste(out, drawn_u8, cut.square, cut.mask)
        return out

    def _size_within(self, square: Square) -> int:
        """In what size the face in a square is stylised where it is pasted back."""
        least = math.ceil(square.side / MAGNIFIED / SIZE_STEP) * SIZE_STEP
        return self.config.size if square.side <= MAGNIFIED * self.config.size else least

    def _drawn(self, portrait_u8: np.ndarray) -> np.ndarray:
        """A portrait, stylised, in its own size."""
        return pictures.resize(self._face_stylizer(portrait_u8), portrait_u8.shape[:2])


@dataclass(frozen=True)
class _CutOut:
    """A face that is to be stylised and pasted.

    Attributes:
        square: Where it was cut out.
        portrait_u8: (size, size, 3) uint8, of the photo.
        mask: (size, size) float32: how much of it shows.
        weight: (size / 2, size / 2) float32: how much its pixels count for its colours.
    """

    square: Square
    portrait_u8: np.ndarray
    mask: np.ndarray
    weight: np.ndarray
