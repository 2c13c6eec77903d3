"""Alignment: upright square portraits cut out of a picture, and pasted back."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from anime_tf.faces.face import Face

BLUR = 0.02
"""Standard deviation of the blur outside the picture, as a fraction of the square's side."""

BLUR_DISTANCE = 0.1
"""Distance from the border at which the blur is complete, as a fraction of the square's side."""


@dataclass(frozen=True)
class OrientedSquare:
    """Rotated square in a picture.

    Attributes:
        center: x and y in pixels, where (0, 0) is the center of the first pixel.
        side: Pixels.
        angle: Clockwise rotation in radians.
    """

    center: tuple[float, float]
    side: float
    angle: float

    @classmethod
    def from_face(cls, face: Face, padding: float = 0.0) -> OrientedSquare:
        """Return the square that aligns a face.

        The upright direction combines the line from eye to eye with the normal of the line from
        the eyes to the mouth. The side is ``max(4 * eye to eye, 3.6 * eyes to mouth)``; the center
        lies a tenth of the way from the eyes to the mouth.

        Args:
            face: The face.
            padding: Margin on each side as a fraction of the side; 0.25 makes a square of 1.5 times
                the side.

        Raises:
            ValueError: A padding of -0.5 or less, or landmarks in a single point.

        Reference:
            Karras, Laine and Aila, A Style-Based Generator Architecture for Generative Adversarial
            Networks, 2019: alignment of the FFHQ data set.
        """
        if not padding > -0.5:
            raise ValueError(f"expected padding greater than -0.5, got {padding}")
        left_eye, right_eye = face.eyes.astype(np.float64)
        eyes = (left_eye + right_eye) / 2
        across, down = right_eye - left_eye, face.mouth - eyes
        upright = across + np.array([down[1], -down[0]])
        side = max(4 * math.hypot(*across), 3.6 * math.hypot(*down)) * (1 + 2 * padding)
        if not side > 0:
            raise ValueError("expected eyes and a mouth at a distance, got them in one point")
        x, y = eyes + 0.1 * down
        return cls((float(x), float(y)), side, math.atan2(float(upright[1]), float(upright[0])))

    def matrix(self, size: int) -> np.ndarray:
        """Return the map from a portrait of `size` x `size` pixels to the picture.

        It is (2, 3) float64, from (x, y, 1) to (x, y).
        """
        scale = self.side / size
        cos, sin = math.cos(self.angle) * scale, math.sin(self.angle) * scale
        middle = (size - 1) / 2
        x, y = self.center
        return np.array(
            [[cos, -sin, x - (cos - sin) * middle], [sin, cos, y - (sin + cos) * middle]]
        )


def similarity_transform(source: OrientedSquare, target: OrientedSquare) -> np.ndarray:
    """Return the map (2, 3) that moves, rotates and scales one square onto another."""
    inverse = cv2.invertAffineTransform(source.matrix(1))
    return target.matrix(1) @ np.vstack([inverse, (0, 0, 1)])


def crop_portrait(picture: np.ndarray, square: OrientedSquare, size: int) -> np.ndarray:
    """Cut a square out of a picture (height, width, 3), uint8 or float32, upright.

    Pixels are averaged before shrinking, to prevent aliasing. Outside its border the picture is
    reflected and increasingly blurred, so that no second face appears there; the square may lie
    there partly or wholly. Returns (size, size, 3) of the same dtype.
    """
    matrix = square.matrix(size)
    margin = 2 + 2 * max(1.0, square.side / size)  # support of the interpolation
    region, offset, is_inside = _reflected_region(picture, matrix, size, margin)
    matrix = matrix.copy()
    matrix[:, 2] -= offset
    region, matrix = _downscaled(region, matrix)
    portrait = _warp(region, matrix, (size, size))
    return portrait if is_inside else _blur_outside(portrait, picture.shape[:2], square)


def paste_portrait(
    picture: np.ndarray, portrait_u8: np.ndarray, square: OrientedSquare, mask: np.ndarray
) -> np.ndarray:
    """Blend a portrait (size, size, 3) uint8 into the place that it was cut from.

    `mask` is its opacity, (size, size) float32 in 0..1, zero at the border. Returns a new picture,
    identical to `picture` where the mask is zero.

    Raises:
        ValueError: Shapes that do not match.
    """
    size = len(portrait_u8)
    if portrait_u8.shape != (size, size, 3) or mask.shape != (size, size):
        raise ValueError(
            f"expected a portrait (n, n, 3) and a mask (n, n), got {portrait_u8.shape} and "
            f"{mask.shape}"
        )
    out = picture.copy()
    height, width = picture.shape[:2]
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if len(columns) == 0:
        return out
    # Warp only the visible part: a face covers a small part of its square.
    (x0, x1), (y0, y1) = columns[[0, -1]], rows[[0, -1]]
    forward = square.matrix(size)
    corners = np.array([(x, y, 1) for x in (x0 - 1, x1 + 1) for y in (y0 - 1, y1 + 1)]) @ forward.T
    left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, (width, height))
    if left >= right or top >= bottom:
        return out
    backward = cv2.invertAffineTransform(forward)
    backward[:, 2] += backward[:, :2] @ (left, top)
    portrait_u8, matrix = _downscaled(portrait_u8, backward)
    mask = _downscaled(mask, backward)[0]
    shape = (int(bottom - top), int(right - left))
    warped = _warp(portrait_u8, matrix, shape).astype(np.float32)
    weight = cv2.warpAffine(
        mask, matrix, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=0
    )[..., None]
    below = out[top:bottom, left:right]
    out[top:bottom, left:right] = np.rint(below + weight * (warped - below)).astype(np.uint8)
    return out


