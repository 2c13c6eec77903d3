"""Norms of the generators over whole pictures: layer norm, instance norm, LADE, double norm."""

from __future__ import annotations

from typing import Any, ClassVar

import keras
from keras import ops

from anime_tf.models import PACKAGE
from anime_tf.models.spectral_norm import SpectralNormConv2D

# epsilon of TensorFlow 1's `contrib.layers.layer_norm`; a larger one changes the result
LAYER_NORM_EPSILON = 1e-12

# epsilon of instance norm in the first AnimeGAN, except in its separable convolutions
INSTANCE_NORM_EPSILON = 1e-5

LADE_EPSILON = 1e-5

# epsilon of the second division of double norm
DOUBLE_NORM_EPSILON = 1e-9

# largest score whose exponential double norm measures, largest deviation whose square it sums, and
# smallest mean: what fits float32
MAX_SCORE, MAX_DEVIATION, MIN_MEAN = 80.0, 1e17, 1e-37

# kinds of norm in the AnimeGAN family; the first version uses instance norm, the third LADE
NORMS = ("layer", "instance", "lade")

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
        return _mean(x, (2, 1, 3) if self.across_channels else (2, 1))

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


@keras.saving.register_keras_serializable(PACKAGE)
class LADE(StatisticsLayer):
    """Linearly adaptive denormalization: instance norm whose scale and shift the picture decides.

    With t a 1x1 convolution of x, and mean and variance over height and width of each channel,

        y = (x - mean(x)) / sqrt(variance(x) + epsilon) * sqrt(variance(t) + epsilon) + mean(t)

    Input and output (n, h, w, c). Statistics, those of x before those of t, are computed in float32
    under every policy. Weights: `conv/kernel` (1, 1, c, c), and `conv/u` with spectral norm.

    Args:
        epsilon: Added to the variances.
        spectral_norm: Whether the kernel is divided by its spectral norm, as in discriminators.

    Reference: Liu, Chen, Gao, A Novel Double-Tail GAN for Fast Photo Animation, IEICE 2024.
    """

    def __init__(self, epsilon: float, spectral_norm: bool = False, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.epsilon = epsilon
        self.spectral_norm = spectral_norm

    def build(self, input_shape: Any) -> None:
        channels = input_shape[-1]
        options = {"use_bias": False, "name": "conv", "dtype": self.dtype_policy}
        kind = SpectralNormConv2D if self.spectral_norm else keras.layers.Conv2D
        self.conv = kind(channels, 1, kernel_initializer="glorot_uniform", **options)
        self.conv.build(input_shape)

    @property
    def statistics_size(self) -> int:
        """Twice the number of channels."""
        return 2 * int(self.conv.filters)

    def moments(self, x: Any) -> Moments:
        """Take mean and variance of each channel of each picture, float32 (n, 1, 1, c) each."""
        x = _at_least_float32(x)
        mean = _mean(x, (2, 1))
        return mean, _mean(ops.square(x - mean), (2, 1))

    def measure(self, x: Any) -> Moments:
        of_x, of_t = self.moments(x), self.moments(self.conv(x))
        mean, variance = (ops.concatenate(pair, axis=-1) for pair in zip(of_x, of_t, strict=True))
        return mean, variance

    def normalize(self, x: Any, mean: Any, variance: Any) -> Any:
        (mean_x, mean_t), (variance_x, variance_t) = (
            ops.split(moment, 2, axis=-1) for moment in (mean, variance)
        )
        y = (_at_least_float32(x) - mean_x) * ops.rsqrt(variance_x + self.epsilon)
        return ops.cast(y * ops.sqrt(variance_t + self.epsilon) + mean_t, self.compute_dtype)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "epsilon": self.epsilon,
            "spectral_norm": self.spectral_norm,
        }


@keras.saving.register_keras_serializable(PACKAGE)
class DoubleNorm(StatisticsLayer):
    """Softmax of scores over all positions of a picture, then division by the sum over slots.

    Input: scores (n, h, w, slots). Output: weights of the slots at each position, same shape.

    The statistics are mean and variance of exp(score) of each slot; only the mean is used.

    Reference: Guo et al., Beyond Self-attention: External Attention using Two Linear Layers for
        Visual Tasks, 2021, equations 8 to 10.
    """

    AXES: ClassVar[tuple[int, ...]] = (2, 1)

    def build(self, input_shape: Any) -> None:
        self.slots = int(input_shape[-1])

    @property
    def statistics_size(self) -> int:
        """The number of slots."""
        return self.slots

    def measure(self, x: Any) -> Moments:
        x = ops.exp(ops.minimum(_at_least_float32(x), MAX_SCORE))
        mean = _mean(x, self.AXES)
        return mean, _mean(ops.square(ops.clip(x - mean, -MAX_DEVIATION, MAX_DEVIATION)), self.AXES)

    def normalize(self, x: Any, mean: Any, variance: Any) -> Any:
        positions = ops.cast(ops.shape(x)[1] * ops.shape(x)[2], "float32")
        # Estimates of the mean may be off; the mean of a picture is far above this.
        mean = ops.maximum(mean, 1e-3 * ops.sqrt(variance) + MIN_MEAN)
        x = ops.exp(_at_least_float32(x) - ops.log(mean * positions))
        total = self.slots * ops.mean(x, axis=-1, keepdims=True)
        return ops.cast(x / (DOUBLE_NORM_EPSILON + total), self.compute_dtype)


def _mean(x: Any, axes: tuple[int, ...]) -> Any:
    for axis in axes:
        x = ops.mean(x, axis=axis, keepdims=True)
    return x


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


def lade(
    name: str, dtype: Any = None, epsilon: float = LADE_EPSILON, spectral_norm: bool = False
) -> LADE:
    """Make the norm of the third version."""
    return LADE(epsilon, spectral_norm, name=name, dtype=dtype)


def make_norm(
    kind: str, name: str, dtype: Any = None, epsilon: float | None = None
) -> keras.layers.Layer:
    """Make a norm of `NORMS`; without `epsilon`, with its default.

    Raises:
        ValueError: Unknown kind.
    """
    makers = {"layer": layer_norm, "instance": instance_norm, "lade": lade}
    if kind not in makers:
        raise ValueError(f"expected a norm of {', '.join(NORMS)}, got {kind!r}")
    options = {} if epsilon is None else {"epsilon": epsilon}
    return makers[kind](name, dtype, **options)
