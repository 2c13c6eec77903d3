"""Training-side lowering: layers with custom gradients that take less memory and time.

The custom gradients are first derivatives only: differentiate the reference where a gradient is
differentiated again, as in gradient penalties.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf
from keras import ops

from anime_tf.models.live import Exposure
from anime_tf.models.norms import PictureNorm
from anime_tf.models.tree import Replace, recast, swap_layers
from anime_tf.models.upsampling import Upsample2x


def lower_for_training(network: keras.Model, *, exposed: bool = False) -> keras.Model:
    """Copy a network with memory-saving gradients; results and weights are those of the original.

    Args:
        network: A generator or discriminator; untouched.
        exposed: Whether its pictures are exposed already, so that `Exposure` is left out.

    Returns:
        A view to be called and differentiated. It updates the state of the original (spectral
        norm's vectors). Optimize, save and checkpoint the original.
    """
    table: dict[type, Replace] = {
        PictureNorm: recast(_PictureNorm),
        keras.layers.LeakyReLU: recast(_LeakyReLU),
        Upsample2x: _upsample,
    }
    if exposed:
        table[Exposure] = lambda _: lambda x: x
    return swap_layers(network, table)


def _upsample(layer: Upsample2x) -> Upsample2x:
    # No published training has half-pixel upsampling, so no trajectory depends on its rounding.
    kinds = {"legacy": _Upsample2x, "half_pixel": _HalfPixelUpsample2x}
    return recast(kinds[layer.mode])(layer) if layer.mode in kinds else layer


class _LeakyReLU(keras.layers.LeakyReLU):
    """Leaky ReLU that keeps its output for the gradient.

    The next convolution keeps it too, so the input need not stay in memory.
    """

    def call(self, inputs: Any) -> Any:
        slope = float(self.negative_slope)

        @tf.custom_gradient
        def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            y = tf.nn.leaky_relu(x, slope)

            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                # The operation needs only the signs, and y has those of x.
                return tf.raw_ops.LeakyReluGrad(gradients=upstream, features=y, alpha=slope)

            return y, gradient

        return run(inputs)


class _Upsample2x(Upsample2x):
    """Legacy upsampling whose gradient is one operation."""

    def call(self, inputs: Any) -> Any:
        upsample = super().call

        @tf.custom_gradient
        def run(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
            shape = tf.shape(x)

            def gradient(upstream: tf.Tensor) -> tf.Tensor:
                # Of the original picture the operation uses only shape and dtype.
                original, wide = tf.zeros(shape, x.dtype), tf.cast(upstream, tf.float32)
                grads = tf.raw_ops.ResizeBilinearGrad(grads=wide, original_image=original)
                return tf.cast(grads, x.dtype)

            return upsample(x), gradient

        return run(inputs)


class _HalfPixelUpsample2x(Upsample2x):
    """Half-pixel upsampling in one operation: half the time of a training step."""

    def call(self, inputs: Any) -> Any:
        size = tf.shape(inputs)[1:3] * 2
        resized = tf.raw_ops.ResizeBilinear(images=inputs, size=size, half_pixel_centers=True)
        return tf.cast(resized, inputs.dtype)


class _PictureNorm(PictureNorm):
    """Norm whose gradient keeps the input and two numbers per mean."""

    def call(self, inputs: Any) -> Any:
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        gamma, beta = (
            ops.reshape(ops.cast(weight, dtype), (1, 1, 1, -1))
            for weight in (self.gamma, self.beta)
        )

        def run(x: Any, gamma: Any, beta: Any) -> tuple[Any, Callable[..., tuple[Any, Any, Any]]]:
            wide = ops.cast(x, dtype)
            mean = self.mean(wide)
            centered = wide - mean
            rate = ops.rsqrt(self.mean(ops.square(centered)) + self.epsilon)

            def gradient(upstream: Any) -> tuple[Any, Any, Any]:
                centered = ops.cast(x, dtype) - mean
                # Means over each picture and channel: of the gradient, and along the output.
                across = _picture_mean(upstream)
                along = _picture_mean(upstream * centered) * rate
                pixels = ops.cast(ops.shape(upstream)[1] * ops.shape(upstream)[2], dtype)
                shared, slope = gamma * across, gamma * along
                if self.across_channels:
                    shared = ops.mean(shared, axis=3, keepdims=True)
                    slope = ops.mean(slope, axis=3, keepdims=True)
                to_x = upstream * (gamma * rate) - centered * (slope * rate * rate) - shared * rate
                to_gamma = ops.sum(along, axis=0, keepdims=True) * pixels
                to_beta = ops.sum(across, axis=0, keepdims=True) * pixels
                return ops.cast(to_x, x.dtype), to_gamma, to_beta

            return centered * (rate * gamma) + beta, gradient

        return ops.cast(ops.custom_gradient(run)(inputs, gamma, beta), self.compute_dtype)


def _picture_mean(x: Any) -> Any:
    return ops.mean(ops.mean(x, axis=2, keepdims=True), axis=1, keepdims=True)