def distance_outside(size_hw: tuple[int, int], square: OrientedSquare, size: int) -> np.ndarray:
    """Return the distance of each pixel of a portrait from a picture of `size_hw`.

    It is (size, size) float32 in units of the square's side, 0 inside the picture.
    """
    matrix = square.matrix(size).astype(np.float32)
    index = np.arange(size, dtype=np.float32)
    x = matrix[0, 0] * index[None] + matrix[0, 1] * index[:, None] + matrix[0, 2]
    y = matrix[1, 0] * index[None] + matrix[1, 1] * index[:, None] + matrix[1, 2]
    height, width = size_hw
    outside = np.maximum.reduce([-x, x - (width - 1), -y, y - (height - 1), np.zeros_like(x)])
    return outside / np.float32(square.side)


def _reflected_region(
    picture: np.ndarray, matrix: np.ndarray, size: int, margin: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Return the axis-aligned region around a square, reflected outside the picture.

    Also returns the position of its first pixel, and whether it lies inside the picture.
    """
    height, width = picture.shape[:2]
    ends = (-0.5, size - 0.5)
    corners = np.array([(x, y, 1) for x in ends for y in ends]) @ matrix.T
    left, top = np.floor(corners.min(0) - margin).astype(int)
    right, bottom = np.ceil(corners.max(0) + margin).astype(int) + 1
    is_inside = bool(left >= 0 and top >= 0 and right <= width and bottom <= height)
    if is_inside:
        region = picture[top:bottom, left:right]
    else:
        above, rows, below = _reflection(top, bottom, height)
        before, columns, after = _reflection(left, right, width)
        region = cv2.copyMakeBorder(
            picture[rows, columns], above, below, before, after, cv2.BORDER_REFLECT_101
        )
        first_row, first_column = rows.start - above, columns.start - before
        region = region[top - first_row : bottom - first_row]
        region = region[:, left - first_column : right - first_column]
    return region, np.array((left, top)), is_inside


def _reflection(low: int, high: int, length: int) -> tuple[int, slice, int]:
    """Return the part of an axis that the reflected range ``low..high-1`` needs.

    The numbers before and after the slice are the pixels to reflect at each end.
    """
    last = length - 1
    start = max(0, min(low, 2 * last - (high - 1)) if high > length else low)
    stop = min(length, max(high, 1 - low) if low < 0 else high)
    return max(0, -low), slice(start, stop), max(0, high - length)


def _downscaled(array: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Average an array over areas if warping by `matrix` would skip pixels.

    Returns the smaller array and the matrix that leads to it.
    """
    factor = math.hypot(matrix[0, 0], matrix[1, 0])
    height, width = array.shape[:2]
    small_hw = (max(1, round(height / factor)), max(1, round(width / factor)))
    if factor <= 1 or small_hw == (height, width):
        return array, matrix
    reduced = cv2.resize(array, small_hw[::-1], interpolation=cv2.INTER_AREA)
    scale = np.array((small_hw[1] / width, small_hw[0] / height))
    matrix = matrix * scale[:, None]
    matrix[:, 2] += (scale - 1) / 2  # the first pixel's center is at 0, its corner at -0.5
    return reduced, matrix


def _warp(array: np.ndarray, matrix: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Sample an array with cubic interpolation; `matrix` maps from the result to the array."""
    return cv2.warpAffine(
        array,
        matrix,
        size_hw[::-1],
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _blur_outside(
    portrait: np.ndarray, size_hw: tuple[int, int], square: OrientedSquare
) -> np.ndarray:
    distance = distance_outside(size_hw, square, len(portrait))
    weight = np.clip(distance / BLUR_DISTANCE, 0, 1)[..., None]
    blurred = cv2.GaussianBlur(portrait, (0, 0), BLUR * len(portrait)).astype(np.float32)
    mixed = portrait + weight * (blurred - portrait)
    return (np.rint(mixed) if portrait.dtype == np.uint8 else mixed).astype(portrait.dtype)
