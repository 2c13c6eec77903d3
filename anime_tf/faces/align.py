"""A face as an upright square: eyes and mouth always in the same place, any size, either way."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from anime_tf.faces.face import Face

BLUR = 0.02
"""Standard deviation of the blur beyond the picture's border, of the square's side."""

BLUR_WITHIN = 0.1
"""How far beyond the border the blur is at its full, of the square's side."""


@dataclass(frozen=True)
class Square:
    """A square of a picture, turned as a face is.

    Attributes:
        centre: x and y in pixels, where (0, 0) is the centre of the picture's first pixel.
        side: Pixels.
        angle: Radians by which it is turned clockwise, as one looks at the picture.
    """

    centre: tuple[float, float]
    side: float
    angle: float

    def matrix(self, size: int) -> np.ndarray:
        """The map from a portrait of the square to the picture.

        Args:
            size: Height and width of the portrait in pixels.

        Returns:
            (2, 3) float64: from (x, y, 1) of the portrait to (x, y) of the picture.
        """
        step = self.side / size
        cos, sin = math.cos(self.angle) * step, math.sin(self.angle) * step
        middle = (size - 1) / 2
        x, y = self.centre
        return np.array(
            [
                [cos, -sin, x - (cos - sin) * middle],
                [sin, cos, y - (sin + cos) * middle],
            ]
        )


def square_of(face: Face, padding: float = 0.0) -> Square:
    """The square in which a face is drawn.

    The face is upright by the sum of two directions: from eye to eye, and across the line from the
    eyes to the mouth. The side is ``max(4 * eye to eye, 3.6 * eyes to mouth)``, and the centre
    lies a tenth of the way from the eyes to the mouth.

    Args:
        face: The face.
        padding: How much is added on each side, as a part of the side: 0.25 makes a square of 1.5
            times the side.

    Returns:
        The square.

    Raises:
        ValueError: A padding that leaves no square, or landmarks that are all in one place.

    Reference:
        Karras, Laine and Aila, A Style-Based Generator Architecture for Generative Adversarial
        Networks, 2019: the alignment of the data set FFHQ.
    """
    if not padding > -0.5:
        raise ValueError(f"padding must be greater than -0.5, received {padding}")
    left_eye, right_eye = face.eyes.astype(np.float64)
    eyes = (left_eye + right_eye) / 2
    across, down = right_eye - left_eye, face.mouth - eyes
    upright = across + np.array([down[1], -down[0]])
    side = max(4 * math.hypot(*across), 3.6 * math.hypot(*down)) * (1 + 2 * padding)
    if not side > 0:
        raise ValueError("a face needs eyes and a mouth that are apart, found them in one place")
    centre = eyes + 0.1 * down
    return Square(
        (float(centre[0]), float(centre[1])), side, math.atan2(float(upright[1]), float(upright[0]))
    )


def between(before: Square, after: Square) -> np.ndarray:
    """The map that moves, turns and scales one square to another.

    Args:
        before: A square.
        after: Another.

    Returns:
        (2, 3) float64: from (x, y, 1) to (x, y), both in pixels of the picture.
    """
    inverse = cv2.invertAffineTransform(before.matrix(1))
    return after.matrix(1) @ np.vstack([inverse, (0, 0, 1)])


def portrait(picture: np.ndarray, square: Square, size: int) -> np.ndarray:
    """Cuts a square out of a picture, upright.

    Where the picture is shrunk it is averaged first, so that nothing aliases. Beyond its border it
    is reflected, and more and more blurred, so that no second face appears there.

    Args:
        picture: (height, width, 3), uint8 or float32.
        square: Where; it may lie partly or wholly beyond the border.
        size: Height and width wanted.

    Returns:
        (size, size, 3) of the same type.
    """
    matrix = square.matrix(size)
    margin = 2 + 2 * max(1.0, square.side / size)  # what the interpolation looks at
    region, offset, within = _region(picture, matrix, size, margin)
    matrix = matrix.copy()
    matrix[:, 2] -= offset
    region, matrix = _reduced(region, matrix)
    out = _warp(region, matrix, (size, size))
    if not within:
        out = _blurred_beyond(out, picture.shape[:2], square)
    return out


def paste(
    picture: np.ndarray, portrait_u8: np.ndarray, square: Square, mask: np.ndarray
) -> np.ndarray:
    """Puts a portrait back where it was cut out.

    Args:
        picture: (height, width, 3) uint8.
        portrait_u8: (size, size, 3) uint8.
        square: What it was cut out of.
        mask: (size, size) float32 in 0..1: how much of the portrait shows. Zero at its border.

    Returns:
        A new picture; where the mask is zero its pixels are those of `picture`.

    Raises:
        ValueError: Shapes that do not belong together.
    """
    size = len(portrait_u8)
    if portrait_u8.shape != (size, size, 3) or mask.shape != (size, size):
        raise ValueError(
            f"expected a portrait (n, n, 3) and a mask (n, n), received {portrait_u8.shape} and "
            f"{mask.shape}"
        )
    out = picture.copy()
    height, width = picture.shape[:2]
    columns, rows = np.flatnonzero(mask.any(0)), np.flatnonzero(mask.any(1))
    if len(columns) == 0:
        return out
    # Only what the mask shows is moved: a face is a small part of its square.
    (x0, x1), (y0, y1) = columns[[0, -1]], rows[[0, -1]]
    forward = square.matrix(size)
    corners = np.array([(x, y, 1) for x in (x0 - 1, x1 + 1) for y in (y0 - 1, y1 + 1)]) @ forward.T
    left, top = np.clip(np.floor(corners.min(0)).astype(int), 0, (width, height))
    right, bottom = np.clip(np.ceil(corners.max(0)).astype(int) + 1, 0, (width, height))
    if left >= right or top >= bottom:
        return out
    backward = cv2.invertAffineTransform(forward)
    backward[:, 2] += backward[:, :2] @ (left, top)
    portrait_u8, smaller = _reduced(portrait_u8, backward)
    mask = _reduced(mask, backward)[0]
    shape = (int(bottom - top), int(right - left))
    moved = _warp(portrait_u8, smaller, shape).astype(np.float32)
    weight = cv2.warpAffine(
        mask, smaller, shape[::-1], flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP, borderValue=0
    )[..., None]
    below = out[top:bottom, left:right]
    mixed = below + weight * (moved - below)
    out[top:bottom, left:right] = np.rint(mixed).astype(np.uint8)
    return out


