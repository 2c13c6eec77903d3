"""Layers in TensorFlow operations that are fast on a CPU, for inference on single pictures.

Their gradients are slow, and other runtimes prefer other operators.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import tensorflow as tf
from keras import ops

from anime_tf.models.layers import ReflectPad
from anime_tf.models.norms import LADE, DoubleNorm, Moments, PictureNorm

# largest block summed in float32; keeps the relative error of a variance below 3e-7
MAX_SUMMED = 1 << 14

POOL = 16  # side of the pooling window in pixels


class CpuPictureNorm(PictureNorm):
    """`PictureNorm` by pooling and by the operation of batch norm."""

    def measure(self, x: Any) -> Moments:
        return moments(x, self.across_channels)

    def normalize(self, x: Any, mean: Any, variance: Any) -> Any:
        scale = ops.rsqrt(variance + self.epsilon) * self.gamma
        return ops.cast(_scale(x, mean, scale, self.beta), self.compute_dtype)

    def call(self, inputs: Any) -> Any:
        return self.normalize(inputs, *self.measure(inputs))


class CpuLADE(LADE):
    """`LADE` by the operation of batch norm."""

    def moments(self, x: Any) -> Moments:
        return moments(x, False)

    def normalize(self, x: Any, mean: Any, variance: Any) -> Any:
        (mean_x, mean_t), (variance_x, variance_t) = (
            tf.split(moment, 2, axis=-1) for moment in (mean, variance)
        )
        scale = tf.sqrt((variance_t + self.epsilon) / (variance_x + self.epsilon))
        return ops.cast(_scale(x, mean_x, scale, mean_t), self.compute_dtype)


class CpuDoubleNorm(DoubleNorm):
    """`DoubleNorm` over all positions of a batch together."""

    AXES = (2, 1, 0)


class CpuReflectPad(ReflectPad):
    """`ReflectPad` in a single copy of the picture."""

    def call(self, inputs: Any) -> Any:
        if self.before == self.after == 0:
            return inputs

        return _reflect_pad(inputs, self.before, self.after)


# A graph of its own, which all layers share: tracing it anew for each takes longer than to run it.
@tf.function(autograph=False)
def _reflect_pad(x: Any, before: int, after: int) -> Any:
    def index(side: Any) -> Any:
        i = tf.abs(tf.range(-before, side + after))
        return tf.minimum(i, 2 * (side - 1) - i)

    return gather_pixels(x, index)


@tf.function(autograph=False)
def moments(x: Any, across_channels: bool) -> Moments:
    """Compute float32 mean and variance over height and width of all pictures of a batch together.

    x is (n, height, width, channels), float32 or bfloat16; the moments are (1, 1, 1, 1) across
    channels, else (1, 1, 1, channels).
    """
    if not across_channels or x.dtype != tf.float32:
        return _moments_by_columns(x, across_channels)
    # Average pooling is the fastest sum of a picture; in bfloat16 it would round.
    rows, columns = (_pool_shares(side) for side in tf.unstack(tf.shape(x)[1:3]))

    def mean(values: Any) -> Any:
        pooled = tf.nn.avg_pool2d(values, POOL, POOL, "SAME")
        means = tf.reduce_mean(tf.reduce_mean(pooled, 3), 0)
        by_row = tf.reduce_sum(means * columns, 1)
        return tf.reshape(tf.reduce_sum(by_row * rows), (1, 1, 1, 1))

    overall = mean(x)
    return overall, mean(tf.math.squared_difference(x, overall))


def _pool_shares(side: Any) -> Any:
    """Share of a side in each pooling window; "SAME" padding centers the windows."""
    padded = -side % POOL
    begin = tf.range(-(padded // 2), side, POOL)
    within = tf.minimum(begin + POOL, side) - tf.maximum(begin, 0)
    return tf.cast(within, tf.float32) / tf.cast(side, tf.float32)


def _moments_by_columns(x: Any, across_channels: bool) -> Moments:
    """Moments by the operation of batch norm, in the dtype of the picture.

    That operation sums a whole picture in float32, which at 1920x1080 pixels is off by 5e-4 for the
    variance. So columns get moments of their own, over up to `MAX_SUMMED` values, which are then
    combined (Chan et al. 1979). Fewer columns are faster.
    """
    n, height, width, channels = tf.unstack(tf.shape(x))
    height = n * height
    if x.dtype == tf.bfloat16:  # float32 is as fast with narrow columns
        # As many pixels per column as possible: a power of two that divides the width.
        widest = tf.cast(tf.maximum(MAX_SUMMED // height, 1), tf.float32)
        widest = 2 ** tf.cast(tf.math.log(widest) / math.log(2) + 1e-3, tf.int32)
        joined = tf.minimum(widest, tf.bitwise.bitwise_and(width, -width))
        height, width = height * joined, width // joined
    columns = width * channels
    batch_norm = tf.raw_ops.FusedBatchNormV3(
        x=tf.reshape(x, (1, 1, height, columns)),
        scale=tf.ones((columns,)),
        offset=tf.zeros((columns,)),
        mean=tf.zeros((0,)),
        variance=tf.zeros((0,)),
        epsilon=1.0,  # of the normalized output, which is not used
        is_training=True,
    )
    rows = tf.cast(height, tf.float32)
    # The operation estimates the variance of a sample, a sum over (rows - 1).
    variance = batch_norm.batch_variance * ((rows - 1.0) / rows)
    shape = (1, 1, width, x.shape[-1])
    mean, variance = tf.reshape(batch_norm.batch_mean, shape), tf.reshape(variance, shape)
    axes = (2, 3) if across_channels else (2,)
    overall = _mean(mean, axes)
    return overall, _mean(variance + tf.math.squared_difference(mean, overall), axes)


def _mean(x: Any, axes: tuple[int, ...]) -> Any:
    """Mean over one axis after the other, in sums of fewer values."""
    for axis in axes:
        x = tf.reduce_mean(x, axis, keepdims=True)
    return x


def _scale(x: Any, mean: Any, scale: Any, offset: Any) -> Any:
    """(x - mean) scale + offset in one operation; the others broadcast to (1, 1, 1, channels)."""
    channels = x.shape[-1]

    def per_channel(value: Any) -> Any:
        return tf.reshape(tf.broadcast_to(value, (1, 1, 1, channels)), (channels,))

    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=per_channel(scale),
        offset=per_channel(offset),
        mean=per_channel(mean),
        variance=tf.ones((channels,)),
        epsilon=0.0,
        is_training=False,
    ).y


def gather_pixels(x: Any, index: Callable[[Any], Any]) -> Any:
    """Take the rows and columns that `index` lists for the length of each axis."""
    n, height, width, _ = tf.unstack(tf.shape(x))
    channels = x.shape[-1]
    rows, columns = index(height), index(width)
    places = tf.reshape(rows[:, None] * width + columns, (-1,))
    taken = tf.gather(tf.reshape(x, (n, height * width, channels)), places, axis=1)
    return tf.reshape(taken, (n, tf.size(rows), tf.size(columns), channels))
