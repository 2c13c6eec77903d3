"""The networks' norms, and what decides which statistics they normalise with."""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
from keras import ops

from anime_tf.models import gradients, quick
from anime_tf.models.doubling import doubled_conv

PACKAGE = "anime_tf"
"""Under which Keras registers the layers and networks."""

LAYER_NORM_EPSILON = 1e-12
"""Epsilon of TensorFlow 1's `contrib.layers.layer_norm`; a larger one is another network."""

INSTANCE_NORM_EPSILON = 1e-5
"""Epsilon of instance norm in the first AnimeGAN, but for its separable convolutions."""

NORMS = ("layer", "instance")
"""Norms that the blocks of the AnimeGAN family come with: the first version has the second."""

Moments = tuple[Any, Any]
"""Mean and variance that a norm uses, float32: (n, 1, 1, 1), or (n, 1, 1, channels)."""

_CHOOSE = contextvars.ContextVar[Any]("choose", default=None)
_FOLDED = contextvars.ContextVar["_Statistics | None"]("folded", default=None)


@contextlib.contextmanager
def choosing_statistics(
    choose: Callable[[PictureNorm, Callable[..., Moments]], Moments],
) -> Iterator[None]:
    """Within it `choose` decides which statistics each `PictureNorm` normalises with.

    In a film those of the frames before may go into a frame's, a tile may take those of its whole
    picture. For networks that infer: training measures.

    Args:
        choose: Called with each norm, in the order in which the network runs them, and a function
            of no arguments that measures its input; not to be called where the measured values do
            not matter, for that takes two passes over it. What it returns is used, and needs only
            to be of shapes that broadcast against the measured ones'. With `quick` operations the
            function takes another, of the input to the part of it that is to be measured.
    """
    token = _CHOOSE.set(choose)
    try:
        yield
    finally:
        _CHOOSE.reset(token)


class _Statistics:
    """Statistics of all norms of a network, handed out in the order in which it runs them."""

    def __init__(self, statistics: Any) -> None:
        are_known = isinstance(statistics, np.ndarray)
        self._left = statistics.astype(np.float64) if are_known else statistics

    def of(self, norm: PictureNorm) -> tuple[Any, Any]:
        size = norm.statistics_size
        if self._left.shape[0] < 2 * size:
            raise ValueError(
                f"too few statistics for this network: the norm {norm.name} needs {2 * size}, "
                f"left are {self._left.shape[0]}; they are of another network"
            )
        mean, variance = self._left[:size], self._left[size : 2 * size]
        self._left = self._left[2 * size :]
        choose = _CHOOSE.get()
        if choose is None:
            return mean, variance
        shape = (1, 1, 1, size)
        chosen = choose(norm, lambda: (ops.reshape(mean, shape), ops.reshape(variance, shape)))
        mean, variance = (ops.reshape(moment, (size,)) for moment in chosen)
        return mean, variance

    def check_used(self) -> None:
        if self._left.shape[0]:
            raise ValueError(
                f"{self._left.shape[0]} statistics too many for this network; they are of another"
            )


@contextlib.contextmanager
def folded_statistics(statistics: Any) -> Iterator[None]:
    """Within it each norm is part of the convolution before it, with statistics that are given.

    One network is to be run within it, once: a graph so traced has convolutions with biases in the
    place of convolutions and norms.

    Args:
        statistics: (k,), mean and variance of one norm after the other, in the order in which the
            network runs them; as `inference.any_picture.AnyPicture.holding` gives them. Of an
            array kernels and biases are constants of the graph. Of a float32 tensor of known shape
            they are computed in it, at each run: one graph for all statistics. Within
            `choosing_statistics` they take the place of what is measured.

    Raises:
        ValueError: They are not as many as the network that was run needs.
    """
    left = _Statistics(statistics)
    token = _FOLDED.set(left)
    try:
        yield
    finally:
        _FOLDED.reset(token)
    left.check_used()


