"""Norms with other statistics than the measured ones: overridden, or fused into convolutions.

The statistics of a network are one vector (k,): mean and variance of one norm after the other, in
definition order. `spans` says which part of it belongs to which layer.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from anime_tf.models.norms import LADE, Moments, PictureNorm, StatisticsLayer
from anime_tf.models.tree import Replace, walk

# Function of the span of a norm's statistics, and of a function that measures them, in two passes
# over the input, which it can crop first. Returns the moments that the norm uses, in any shape that
# broadcasts against the measured ones.
Choose = Callable[[slice, Callable[..., Moments]], Moments]


def spans(network: keras.layers.Layer) -> list[tuple[StatisticsLayer, slice]]:
    """List the layers with statistics and the span of each: means before variances."""
    found, begin = [], 0
    for layer in walk(network):
        if isinstance(layer, StatisticsLayer):
            end = begin + 2 * layer.statistics_size
            found.append((layer, slice(begin, end)))
            begin = end
    return found


def statistics_length(network: keras.layers.Layer) -> int:
    """Return the length of the vector of all statistics of a network."""
    return sum(2 * layer.statistics_size for layer, _ in spans(network))


def mean_mask(network: keras.layers.Layer) -> np.ndarray:
    """Return a boolean vector that selects the means among all statistics."""
    sizes = [layer.statistics_size for layer, _ in spans(network)]
    return np.concatenate([np.zeros(0, bool), *(np.repeat([True, False], n) for n in sizes)])


def override_norm_statistics(network: keras.layers.Layer, choose: Choose) -> dict[int, Replace]:
    """Make replacements for `swap_layers` that let a function choose each norm's statistics."""
    return {id(layer): _overriding(span, choose) for layer, span in spans(network)}


def _overriding(span: slice, choose: Choose) -> Replace:
    def run(norm: Any, x: Any) -> Any:
        moments = choose(span, lambda crop=lambda x: x: norm.measure(crop(x)))
        return norm.normalize(x, *moments)

    return lambda norm: partial(run, norm)


def fuse_norm_statistics(
    network: keras.layers.Layer, statistics: Any, choose: Choose | None = None
) -> dict[int, Replace]:
    """Make replacements for `swap_layers` that fuse norms into the convolutions before them.

    With scale = gamma / sqrt(variance + epsilon), convolution and norm are the convolution with
    kernel * scale and the bias (bias - mean) * scale + beta. LADE has sqrt(variance(t) + epsilon)
    and mean(t) for gamma and beta, so that its own convolution disappears. Batch norms, whose
    statistics are weights, are fused likewise. Other layers with statistics, and norms without a
    convolution defined before them, use the given statistics without being fused. An array (k,)
    makes constants of the graph; a float32 tensor of known length is computed in it. `choose` gets
    the given statistics in place of measured ones.

    Raises:
        ValueError: The number of statistics does not fit the network.
    """
    expected, got = statistics_length(network), int(statistics.shape[0])
    if got != expected:
        raise ValueError(
            f"expected {expected} norm statistics for this network, got {got}; measure them with "
            "this network"
        )
    if isinstance(statistics, np.ndarray):
        statistics = statistics.astype(np.float64)
    replacements: dict[int, Replace] = {}
    span_of = {id(layer): span for layer, span in spans(network)}
    conv: Any = None
    for layer in walk(network):
        if isinstance(layer, keras.layers.Conv2D | keras.layers.DepthwiseConv2D):
            conv = layer
        elif isinstance(layer, keras.layers.BatchNormalization):
            moments = (_constant(layer.moving_mean), _constant(layer.moving_variance))
            replacements[id(conv)] = _replace_by(FusedConv(conv, layer, *moments))
            replacements[id(layer)] = _replace_by(lambda x: x)
            conv = None
        elif isinstance(layer, StatisticsLayer):
            given = _given_moments(layer, statistics, span_of[id(layer)], choose)
            is_plain = conv is not None and conv.activation is keras.activations.linear
            if isinstance(layer, PictureNorm | LADE) and is_plain:
                replacements[id(conv)] = _replace_by(FusedConv(conv, layer, *given))
                replacements[id(layer)] = _replace_by(lambda x: x)
            else:
                replacements[id(layer)] = _with_moments(given)
            conv = None
    return replacements


def _replace_by(layer: Callable[[Any], Any]) -> Replace:
    return lambda _: layer


def _with_moments(moments: Moments) -> Replace:
    def normalize(layer: Any, x: Any) -> Any:
        tensors = (ops.convert_to_tensor(moment, "float32") for moment in moments)
        return layer.normalize(x, *(ops.reshape(moment, (1, 1, 1, -1)) for moment in tensors))

    return lambda layer: partial(normalize, layer)


