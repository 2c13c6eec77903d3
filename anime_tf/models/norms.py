"""Norms of the generators: layer norm and instance norm over whole pictures."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE

# epsilon of TensorFlow 1's `contrib.layers.layer_norm`; a larger one changes the result
LAYER_NORM_EPSILON = 1e-12

# epsilon of instance norm in the first AnimeGAN, except in its separable convolutions
INSTANCE_NORM_EPSILON = 1e-5

# kinds of norm in the AnimeGAN family; the first version uses instance norm
NORMS = ("layer", "instance")

Moments = tuple[Any, Any]  # mean and variance, float32 (n, 1, 1, size) each


class StatisticsLayer(keras.layers.Layer):
    """Base class of layers that depend on statistics of the whole picture.

    `layer(x)` equals `layer.normalize(x, *layer.measure(x))`. Inference may use other statistics
    than the measured ones: constants, a moving average over frames, or those of the picture that
    a tile belongs to.
    """

    @property
    def statistics_size(self) -> int:
        """Number of means per picture; there are as many variances."""
        raise NotImplementedError

    def measure(self, x: Any) -> Moments:
        """Measure the moments of each picture, float32 (n, 1, 1, statistics_size) each."""
        raise NotImplementedError

    def normalize(self, x: Any, mean: Any, variance: Any) -> Any:
        """Compute the output for given moments, which broadcast against the measured ones."""
        raise NotImplementedError

    def call(self, inputs: Any) -> Any:
        return self.normalize(inputs, *self.measure(inputs))


@keras.saving.register_keras_serializable(PACKAGE)
class PictureNorm(StatisticsLayer):
    """Normalization over height and width, across all channels or of each channel.

        y = (x - mean) / sqrt(variance + epsilon) * gamma + beta

    This is `keras.layers.GroupNormalization` with one group (layer norm) or one group per channel
    (instance norm), with two differences. No tensor has five axes, which GPUs of phones and
    browsers do not support. Means are taken over one axis after the other: TensorFlow, TFLite and
    ONNX Runtime sum a whole picture in float32 otherwise, and lose digits on large pictures.

    Input and output (n, h, w, c). Statistics are computed in float32 under every policy. Weights:
    `gamma` and `beta`, (c,) each.

    Args:
        across_channels: Whether the channels share mean and variance.
        epsilon: Added to the variance.
    """

    def __init__(self, across_channels: bool, epsilon: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.across_channels = across_channels
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)

    @property
    def statistics_size(self) -> int:
        """1 across channels, else the number of channels."""
        return 1 if self.across_channels else int(self.gamma.shape[0])

    def mean(self, x: Any) -> Any:
        """Take the mean of each picture: (n, 1, 1, 1) across channels, else (n, 1, 1, c)."""
        for axis in (2, 1, 3) if self.across_channels else (2, 1):
            x = ops.mean(x, axis=axis, keepdims=True)
        return x

    def measure(self, x: Any) -> Moments:
        x = _at_least_float32(x)
        mean = self.mean(x)
        return mean, self.mean(ops.square(x - mean))

    def normalize(self, x: Any, mean: Any, variance: Any) -> Any:
        return self._scale(_at_least_float32(x) - mean, variance)

    def call(self, inputs: Any) -> Any:
        # As `normalize(measure)`, with the centered picture computed once.
        x = _at_least_float32(inputs)
        x = x - self.mean(x)
        return self._scale(x, self.mean(ops.square(x)))

    def _scale(self, centered: Any, variance: Any) -> Any:
        gamma, beta = (ops.cast(weight, centered.dtype) for weight in (self.gamma, self.beta))
        scale = ops.rsqrt(variance + self.epsilon) * gamma
        return ops.cast(centered * scale + beta, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "across_channels": self.across_channels,
            "epsilon": self.epsilon,
        }


def _at_least_float32(x: Any) -> Any:
    return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))


def layer_norm(name: str, dtype: Any = None, epsilon: float = LAYER_NORM_EPSILON) -> PictureNorm:
    """Make the originals' layer norm: over height, width and channels of each picture.

    `keras.layers.LayerNormalization(axis=-1)` differs: it takes the statistics of each pixel.
    """
    return PictureNorm(True, epsilon, name=name, dtype=dtype)


def instance_norm(
    name: str, dtype: Any = None, epsilon: float = INSTANCE_NORM_EPSILON
) -> PictureNorm:
    """Make an instance norm: over height and width of each channel of each picture.

    Reference: Ulyanov et al., Instance Normalization, 2016.
    """
    return PictureNorm(False, epsilon, name=name, dtype=dtype)


def make_norm(
    kind: str, name: str, dtype: Any = None, epsilon: float | None = None
) -> keras.layers.Layer:
    """Make a norm of `NORMS`; without `epsilon`, with its default.

    Raises:
        ValueError: Unknown kind.
    """
    makers = {"layer": layer_norm, "instance": instance_norm}
    if kind not in makers:
        raise ValueError(f"expected a norm of {', '.join(NORMS)}, got {kind!r}")
    options = {} if epsilon is None else {"epsilon": epsilon}
    return makers[kind](name, dtype, **options)
