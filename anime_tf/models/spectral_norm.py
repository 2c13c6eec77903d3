"""Spectral norm of the discriminators."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE

SPECTRAL_NORM_EPSILON = 1e-12  # added to the l2 norms of the power iteration


@keras.saving.register_keras_serializable(PACKAGE)
class SpectralNormConv2D(keras.layers.Layer):
    """Convolution whose kernel is divided by an estimate of its largest singular value.

    With W the kernel as a matrix (kh kw c_in, filters) and u the stored left vector (1, filters):

        v = l2norm(u W^T),   u' = l2norm(v W),   sigma = v W u'^T,   y = conv(x, W / sigma).

    In training u becomes u' at every call. The kernel is never overwritten, and gradients pass
    through sigma, u' and v, as in the original. `keras.layers.SpectralNormalization` computes the
    same output, but overwrites its kernel at each training call, so it trains differently.

    Args:
        filters: Channels of the output.
        kernel_size: Side of the kernel.
        strides: Stride on both axes.
        padding: "same" or "valid".
        power_iterations: Power iterations per call, at least 1.
        kernel_initializer: Initializer of the kernel.
        use_bias: Add a bias.

    Raises:
        ValueError: `power_iterations` is less than 1.

    Reference: Miyato et al., Spectral Normalization for GANs, ICLR 2018, algorithm 1.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        power_iterations: int = 1,
        kernel_initializer: Any = "glorot_uniform",
        use_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if power_iterations < 1:
            raise ValueError(f"expected power_iterations of at least 1, got {power_iterations}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.power_iterations = power_iterations
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        # autocast=False: sigma is computed from the float32 kernel under every policy.
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], self.filters),
            initializer=self.kernel_initializer,
            autocast=False,
        )
        self.u = self.add_weight(
            name="u",
            shape=(1, self.filters),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            autocast=False,
            # All replicas of a distributed run compute the same.
            aggregation="only_first_replica",
        )
        self.bias = (
            self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
            if self.use_bias
            else None
        )

    def normalized_kernel(self) -> tuple[Any, Any]:
        """Return the kernel divided by sigma, and u', both float32 and differentiable."""
        kernel = ops.cast(self.kernel, "float32")
        matrix = ops.reshape(kernel, (-1, self.filters))
        u = ops.cast(self.u, "float32")
        for _ in range(self.power_iterations):
            v = _l2_normalize(ops.matmul(u, ops.transpose(matrix)))
            u = _l2_normalize(ops.matmul(v, matrix))
        sigma = ops.matmul(ops.matmul(v, matrix), ops.transpose(u))
        return kernel / ops.reshape(sigma, ()), u

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        kernel, u = self.normalized_kernel()
        if training:
            self.u.assign(ops.stop_gradient(u))
        kernel = ops.cast(kernel, inputs.dtype)
        y = ops.conv(inputs, kernel, strides=self.strides, padding=self.padding)
        return y if self.bias is None else y + self.bias

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "power_iterations": self.power_iterations,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "use_bias": self.use_bias,
        }


def _l2_normalize(x: Any) -> Any:
    return x / (ops.sqrt(ops.sum(ops.square(x))) + SPECTRAL_NORM_EPSILON)
