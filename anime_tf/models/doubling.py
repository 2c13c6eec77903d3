"""Doubling and the convolution after it in one, for graphs that infer.

Legacy bilinear doubling puts between every two values their mean, and a 3x3 convolution of what
came out multiplies the same values over and over. Both are linear. On one axis, with taps a, b, c,

    out[2 i] = a/2 x[i - 1] + (a/2 + b + c/2) x[i] + c/2 x[i + 1],
    out[2 i + 1] = (a + b/2) x[i] + (b/2 + c) x[i + 1]:

five products in the place of six on each axis, 25 in the place of 36, and neither the doubled
picture nor a padded copy of it is ever in memory. The results are the same but for rounding, up to
the borders: reflecting the doubled picture is to reflect x before its first value and to repeat its
last.

Two forms of it, by what runs the graph: among the quick operations (`quick`) four convolutions, of
even and odd rows and columns, whose results are put in turns; for OpenVINO one transposed 5x5
convolution with stride 2, which in TensorFlow's bfloat16 is a hundred times slower.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from anime_tf.models import quick

_EVEN = np.array([[0.5, 0, 0], [0.5, 1, 0.5], [0, 0, 0.5]], np.float32)
_ODD = np.array([[1, 0.5, 0], [0, 0.5, 1]], np.float32)
_DOUBLING = np.array([0.5, 1, 0.5], np.float32)

_TRANSPOSED = contextvars.ContextVar("transposed", default=False)


@contextlib.contextmanager
def transposed_doubling() -> Iterator[None]:
    """Within it `layers.ConvNormLReLU` doubles and convolves by a transposed convolution."""
    token = _TRANSPOSED.set(True)
    try:
        yield
    finally:
        _TRANSPOSED.reset(token)


def is_one(placement: str, kernel_size: int) -> bool:
    """Whether doubling, of a key of `layers.UPSAMPLINGS`, and convolution are to be one."""
    wanted = quick.are_quick() or (_TRANSPOSED.get() and keras.config.backend() == "tensorflow")
    return wanted and (placement, kernel_size) == ("legacy", 3)


def doubled_conv(x: Any, kernel: Any, finish: Callable[[Any], Any] = lambda y: y) -> Any:
    """finish(conv(reflect_pad(upsample_legacy_bilinear(x)))), a convolution with stride 1.

    Args:
        x: Tensor (n, height, width, channels), each side at least 2.
        kernel: Tensor (3, 3, channels, filters), float32.
        finish: What is done to each value of each channel by itself: bias and activation, so that
            TensorFlow makes them part of the convolution.

    Returns:
        Tensor (n, 2 height, 2 width, filters), of the dtype of x.
    """
    if not quick.are_quick():
        return finish(_transposed(x, kernel))
    n, height, width = ops.shape(x)[:3]
    x = quick.reflect_and_repeat(x)
    rows = []
    for top, along_y in enumerate((_EVEN, _ODD)):
        of_row = [
            finish(ops.conv(x[:, top:, left:], _merged(kernel, along_y, along_x, x.dtype)))
            for left, along_x in enumerate((_EVEN, _ODD))
        ]
        rows.append(ops.concatenate(of_row, axis=3))
    # Even and odd columns lie in turns in the channels, and the rows side by side: all in place.
    y = ops.concatenate(rows, axis=2)
    return ops.reshape(y, (n, 2 * height, 2 * width, kernel.shape[3]))


def _merged(kernel: Any, along_y: np.ndarray, along_x: np.ndarray, dtype: Any) -> Any:
    return ops.cast(ops.einsum("ai,bj,ijcd->abcd", along_y, along_x, kernel), dtype)


def _transposed(x: Any, kernel: Any) -> Any:
    import tensorflow as tf

    n, height, width = ops.shape(x)[:3]
    # Each axis of the kernel, turned about, convolved with (1/2, 1, 1/2).
    spread = np.zeros((5, 3), np.float32)
    for tap in range(3):
        spread[2 - tap : 5 - tap, tap] = _DOUBLING
    merged = _merged(kernel, spread, spread, x.dtype)
    x = ops.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]], mode="reflect")
    x = ops.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]], mode="symmetric")
    return tf.nn.conv2d_transpose(
        x,
        ops.transpose(merged, (0, 1, 3, 2)),
        (n, 2 * height, 2 * width, kernel.shape[3]),
        2,
        [[0, 0], [4, 3], [4, 3], [0, 0]],
    )