def normed(
    conv: keras.layers.Layer,
    norm: PictureNorm,
    x: Any,
    activation: Callable[[Any], Any] = lambda y: y,
    *,
    doubled: bool = False,
) -> Any:
    """activation(norm(conv(x))): what all networks call, so that all can be one operation.

    Within `folded_statistics`, with scale = gamma / sqrt(variance + epsilon), it is the convolution
    with kernel * scale and the bias (bias - mean) * scale + beta.

    Args:
        conv: A `Conv2D` or `DepthwiseConv2D`, without activation, padding "valid".
        norm: What follows it.
        x: Tensor (n, height, width, channels).
        activation: What comes after.
        doubled: Whether the convolution is of x doubled and padded, as `doubling.doubled_conv`.

    Returns:
        Tensor of the shape and type that they give.
    """
    folded = _FOLDED.get()
    if folded is None:
        return activation(norm(doubled_conv(x, conv.kernel) if doubled else conv(x)))
    mean, variance = folded.of(norm)
    are_known = isinstance(mean, np.ndarray)
    # What is known is computed in float64 and rounded once; as little as float32 adds to that.
    by: Any = np if are_known else ops
    values = _values if are_known else _float32
    scale = values(norm.gamma) / by.sqrt(variance + norm.epsilon)
    bias = values(conv.bias) if conv.use_bias else 0.0
    bias = (bias - mean) * scale + values(norm.beta)
    kernel = values(conv.kernel)
    x = ops.cast(x, conv.compute_dtype)

    def finish(y: Any) -> Any:
        return activation(_add_bias(y, bias))

    if doubled:
        return doubled_conv(x, _rounded(kernel * scale, "float32"), finish)
    if isinstance(conv, keras.layers.DepthwiseConv2D):
        kernel = _rounded(kernel * by.reshape(scale, kernel.shape[2:]), x.dtype)
        y = ops.depthwise_conv(x, kernel, conv.strides, "valid")
    else:
        y = ops.conv(x, _rounded(kernel * scale, x.dtype), conv.strides, "valid")
    return finish(y)


def _float32(weight: Any) -> Any:
    return ops.cast(weight, "float32")


def _values(weight: Any) -> np.ndarray:
    outside: Any = contextlib.nullcontext()
    if keras.config.backend() == "tensorflow":
        import tensorflow as tf

        outside = tf.init_scope()  # of the graph that is being traced
    with outside:
        return ops.convert_to_numpy(weight).astype(np.float64)


def _rounded(values: Any, dtype: Any) -> Any:
    if isinstance(values, np.ndarray):
        values = values.astype(np.float32)
    return ops.cast(ops.convert_to_tensor(values), dtype)


def _add_bias(x: Any, bias: Any) -> Any:
    if keras.config.backend() != "tensorflow":
        return x + _rounded(bias, x.dtype)
    import tensorflow as tf

    # By the one operation that TensorFlow makes part of a convolution in every number type.
    return tf.nn.bias_add(x, _rounded(bias, x.dtype))


