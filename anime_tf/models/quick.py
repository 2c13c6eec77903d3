"""Operations of the networks that are quick on a CPU, for graphs that infer one picture at a time.

A batch is one picture too, in parts: its statistics are taken over all of it.

Only on TensorFlow. They have no gradients worth having, and exports do without them: phones and
other runtimes want other operators.
"""

from __future__ import annotations

import contextlib
import contextvars
import math
from collections.abc import Callable, Iterator
from typing import Any

import keras

MOST_VALUES = 1 << 14
"""That are added up in float32 in one go; so that variances are right to 3e-7."""

BLOCK = 16
"""Height and width of what pooling adds up."""

_QUICK = contextvars.ContextVar("quick", default=False)


@contextlib.contextmanager
def quick_operations() -> Iterator[None]:
    """Within it networks are made of operations that are quick on a CPU, for single pictures."""
    token = _QUICK.set(True)
    try:
        yield
    finally:
        _QUICK.reset(token)


def are_quick() -> bool:
    """Whether such operations are wanted, and can be had."""
    return _QUICK.get() and keras.config.backend() == "tensorflow"


def moments(x: Any, together: bool) -> tuple[Any, Any]:
    """Mean and variance over height and width of a picture, or of all pictures of a batch together.

    Args:
        x: Tensor (n, height, width, channels), float32 or bfloat16.
        together: Whether the channels share mean and variance.

    Returns:
        Mean and variance, float32: (1, 1, 1, 1) if `together`, else (1, 1, 1, channels).
    """
    import tensorflow as tf

    if not together or x.dtype != tf.float32:
        return _moments_by_columns(x, together)
    # Average pooling adds up a picture faster than anything else does; in bfloat16 it would round.
    mean = _mean_by_pooling(x)
    return mean, _mean_by_pooling(tf.math.squared_difference(x, mean))


def _mean_by_pooling(x: Any) -> Any:
    """Mean of all values, (1, 1, 1, 1); few of them are added up in one go."""
    import tensorflow as tf

    pooled = tf.nn.avg_pool2d(x, BLOCK, BLOCK, "SAME")
    means = tf.reduce_mean(tf.reduce_mean(pooled, 3), 0)
    height, width = tf.unstack(tf.shape(x)[1:3])
    rows, columns = _shares(height), _shares(width)
    by_row = tf.reduce_sum(means * columns, 1)
    return tf.reshape(tf.reduce_sum(by_row * rows), (1, 1, 1, 1))


def _shares(side: Any) -> Any:
    """Which part of a side lies in each block of pooling, which centres them."""
    import tensorflow as tf

    number = (side + (BLOCK - 1)) // BLOCK
    begin = tf.range(number) * BLOCK - (number * BLOCK - side) // 2
    within = tf.minimum(begin + BLOCK, side) - tf.maximum(begin, 0)
    return tf.cast(within, tf.float32) / tf.cast(side, tf.float32)