def _given_moments(
    layer: StatisticsLayer, statistics: Any, span: slice, choose: Choose | None
) -> Moments:
    size = layer.statistics_size
    mean, variance = statistics[span][:size], statistics[span][size:]
    if choose is not None:
        shape = (1, 1, 1, size)
        chosen = choose(span, lambda: (ops.reshape(mean, shape), ops.reshape(variance, shape)))
        mean, variance = (ops.reshape(moment, (size,)) for moment in chosen)
    return mean, variance


class FusedConv:
    """A `Conv2D` or `DepthwiseConv2D` without activation, fused with the norm after it.

    Mean and variance are (size,) arrays or tensors, and so is the float32 `kernel`.
    """

    def __init__(self, conv: Any, norm: Any, mean: Any, variance: Any) -> None:
        is_constant = isinstance(mean, np.ndarray)
        # Constants are computed in float64 and rounded once.
        by: Any = np if is_constant else ops
        values = _constant if is_constant else lambda weight: ops.cast(weight, "float32")
        if isinstance(norm, LADE):
            size = norm.statistics_size // 2
            gamma, beta = by.sqrt(variance[size:] + norm.epsilon), mean[size:]
            mean, variance = mean[:size], variance[:size]
        else:
            gamma, beta = values(norm.gamma), values(norm.beta)
        scale = gamma / by.sqrt(variance + norm.epsilon)
        bias = values(conv.bias) if conv.use_bias else 0.0
        self._bias = (bias - mean) * scale + beta
        self._is_depthwise = isinstance(conv, keras.layers.DepthwiseConv2D)
        kernel = values(conv.kernel)
        kernel = kernel * (by.reshape(scale, kernel.shape[2:]) if self._is_depthwise else scale)
        self.kernel = kernel.astype(np.float32) if is_constant else kernel
        self._strides, self._padding = conv.strides, conv.padding
        self._dtype = conv.compute_dtype

    def __call__(self, x: Any) -> Any:
        x = ops.cast(x, self._dtype)
        conv = ops.depthwise_conv if self._is_depthwise else ops.conv
        kernel = ops.cast(ops.convert_to_tensor(self.kernel), x.dtype)
        return self.add_bias(conv(x, kernel, self._strides, self._padding))

    def add_bias(self, x: Any) -> Any:
        """Add the bias, by the operation that TensorFlow merges into convolutions."""
        bias = self._bias.astype(np.float32) if isinstance(self._bias, np.ndarray) else self._bias
        return tf.nn.bias_add(x, ops.cast(ops.convert_to_tensor(bias), x.dtype))


def _constant(weight: Any) -> np.ndarray:
    with tf.init_scope():  # out of the graph that is being traced
        return ops.convert_to_numpy(weight).astype(np.float64)


class EmaStatistics:
    """Moving average of norm statistics over the frames of a video; a `Choose`.

    Each norm uses previous + momentum * (measured - previous), moved to within a tolerance of the
    measured statistics: means by so many standard deviations, deviations by a factor of
    1 + tolerance. `previous` is (k,), the statistics that the frame before used; `momentum` and
    `tolerance` are scalars.
    """

    def __init__(self, previous: Any, momentum: Any, tolerance: Any) -> None:
        self._previous = previous
        self._momentum = momentum
        self._tolerance = tolerance
        self._used: dict[int, Any] = {}

    def __call__(self, span: slice, measure: Callable[..., Moments]) -> Moments:
        mean, variance = measure()
        distance = self._tolerance * tf.sqrt(variance)
        factor = tf.square(1.0 + self._tolerance)
        middle = (span.start + span.stop) // 2
        return (
            self._mix(span.start, middle, mean, mean - distance, mean + distance),
            self._mix(middle, span.stop, variance, variance / factor, variance * factor),
        )

    def _mix(self, start: int, stop: int, measured: Any, lowest: Any, highest: Any) -> Any:
        previous = tf.reshape(self._previous[start:stop], (1, 1, 1, stop - start))
        # Not by the difference: at a momentum of 1 the result is exactly the measured one.
        used = (1.0 - self._momentum) * previous + self._momentum * measured
        used = tf.minimum(tf.maximum(used, lowest), highest)
        self._used[start] = tf.reshape(used, (stop - start,))
        return used

    def used(self) -> Any:
        """Return the statistics that all norms used, (k,)."""
        used = [self._used[start] for start in sorted(self._used)]
        return tf.concat([tf.zeros(0), *used], axis=0)