@keras.saving.register_keras_serializable(PACKAGE)
class PictureNorm(keras.layers.Layer):
    """Normalisation over height and width of each sample, with all channels together or each alone.

        y = (x - mean) / sqrt(variance + epsilon) * gamma + beta

    with one mean and variance a sample (layer norm) or one a channel of it (instance norm). This is
    `keras.layers.GroupNormalization` with one group or with one for each channel, but for two
    things: no tensor has five axes, which GPUs of phones and browsers do not take; and a mean is
    taken over one axis after the other, for TensorFlow, TFLite and ONNX Runtime add up all values
    of a picture in one go, in float32, and lose more digits the larger the picture is.

    Within `choosing_statistics` mean and variance may be others than the input's own.

    Input and output (n, h, w, c). Statistics are computed in float32 under every policy.

    Args:
        over_channels: Whether the channels share mean and variance.
        epsilon: Added to the variance.
    """

    def __init__(self, over_channels: bool, epsilon: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.over_channels = over_channels
        self.epsilon = epsilon

    @property
    def statistics_size(self) -> int:
        """How many means it uses for a picture, and as many variances."""
        return 1 if self.over_channels else int(self.gamma.shape[0])

    def build(self, input_shape: Any) -> None:
        shape = (input_shape[-1],)
        self.gamma = self.add_weight(name="gamma", shape=shape, initializer="ones", autocast=False)
        self.beta = self.add_weight(name="beta", shape=shape, initializer="zeros", autocast=False)

    def _mean(self, x: Any) -> Any:
        for axis in (2, 1, 3) if self.over_channels else (2, 1):
            x = ops.mean(x, axis=axis, keepdims=True)
        return x

    def call(self, inputs: Any) -> Any:
        if quick.are_quick():
            return ops.cast(self._quickly_normalised(inputs), self.compute_dtype)
        x = ops.cast(inputs, keras.backend.result_type(inputs.dtype, "float32"))
        gamma, beta = ops.cast(self.gamma, x.dtype), ops.cast(self.beta, x.dtype)
        choose = _CHOOSE.get()
        if choose is None:
            if gradients.are_ours():
                return ops.cast(self._normalised(inputs, gamma, beta), self.compute_dtype)
            x = x - self._mean(x)
            variance = self._mean(ops.square(x))
            scale = ops.rsqrt(variance + self.epsilon) * gamma
        else:
            x, origin, (mean, variance) = self._chosen(x, choose)
            scale = ops.rsqrt(variance + self.epsilon) * gamma
            beta = beta - (mean - origin) * scale
        return ops.cast(x * scale + beta, self.compute_dtype)

    def _normalised(self, x: Any, gamma: Any, beta: Any) -> Any:
        return gradients.normalise(
            x,
            ops.reshape(gamma, (1, 1, 1, -1)),
            ops.reshape(beta, (1, 1, 1, -1)),
            mean_of=self._mean,
            together=self.over_channels,
            epsilon=self.epsilon,
        )

    def _quickly_normalised(self, x: Any) -> Any:
        def measure(part: Callable[[Any], Any] = lambda x: x) -> Moments:
            return quick.moments(part(x), together=self.over_channels)

        choose = _CHOOSE.get()
        mean, variance = measure() if choose is None else choose(self, measure)
        scale = ops.rsqrt(variance + self.epsilon) * self.gamma
        return quick.normalise(x, mean, scale, self.beta)

    def _chosen(self, x: Any, choose: Any) -> tuple[Any, Any, Moments]:
        """What `choose` chose; and the input less its own mean, and that mean, if it was measured.

        So that a measured input is read no more often than without a choice.
        """
        measured: list[Any] = []

        def measure() -> Moments:
            if not measured:
                mean = self._mean(x)
                centred = x - mean
                measured.extend((centred, mean, self._mean(ops.square(centred))))
            return measured[1], measured[2]

        moments = choose(self, measure)
        centred, origin = measured[:2] if measured else (x, 0.0)
        return centred, origin, moments

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "over_channels": self.over_channels,
            "epsilon": self.epsilon,
        }


def layer_norm(name: str, dtype: Any = None, epsilon: float = LAYER_NORM_EPSILON) -> PictureNorm:
    """Layer norm over height, width and channels of each sample, as the originals have it.

    This is group normalisation with one group: one mean and variance a sample, one gamma and beta
    a channel. `keras.layers.LayerNormalization(axis=-1)` takes its statistics at each pixel alone
    and is another network. Statistics are computed in float32 under every policy.

    Args:
        name: Name of the layer.
        dtype: Dtype policy.
        epsilon: Added to the variance.

    Returns:
        An unbuilt layer with weights `gamma` and `beta`, (channels,) each.
    """
    return PictureNorm(True, epsilon, name=name, dtype=dtype)


def instance_norm(
    name: str, dtype: Any = None, epsilon: float = INSTANCE_NORM_EPSILON
) -> PictureNorm:
    """Instance norm: over height and width of each channel of each sample.

    This is group normalisation with as many groups as channels. Statistics are computed in float32
    under every policy.

    Args:
        name: Name of the layer.
        dtype: Dtype policy.
        epsilon: Added to the variance.

    Returns:
        An unbuilt layer with weights `gamma` and `beta`, (channels,) each.

    Reference: Ulyanov et al., Instance Normalization, 2016.
    """
    return PictureNorm(False, epsilon, name=name, dtype=dtype)


def norm_of(
    kind: str, name: str, dtype: Any = None, epsilon: float | None = None
) -> keras.layers.Layer:
    """A norm of `NORMS`, unbuilt; without `epsilon` with its own.

    Raises:
        ValueError: There is no such norm.
    """
    norms = {"layer": layer_norm, "instance": instance_norm}
    if kind not in norms:
        raise ValueError(f"norm must be one of {', '.join(NORMS)}, received {kind!r}")
    options = {} if epsilon is None else {"epsilon": epsilon}
    return norms[kind](name, dtype, **options)