def _region(
    picture: np.ndarray, matrix: np.ndarray, size: int, margin: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """The upright part of a picture around a square, reflected beyond the border.

    Returns the part, where its first pixel lies in the picture, and whether none is reflected.
    """
    height, width = picture.shape[:2]
    ends = (-0.5, size - 0.5)
    corners = np.array([(x, y, 1) for x in ends for y in ends]) @ matrix.T
    left, top = np.floor(corners.min(0) - margin).astype(int)
    right, bottom = np.ceil(corners.max(0) + margin).astype(int) + 1
    within = bool(left >= 0 and top >= 0 and right <= width and bottom <= height)
    if within:
        part = picture[top:bottom, left:right]
    else:
        above, rows, below = _reflecting(top, bottom, height)
        before, columns, after = _reflecting(left, right, width)
        part = cv2.copyMakeBorder(
            picture[rows, columns], above, below, before, after, cv2.BORDER_REFLECT_101
        )
        top_of_part, left_of_part = rows.start - above, columns.start - before
        part = part[top - top_of_part : bottom - top_of_part]
        part = part[:, left - left_of_part : right - left_of_part]
    return part, np.array((left, top)), within


def _reflecting(low: int, high: int, length: int) -> tuple[int, slice, int]:
    """What of an axis is needed for its places low..high-1, reflected at its two ends.

    Returns how many places to reflect before it, which part of the axis, and how many after it.
    """
    last = length - 1
    start = max(0, min(low, 2 * last - (high - 1)) if high > length else low)
    stop = min(length, max(high, 1 - low) if low < 0 else high)
    return max(0, -low), slice(start, stop), max(0, high - length)


def _reduced(array: np.ndarray, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Averages an array over areas where a warp by `matrix` would skip pixels.

    Args:
        array: What is warped.
        matrix: (2, 3), from what is made of it to the array.

    Returns:
        The smaller array, and the matrix to it; both as they are where the warp does not shrink.
    """
    factor = math.hypot(matrix[0, 0], matrix[1, 0])
    height, width = array.shape[:2]
    small = (max(1, round(height / factor)), max(1, round(width / factor)))
    if factor <= 1 or small == (height, width):
        return array, matrix
    reduced = cv2.resize(array, small[::-1], interpolation=cv2.INTER_AREA)
    scale = np.array((small[1] / width, small[0] / height))
    matrix = matrix * scale[:, None]
    matrix[:, 2] += (scale - 1) / 2  # the first pixel's centre is at 0, its corner at -0.5
    return reduced, matrix


def _warp(array: np.ndarray, matrix: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Samples an array with cubic interpolation; `matrix` leads from the result to the array."""
    return cv2.warpAffine(
        array,
        matrix,
        size_hw[::-1],
        flags=cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def beyond_border(size_hw: tuple[int, int], square: Square, size: int) -> np.ndarray:
    """How far beyond a picture's border each pixel of a portrait lies.

    Args:
        size_hw: Of the picture.
        square: What the portrait shows.
        size: Height and width of the portrait.

    Returns:
        (size, size) float32 in parts of the square's side; 0 inside of the picture.
    """
    matrix = square.matrix(size).astype(np.float32)
    at = np.arange(size, dtype=np.float32)
    x = matrix[0, 0] * at[None] + matrix[0, 1] * at[:, None] + matrix[0, 2]
    y = matrix[1, 0] * at[None] + matrix[1, 1] * at[:, None] + matrix[1, 2]
    height, width = size_hw
    beyond = np.maximum.reduce([-x, x - (width - 1), -y, y - (height - 1), np.zeros_like(x)])
    return beyond / np.float32(square.side)


def _blurred_beyond(
    portrait_u8: np.ndarray, size_hw: tuple[int, int], square: Square
) -> np.ndarray:
    """Blurs what lies beyond the picture's border, the farther the more."""
    weight = np.clip(beyond_border(size_hw, square, len(portrait_u8)) / BLUR_WITHIN, 0, 1)[
        ..., None
    ]
    sigma = BLUR * len(portrait_u8)
    blurred = cv2.GaussianBlur(portrait_u8, (0, 0), sigma).astype(np.float32)
    mixed = portrait_u8 + weight * (blurred - portrait_u8)
    if portrait_u8.dtype == np.uint8:
        mixed = np.rint(mixed)
    return mixed.astype(portrait_u8.dtype)
