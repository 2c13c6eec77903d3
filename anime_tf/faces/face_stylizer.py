"""`FaceStylizer`: faces stylized on their own, at a size that suits the network."""

from __future__ import annotations

import math
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from anime_tf.faces.align import OrientedSquare, crop_portrait, paste_portrait
from anime_tf.faces.blend import color_weight, face_mask, match_colors
from anime_tf.faces.config import FaceConfig
from anime_tf.faces.face import Face, resize_transform
from anime_tf.io import pictures
from anime_tf.io.geometry import resize

Stylize = Callable[[np.ndarray], np.ndarray]
"""A `Stylizer` or another map from uint8 pictures to uint8 pictures."""

LARGE_FACE = 2.0
"""Side of a face, in units of `FaceConfig.size`, from which the picture's own drawing is kept."""

SIZE_STEP = 64
"""Larger portraits have a multiple of this size, so that it rarely changes during a video."""


class FaceStylizer:
    """Stylizes pictures, and their faces on their own: detect, align, stylize, paste.

        stylizer = Stylizer("cel")
        with_faces = FaceStylizer(stylizer, FaceFinder())
        anime = with_faces(photo)

    It has the interface of a `Stylizer`, and no state.

    Args:
        stylizer: Stylizes the picture.
        finder: Finds the faces in an RGB picture, like `FaceFinder`.
        face_stylizer: Stylizes the portraits, and keeps their size; `stylizer` by default.
        config: Settings; the defaults without one. Faces larger than `size` are stylized at their
            own size, for a portrait that is enlarged would be blurred. Without a `face_stylizer`
            that gains nothing, so they fade into the picture's own drawing, which is all that is
            left of faces from `LARGE_FACE` times `size` on.
        **settings: Settings of the config by name.

    Raises:
        ValueError: An invalid setting.
    """

    def __init__(
        self,
        stylizer: Stylize,
        finder: Callable[[np.ndarray], list[Face]],
        *,
        face_stylizer: Stylize | None = None,
        config: FaceConfig | None = None,
        **settings: Any,
    ) -> None:
        self.config = (config or FaceConfig()).replace(**settings)
        self._stylizer = stylizer
        self._finder = finder
        self._face_stylizer = stylizer if face_stylizer is None else face_stylizer

    def __call__(self, photo_u8: np.ndarray) -> np.ndarray:
        """Stylize a picture or a batch, with every face on its own.

        Args:
            photo_u8: uint8, RGB (height, width, 3), RGBA (height, width, 4), or a batch
                (n, height, width, 3). Alpha is kept.

        Returns:
            A new array of the same dtype and shape, or smaller if the stylizer limits the size.

        Raises:
            ValueError: Another dtype or shape.
        """
        if photo_u8.ndim == 4:
            return np.array([self(photo) for photo in photo_u8], np.uint8)
        photo = pictures.as_picture(photo_u8)

        def find_and_crop() -> tuple[list[Face], list[_Crop]]:
            faces = self._finder(photo.rgb_u8)
            return faces, self._crop(photo.rgb_u8, faces)

        # The search is faster than the network and leaves most cores idle, so it costs next to
        # nothing beside it.
        with ThreadPoolExecutor(1, "faces") as executor:
            found = executor.submit(find_and_crop)
            anime = pictures.as_picture(self._stylizer(photo_u8))
            faces, crops = found.result()
        if anime.rgb_u8.shape == photo.rgb_u8.shape:
            blended_u8 = self._paste(anime.rgb_u8, crops)
        else:
            blended_u8 = self.blend(photo.rgb_u8, anime.rgb_u8, faces)
        return pictures.Picture(blended_u8, anime.alpha_u8).array_u8

    def blend(self, photo_u8: np.ndarray, anime_u8: np.ndarray, faces: list[Face]) -> np.ndarray:
        """Stylize the faces in a photo, and paste them into the stylized picture, of any size.

        Takes (height, width, 3) RGB uint8; returns a new array of the shape of `anime_u8`.
        """
        photo_hw, anime_hw = photo_u8.shape[:2], anime_u8.shape[:2]
        if faces and photo_hw != anime_hw:
            faces = [face.transformed(resize_transform(photo_hw, anime_hw)) for face in faces]
            photo_u8 = resize(photo_u8, anime_hw)
        return self._paste(anime_u8, self._crop(photo_u8, faces))

    def portraits(self, photo_u8: np.ndarray, faces: list[Face]) -> list[np.ndarray]:
        """Cut faces out of a photo, upright, and stylize them: (size, size, 3) uint8 each."""
        squares = [OrientedSquare.from_face(face, self.config.padding) for face in faces]
        size = self.config.size
        return [self._stylize(crop_portrait(photo_u8, square, size)) for square in squares]

    def _crop(self, photo_u8: np.ndarray, faces: list[Face]) -> list[_Crop]:
        """Return the portraits to paste, smallest first: smaller faces are usually farther away."""
        crops = []
        for face in sorted(faces, key=lambda face: OrientedSquare.from_face(face).side):
            square = OrientedSquare.from_face(face, self.config.padding)
            opacity = self._opacity(square)
            if opacity == 0:
                continue
            size = self._portrait_size(square)
            mask = face_mask(face, square, size)
            # Half the size suffices for the colors, and takes a quarter of the time.
            half_mask = resize(mask, (size // 2, size // 2))
            weight = color_weight(half_mask, photo_u8.shape[:2], square)
            portrait_u8 = crop_portrait(photo_u8, square, size)
            crops.append(_Crop(square, portrait_u8, mask * np.float32(opacity), weight))
        return crops

    def _paste(self, anime_u8: np.ndarray, crops: list[_Crop]) -> np.ndarray:
        out = anime_u8.copy()
        for crop in crops:
            reference_u8 = crop_portrait(anime_u8, crop.square, len(crop.weight))
            face_u8 = match_colors(self._stylize(crop.portrait_u8), reference_u8, crop.weight)
            out = paste_portrait(out, face_u8, crop.square, crop.mask)
        return out

    def _portrait_size(self, square: OrientedSquare) -> int:
        if square.side <= self.config.size:
            return self.config.size
        return math.ceil(square.side / SIZE_STEP) * SIZE_STEP

    def _opacity(self, square: OrientedSquare) -> float:
        if self._face_stylizer is not self._stylizer:
            return 1.0
        return min(max((LARGE_FACE - square.side / self.config.size) / (LARGE_FACE - 1), 0.0), 1.0)

    def _stylize(self, portrait_u8: np.ndarray) -> np.ndarray:
        return resize(self._face_stylizer(portrait_u8), portrait_u8.shape[:2])


@dataclass(frozen=True)
class _Crop:
    """A face to stylize and paste: its place, and (size, size, 3) uint8 of the photo.

    `mask` is the opacity, (size, size) float32; `weight` that of its colors, (size / 2, size / 2).
    """

    square: OrientedSquare
    portrait_u8: np.ndarray
    mask: np.ndarray
    weight: np.ndarray