def _moments_by_columns(x: Any, together: bool) -> tuple[Any, Any]:
    """By the operation of batch norm, in the number type that the picture has.

    By itself that adds up a whole picture in float32, and the variance is wrong by 5e-4 at
    1920x1080 pixels, the mean by far more where it is large. So a picture is divided into columns,
    each channel of which has moments of its own, over up to `MOST_VALUES` values, and those are put
    together (Chan et al. 1979). The fewer the columns the quicker it is.
    """
    import tensorflow as tf

    n, height, width, channels = tf.unstack(tf.shape(x))
    height = n * height
    if x.dtype == tf.bfloat16:  # float32 is as quick with narrow ones
        # As many columns to one of these as can be, a power of two that divides them.
        most = tf.cast(tf.maximum(MOST_VALUES // height, 1), tf.float32)
        most = 2 ** tf.cast(tf.math.log(most) / math.log(2) + 1e-3, tf.int32)
        wide = tf.minimum(most, tf.bitwise.bitwise_and(width, -width))
        height, width = height * wide, width // wide
    columns = width * channels
    of_columns = tf.raw_ops.FusedBatchNormV3(
        x=tf.reshape(x, (1, 1, height, columns)),
        scale=tf.ones((columns,)),
        offset=tf.zeros((columns,)),
        mean=tf.zeros((0,)),
        variance=tf.zeros((0,)),
        epsilon=1.0,  # of what is not looked at
        is_training=True,
    )
    rows = tf.cast(height, tf.float32)
    # The operation gives the estimate for a sample, a sum over (rows - 1).
    variance = of_columns.batch_variance * ((rows - 1.0) / rows)
    shape = (1, 1, width, x.shape[-1])
    mean, variance = tf.reshape(of_columns.batch_mean, shape), tf.reshape(variance, shape)
    axes = (2, 3) if together else (2,)
    overall = _mean(mean, axes)
    return overall, _mean(variance + tf.math.squared_difference(mean, overall), axes)


def normalise(x: Any, mean: Any, scale: Any, offset: Any) -> Any:
    """(x - mean) scale + offset, in one operation.

    Args:
        x: Tensor (n, height, width, channels), float32 or bfloat16.
        mean: float32, of a shape that broadcasts to (1, 1, 1, channels), as scale and offset.
        scale: Likewise.
        offset: Likewise.

    Returns:
        Tensor of the shape and type of x.
    """
    import tensorflow as tf

    channels = x.shape[-1]

    def of_channels(value: Any) -> Any:
        return tf.reshape(tf.broadcast_to(value, (1, 1, 1, channels)), (channels,))

    return tf.raw_ops.FusedBatchNormV3(
        x=x,
        scale=of_channels(scale),
        offset=of_channels(offset),
        mean=of_channels(mean),
        variance=tf.ones((channels,)),
        epsilon=0.0,
        is_training=False,
    ).y


def reflect(x: Any, before: int, after: int) -> Any:
    """Pads height and width by reflection, in one copy of the picture.

    Args:
        x: Tensor (n, height, width, channels).
        before: Rows above, and columns to the left.
        after: Rows below, and columns to the right.

    Returns:
        Tensor (n, height + before + after, width + before + after, channels), same dtype.
    """
    import tensorflow as tf

    def index(side: Any) -> Any:
        i = tf.abs(tf.range(-before, side + after))
        return tf.minimum(i, 2 * (side - 1) - i)

    return _pixels(x, index)


def reflect_and_repeat(x: Any) -> Any:
    """Pads by one row above and one column to the left, by reflection, and by the last again.

    Args:
        x: Tensor (n, height, width, channels).

    Returns:
        Tensor (n, height + 2, width + 2, channels), same dtype.
    """
    import tensorflow as tf

    return _pixels(x, lambda side: tf.minimum(tf.abs(tf.range(-1, side + 1)), side - 1))


def _pixels(x: Any, index: Callable[[Any], Any]) -> Any:
    """The pixels whose rows and columns `index` gives, of the side of each axis."""
    import tensorflow as tf

    n, height, width, _ = tf.unstack(tf.shape(x))
    channels = x.shape[-1]
    rows, columns = index(height), index(width)
    places = tf.reshape(rows[:, None] * width + columns, (-1,))
    taken = tf.gather(tf.reshape(x, (n, height * width, channels)), places, axis=1)
    return tf.reshape(taken, (n, tf.size(rows), tf.size(columns), channels))


def double(x: Any, placement: str) -> Any:
    """Doubles height and width bilinearly, in one operation.

    Args:
        x: Tensor (n, height, width, channels).
        placement: Where the samples lie, a key of `layers.UPSAMPLINGS`.

    Returns:
        Tensor (n, 2 height, 2 width, channels), same dtype.
    """
    import tensorflow as tf

    doubled = tf.raw_ops.ResizeBilinear(
        images=x,
        size=tf.shape(x)[1:3] * 2,
        align_corners=placement == "align_corners",
        half_pixel_centers=placement == "half_pixel",
    )
    return tf.cast(doubled, x.dtype)


def _mean(x: Any, axes: tuple[int, ...]) -> Any:
    """One axis after the other, for sums of fewer values."""
    import tensorflow as tf

    for axis in axes:
        x = tf.reduce_mean(x, axis, keepdims=True)
    return x
