"""Perceptual hash of 64 bits: similar pictures differ in few bits."""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.io.geometry import resize

HASH_BITS = 64
_SIDE, _FREQUENCIES = 32, 8


def perceptual_hash(rgb_u8: np.ndarray) -> int:
    """Hash RGB uint8 by the signs of its lowest frequencies; the highest bit is the lowest one.

    Luma at 32x32 pixels, its cosine transform, the 8x8 lowest frequencies; a bit is 1 where the
    coefficient is above the median of the 64 without the first, the mean. Size, compression, small
    changes of brightness and contrast, and small moving objects change few bits or none; unrelated
    pictures differ in about 32.

    Reference: Zauner, Implementation and Benchmarking of Perceptual Image Hash Functions, 2010,
    section 3.2.1.
    """
    gray = cv2.cvtColor(resize(rgb_u8, (_SIDE, _SIDE)), cv2.COLOR_RGB2GRAY)
    lowest = cv2.dct(gray.astype(np.float32))[:_FREQUENCIES, :_FREQUENCIES].ravel()
    # The coefficients of a flat picture are rounding errors of random sign.
    lowest = np.where(np.abs(lowest) < 1e-2, 0, lowest)
    bits = lowest > np.median(lowest[1:])
    return int.from_bytes(np.packbits(bits).tobytes(), "big")


def hamming_distance(a: int, b: int) -> int:
    """Count the bits in which two hashes differ, 0..64."""
    return (a ^ b).bit_count()
