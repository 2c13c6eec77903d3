"""Geometry of pictures: orientation, resizing, padding, and setting pictures side by side.

Sizes are (height, width).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from anime_tf.io.pixels import WHITE, as_type

Padding = tuple[int, int, int, int]  # rows and columns added: (top, bottom, left, right)


def apply_orientation(array: np.ndarray, orientation: int) -> np.ndarray:
    """Rotate and mirror (height, width, ...) so that an EXIF orientation becomes 1."""
    if orientation >= 5:
        array = array.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        array = array[::-1]
    if orientation in (2, 3, 6, 7):
        array = array[:, ::-1]
    return np.ascontiguousarray(array)


def resize(array: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Resize (height, width) or (height, width, 1 to 4) uint8 or float32, channel by channel.

    An axis is area-averaged down, linear up. ValueError for a side under 1.
    """
    if min(size_hw) < 1:
        raise ValueError(f"expected a size of at least 1x1, got {size_hw}")
    height, width = array.shape[:2]
    channels = array.shape[2:]
    shrunk = (min(height, size_hw[0]), min(width, size_hw[1]))
    if shrunk != (height, width):
        array = cv2.resize(array, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if shrunk != tuple(size_hw):
        array = cv2.resize(array, tuple(size_hw)[::-1], interpolation=cv2.INTER_LINEAR)
    return array.reshape(*size_hw, *channels)  # OpenCV drops a single channel


def limit_array_side(array: np.ndarray, max_side: int) -> np.ndarray:
    """Shrink a picture so that its longer side has at most `max_side` pixels.

    Colors are weighted by opacity, so that transparent ones leave no fringe.

    Args:
        array: (height, width, 3 or 4) uint8 or uint16.
        max_side: Pixels; 0 for no limit.

    Returns:
        The array in its aspect ratio (no side under 1), or itself if it is small enough.
    """
    if max_side < 0:
        raise ValueError(f"expected max_side of 0 (no limit) or more, got {max_side}")
    height, width = array.shape[:2]
    if max_side == 0 or max(height, width) <= max_side:
        return array
    scale = max_side / max(height, width)
    size_hw = max(1, round(height * scale)), max(1, round(width * scale))
    plain = resize(array, size_hw)
    if array.shape[2] == 3 or array[..., 3].min() == WHITE[array.dtype]:
        return plain
    opacity = array[..., 3:].astype(np.float32)
    weighted = resize(array[..., :3] * opacity, size_hw)
    total = resize(opacity, size_hw)
    plain[..., :3] = np.rint(
        np.where(total > 0, weighted / np.maximum(total, 1e-6), plain[..., :3])
    )
    return plain


def pad_to_multiple(
    array_nhwc: np.ndarray, multiple: int, minimum: int = 1
) -> tuple[np.ndarray, Padding]:
    """Reflect-pad a batch at its lower and right edge.

    Args:
        array_nhwc: (n, height, width, channels), any dtype.
        multiple: Height and width become multiples of this.
        minimum: Smallest height and width.

    Returns:
        The padded batch (the array itself if it fits), and the padding for `crop_padding`.
    """
    height, width = array_nhwc.shape[1:3]

    def missing(side: int) -> int:
        return -(-max(side, minimum) // multiple) * multiple - side

    padding = (0, missing(height), 0, missing(width))
    if not any(padding):
        return array_nhwc, padding
    # numpy reflects repeatedly if the padding is longer than the picture.
    return np.pad(array_nhwc, ((0, 0), padding[:2], padding[2:], (0, 0)), "reflect"), padding


def crop_padding(array_nhwc: Any, padding: Padding) -> Any:
    """Remove the padding of `pad_to_multiple` from an array or tensor; a view where possible."""
    top, bottom, left, right = padding
    height, width = array_nhwc.shape[1:3]
    return array_nhwc[:, top : height - bottom, left : width - right]


def side_by_side(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """Set two pictures (height, width, 3 or 4) of dtypes of `WHITE` side by side.

    Returns:
        (height, sum of the widths, 3) of the dtype of `right`; 4 channels if one has alpha.
    """
    if left.shape[0] != right.shape[0]:
        raise ValueError(
            f"expected pictures of one height, got {left.shape[0]} and {right.shape[0]}; resize "
            "one of them"
        )
    pair = [as_type(left, right.dtype), right]
    if {left.shape[2], right.shape[2]} == {3, 4}:
        alpha = ((0, 0), (0, 0), (0, 1))
        white = WHITE[right.dtype]
        pair = [a if a.shape[2] == 4 else np.pad(a, alpha, constant_values=white) for a in pair]
    return np.concatenate(pair, axis=1)


def stack_rows(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Stack RGB uint8 pictures vertically, padding narrower ones with white on the right."""
    width = max(row.shape[1] for row in rows)

    def widened(row: np.ndarray) -> np.ndarray:
        return np.pad(row, [(0, 0), (0, width - row.shape[1]), (0, 0)], constant_values=255)

    return np.concatenate([widened(row) for row in rows])
