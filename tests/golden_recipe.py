"""The recipe behind the goldens: weights follow from variable names, pictures from a seed.

Every golden was made by the original graphs with weights whose values are a function of the
variable's TensorFlow 1 name and shape, so that no weights need storing.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import cv2
import numpy as np


def value(name: str, shape: Sequence[int]) -> np.ndarray:
    """Value of the variable of that full TensorFlow 1 name, float32."""
    random = np.random.RandomState(zlib.crc32(name.encode()))
    normal = np.asarray(random.standard_normal(tuple(shape)))
    leaf = name.rsplit("/", 1)[-1]
    if leaf == "gamma":
        result = 1 + 0.1 * normal
    elif leaf in ("beta", "bias", "biases"):
        result = 0.1 * normal
    elif leaf == "u":
        result = normal
    else:
        # A depthwise kernel `w` (kh, kw, c, 1) sees one channel; all others kh * kw * c_in.
        seen = shape[:2] if leaf == "w" else shape[:-1]
        # White-box's last convolution has neither norm nor tanh behind it.
        gain = 0.01 if name == "generator/Conv_9/weights" else 2
        result = normal * np.sqrt(gain / float(np.prod(seen, dtype=np.int64)))
    return result.astype(np.float32)


def value_v3(name: str, shape: Sequence[int]) -> np.ndarray:
    """Value of a variable of AnimeGANv3's goldens; LADE needs other gains than the other norms."""
    leaf = name.rsplit("/", 1)[-1]
    if leaf in ("biases", "u"):
        return value(name, shape)
    random = np.random.RandomState(zlib.crc32(name.encode()))
    normal = np.asarray(random.standard_normal(tuple(shape)))
    if leaf in ("Variable", "Variable_3"):
        return (1 + 0.1 * normal).astype(np.float32)
    if leaf in ("Variable_1", "Variable_2"):
        return (0.1 * normal).astype(np.float32)
    gain = 1 if tuple(shape[:2]) == (1, 1) else 0.125 if shape[-1] == 3 else 2
    return (normal * np.sqrt(gain / np.prod(shape[:-1]))).astype(np.float32)


def img(seed: int, shape: Sequence[int] = (2, 64, 64, 3)) -> np.ndarray:
    """Smooth random pictures of the given shape (n, h, w, 3), float32 in [-1, 1]."""
    noise = np.random.RandomState(seed).uniform(-1, 1, tuple(shape)).astype(np.float32)
    blurred = np.stack([cv2.GaussianBlur(picture, (0, 0), 2) * 3 for picture in noise])
    return blurred.clip(-1, 1).astype(np.float32)
