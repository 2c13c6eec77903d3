"""Legacy upsampling by 2 and the 3x3 convolution after it, fused.

Both are linear. On one axis, with taps a, b, c,

    out[2 i] = a/2 x[i - 1] + (a/2 + b + c/2) x[i] + c/2 x[i + 1],
    out[2 i + 1] = (a + b/2) x[i] + (b/2 + c) x[i + 1]:

25 products instead of 36, without an upsampled or padded picture in memory. The result is the same
but for rounding: reflecting the upsampled picture is reflecting x before its first value and
repeating its last.

In TensorFlow, four convolutions compute even and odd rows and columns. OpenVINO takes one
transposed 5x5 convolution with stride 2, in TensorFlow's bfloat16 a hundred times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

from anime_tf.inference.lowering.cpu import gather_pixels
from anime_tf.inference.lowering.norm_statistics import FusedConv
from anime_tf.models.layers import ConvNormLReLU

_EVEN = np.array([[0.5, 0, 0], [0.5, 1, 0.5], [0, 0, 0.5]], np.float32)
_ODD = np.array([[1, 0.5, 0], [0, 0.5, 1]], np.float32)
_UPSAMPLING = np.array([0.5, 1, 0.5], np.float32)


def can_fuse(block: ConvNormLReLU) -> bool:
    """Whether a block upsamples by the legacy rule before a 3x3 convolution."""
    return (block.upsampling, block.kernel_size) == ("legacy", 3)


class _FusedConvNormLReLU(ConvNormLReLU):
    upsample_conv: Callable[..., Any]

    def call(self, inputs: Any) -> Any:
        conv = self.conv
        if not isinstance(conv, FusedConv):
            return self.activation(self.norm(self.upsample_conv(inputs, conv.kernel)))
        # Bias and activation before the interleaving: TensorFlow merges them with convolutions.
        kernel = ops.convert_to_tensor(conv.kernel, "float32")
        return self.upsample_conv(inputs, kernel, lambda y: self.activation(conv.add_bias(y)))


def phases_upsample_conv(x: Any, kernel: Any, finish: Callable[[Any], Any] = lambda y: y) -> Any:
    """Compute finish(conv(reflect_pad(upsample(x)))) by four convolutions, in the dtype of x.

    Shapes: x (n, height, width, channels), each side at least 2; kernel (3, 3, channels, filters)
    float32; result (n, 2 height, 2 width, filters). `finish` is elementwise.
    """
    n, height, width = ops.shape(x)[:3]
    # One reflected row above and column to the left; the last ones repeated.
    x = gather_pixels(x, lambda side: tf.minimum(tf.abs(tf.range(-1, side + 1)), side - 1))
    rows = []
    for top, along_y in enumerate((_EVEN, _ODD)):
        row = [
            finish(ops.conv(x[:, top:, left:], _merge(kernel, along_y, along_x, x.dtype)))
            for left, along_x in enumerate((_EVEN, _ODD))
        ]
        rows.append(ops.concatenate(row, axis=3))
    # Even and odd columns alternate in the channels, rows lie side by side: a reshape interleaves.
    y = ops.concatenate(rows, axis=2)
    return ops.reshape(y, (n, 2 * height, 2 * width, kernel.shape[3]))


def transposed_upsample_conv(
    x: Any, kernel: Any, finish: Callable[[Any], Any] = lambda y: y
) -> Any:
    """Compute the same as `phases_upsample_conv` by one transposed convolution."""
    n, height, width = ops.shape(x)[:3]
    # Each axis of the kernel, reversed, convolved with (1/2, 1, 1/2).
    spread = np.zeros((5, 3), np.float32)
    for tap in range(3):
        spread[2 - tap : 5 - tap, tap] = _UPSAMPLING
    merged = _merge(kernel, spread, spread, x.dtype)
    x = ops.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]], mode="reflect")
    x = ops.pad(x, [[0, 0], [0, 1], [0, 1], [0, 0]], mode="symmetric")
    y = tf.nn.conv2d_transpose(
        x,
        ops.transpose(merged, (0, 1, 3, 2)),
        (n, 2 * height, 2 * width, kernel.shape[3]),
        2,
        [[0, 0], [4, 3], [4, 3], [0, 0]],
    )
    return finish(y)


def _merge(kernel: Any, along_y: np.ndarray, along_x: np.ndarray, dtype: Any) -> Any:
    return ops.cast(ops.einsum("ai,bj,ijcd->abcd", along_y, along_x, kernel), dtype)


class PhasesConvNormLReLU(_FusedConvNormLReLU):
    """`ConvNormLReLU` with fused upsampling, by four convolutions."""

    upsample_conv = staticmethod(phases_upsample_conv)


class TransposedConvNormLReLU(_FusedConvNormLReLU):
    """`ConvNormLReLU` with fused upsampling, by a transposed convolution."""

    upsample_conv = staticmethod(transposed_upsample_conv)
