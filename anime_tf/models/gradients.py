"""Operations of the networks with gradients of our own, which take less memory and time.

Only on TensorFlow; other backends derive them from `keras.ops`.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import keras
from keras import ops

_PLAIN = contextvars.ContextVar("plain", default=False)


@contextlib.contextmanager
def plain_operations() -> Iterator[None]:
    """Within it networks are made of TensorFlow's own operations and their gradients.

    For graphs that infer or are exported, which need no gradient and shall hold few kinds of
    operators, and for those that are differentiated twice: ours give first derivatives alone.
    """
    token = _PLAIN.set(True)
    try:
        yield
    finally:
        _PLAIN.reset(token)


def are_plain() -> bool:
    """Whether TensorFlow's own operations are wanted."""
    return _PLAIN.get()


def are_ours() -> bool:
    """Whether gradients of our own are wanted, and can be had."""
    return keras.config.backend() == "tensorflow" and not _PLAIN.get()


def leaky_relu(x: Any, slope: float) -> Any:
    """max(x, slope x) with 0 < slope < 1, which keeps its output for the gradient.

    The next convolution keeps that too, so the input need not stay in memory.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        y = tf.nn.leaky_relu(x, slope)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            # y has the signs of x, and the operation asks for no more.
            return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=y, alpha=slope)

        return y, gradient

    return run(x)


def double_legacy_bilinear(x: Any, forward: Callable[[Any], Any]) -> Any:
    """`layers.upsample_legacy_bilinear`, whose gradient is one operation.

    Args:
        x: Tensor (n, height, width, channels).
        forward: Doubles height and width.

    Returns:
        What `forward` gives.
    """
    import tensorflow as tf

    @tf.custom_gradient
    def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        # All that the operation asks of the original picture is its shape and dtype.
        shape = tf.shape(x)

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.cast(
                tf.raw_ops.ResizeBilinearGrad(
                    grads=tf.cast(upstream, tf.float32), original_image=tf.zeros(shape, x.dtype)
                ),
                x.dtype,
            )

        return forward(x), gradient

    return run(x)


def normalise(
    x: Any, gamma: Any, beta: Any, *, mean_of: Callable[[Any], Any], together: bool, epsilon: float
) -> Any:
    """(x - mean) / sqrt(variance + epsilon) gamma + beta, which keeps x and two numbers a mean.

    Args:
        x: Tensor (n, height, width, channels).
        gamma: (1, 1, 1, channels), float32.
        beta: The same.
        mean_of: Takes the mean over height and width, and over the channels where `together`.
        together: Whether the channels share mean and variance.
        epsilon: Added to the variance.

    Returns:
        Tensor of the shape of x, float32 (float64 where x is that).
    """
    dtype = keras.backend.result_type(x.dtype, "float32")

    def run(x: Any, gamma: Any, beta: Any) -> tuple[Any, Callable[..., tuple[Any, Any, Any]]]:
        wide = ops.cast(x, dtype)
        mean = mean_of(wide)
        centred = wide - mean
        rate = ops.rsqrt(mean_of(ops.square(centred)) + epsilon)

        def gradient(upstream: Any) -> tuple[Any, Any, Any]:
            centred = ops.cast(x, dtype) - mean
            # Means over each picture and channel: of the gradient alone, and along the output.
            across = _over_picture(upstream)
            along = _over_picture(upstream * centred) * rate
            pixels = ops.cast(ops.shape(upstream)[1] * ops.shape(upstream)[2], dtype)
            shared, slope = gamma * across, gamma * along
            if together:
                shared = ops.mean(shared, axis=3, keepdims=True)
                slope = ops.mean(slope, axis=3, keepdims=True)
            to_x = upstream * (gamma * rate) - centred * (slope * rate * rate) - shared * rate
            to_gamma = ops.sum(along, axis=0, keepdims=True) * pixels
            to_beta = ops.sum(across, axis=0, keepdims=True) * pixels
            return ops.cast(to_x, x.dtype), to_gamma, to_beta

        return centred * (rate * gamma) + beta, gradient

    return ops.custom_gradient(run)(x, gamma, beta)


def _over_picture(x: Any) -> Any:
    return ops.mean(ops.mean(x, axis=2, keepdims=True), axis=1, keepdims=True)
