"""Pixel types and ranges: uint8, uint16, float32 in [0, 1], and the networks' [-1, 1].

Names carry the range: ``*_u8`` is uint8 in 0..255, ``*_pm1`` is float32 in [-1, 1].
"""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np

# dtypes of pictures, and the value of white in each; black is 0
WHITE: dict[np.dtype[Any], int] = {
    np.dtype(np.uint8): 255,
    np.dtype(np.uint16): 65535,
    np.dtype(np.float32): 1,
}


def to_pm1(picture: np.ndarray) -> np.ndarray:
    """Convert uint8 or uint16 of any shape to float32 in [-1, 1]: ``x / (white / 2) - 1``."""
    if picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 pixels, got {picture.dtype}")
    picture_pm1 = picture.astype(np.float32)
    picture_pm1 /= WHITE[picture.dtype] / 2
    picture_pm1 -= 1
    return picture_pm1


def to_u8(picture_pm1: np.ndarray) -> np.ndarray:
    """Convert a network's output to uint8: ``round((y + 1) * 127.5)``, clipped."""
    return from_pm1(picture_pm1, np.uint8)


def from_pm1(picture_pm1: np.ndarray, dtype: Any) -> np.ndarray:
    """Convert a network's output to pixels: ``(y + 1) * white / 2``, clipped, integers rounded.

    `picture_pm1` is nominally in [-1, 1], of any shape; `dtype` is one of `WHITE`.
    """
    dtype = np.dtype(dtype)
    white = WHITE[dtype]
    levels = (np.asarray(picture_pm1, np.float32) + 1) * np.float32(white / 2)
    if dtype != np.float32:
        np.rint(levels, out=levels)
    return np.clip(levels, 0, white, out=levels).astype(dtype, copy=False)


class NotFiniteError(ValueError):
    """A network gave NaN or infinity."""


def check_finite(picture_pm1: np.ndarray) -> None:
    """Raise NotFiniteError if a network gave NaN or infinity, which would become black pixels."""
    if not np.isfinite(np.sum(picture_pm1, dtype=np.float32)):
        raise NotFiniteError(
            "expected finite numbers from the network, got NaN or infinity; use other weights, or "
            "--engine_precision=float32"
        )


def as_type(picture: np.ndarray, dtype: Any) -> np.ndarray:
    """Convert pixels to another dtype of `WHITE`, rounded, as a new array; white stays white."""
    dtype = np.dtype(dtype)
    if picture.dtype == dtype:
        return picture.copy()
    if dtype == np.uint16 and picture.dtype == np.uint8:
        return picture.astype(np.uint16) * np.uint16(257)
    if dtype == np.uint8 and picture.dtype == np.uint16:
        return to_eight_bits(picture)
    if dtype == np.float32:
        return picture.astype(np.float32) * np.float32(1 / WHITE[picture.dtype])
    # One pass that scales, rounds to even and clips.
    depth = cv2.CV_8U if dtype == np.uint8 else cv2.CV_16U
    levels = cv2.addWeighted(picture, WHITE[dtype], picture, 0, 0, dtype=depth)
    return levels.reshape(picture.shape)


def to_eight_bits(array: np.ndarray) -> np.ndarray:
    """Convert uint16 to uint8, round(x / 257); return uint8 as it is."""
    if array.dtype == np.uint8:
        return array
    # A table, because the sum and the division would need 32 bits per value.
    table = ((np.arange(1 << 16, dtype=np.uint32) + 128) // 257).astype(np.uint8)
    return table[array]


def apply_gain(picture: np.ndarray, gain: float) -> np.ndarray:
    """Multiply pixels of a dtype of `WHITE`, clipped at white; integers are truncated."""
    return np.clip(picture * gain, 0, WHITE[picture.dtype]).astype(picture.dtype)
