"""Norms with overridden and fused statistics."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import FEW_ROUNDINGS

from anime_tf.inference.lowering.lower import CPU, PORTABLE, lower
from anime_tf.inference.lowering.norm_statistics import (
    FusedConv,
    mean_mask,
    spans,
    statistics_length,
)
from anime_tf.models.norms import StatisticsLayer, instance_norm
from anime_tf.models.registry import GENERATORS
from anime_tf.models.tree import build_in_order, sublayers

FUSED = 1e-4  # of float32: kernels are multiplied before the sums, not after


class MeanShift(StatisticsLayer):
    """A layer with statistics that is no norm after a convolution."""

    statistics_size = 1

    def measure(self, x):
        mean = tf.reduce_mean(x, (1, 2, 3), keepdims=True)
        return mean, tf.ones_like(mean)

    def normalize(self, x, mean, variance):
        return x - mean


class Shifted(keras.layers.Layer):
    def __init__(self):
        super().__init__()
        self.shift = MeanShift()
        self.generator = GENERATORS["animegan_v2"](width=2)

    def build(self, input_shape):
        self.built = True

    def call(self, inputs, training=False):
        return self.generator(self.shift(inputs))


def picture(seed=0):
    values = np.random.default_rng(seed).uniform(-1, 1, (1, 32, 48, 3))
    return tf.constant(values, tf.float32)


@pytest.mark.parametrize("name", GENERATORS)
def test_norms_run_in_definition_order(name):
    """The networks define their layers in the order in which they run."""
    model = GENERATORS[name](width=2)
    seen = []

    def choose(span, measure):
        seen.append(span)
        return measure()

    y = lower(model, PORTABLE, choose=choose)(picture(), training=False)
    assert seen == [span for _, span in spans(model)]
    assert ([0] + [s.stop for s in seen])[-1] == statistics_length(model) == len(mean_mask(model))
    np.testing.assert_allclose(y, lower(model, PORTABLE)(picture(), training=False))


def test_layers_that_cannot_be_fused_use_the_given_statistics():
    keras.utils.set_random_seed(1)
    network = Shifted()
    measured = {}

    def record(span, measure):
        mean, variance = measure()
        measured[span.start] = np.ravel(np.concatenate([np.ravel(mean), np.ravel(variance)]))
        return mean, variance

    expected = lower(network, CPU, choose=record)(picture())
    statistics = np.concatenate([measured[start] for start in sorted(measured)])
    for given in (statistics, tf.constant(statistics)):
        np.testing.assert_allclose(
            lower(network, CPU, statistics=given)(picture()), expected, atol=FUSED
        )
    other = lower(network, CPU, statistics=statistics)(picture() + 0.25)
    assert np.abs(other - expected).max() > 0.01, "not its own mean"


def test_measuring_a_part():
    model = GENERATORS["cartoongan"](width=2)
    means = []

    def choose(span, measure):
        mean, _variance = measure(lambda x: x[:, :4])
        means.append(mean)
        return measure()

    x = picture()
    lower(model, PORTABLE, choose=choose)(x, training=False)
    conv, norm = model.first[1:3]
    expected = norm.measure(conv(model.first[0](x))[:, :4])[0]
    np.testing.assert_allclose(means[0], expected, rtol=FEW_ROUNDINGS)


def test_other_convolutions_before_a_norm():
    """One with zero padding is fused; one with an activation is not, nor is the first norm."""
    network = keras.layers.Layer()
    network.first = instance_norm("first")
    network.padded = keras.layers.Conv2D(4, 3, padding="same")
    network.second = instance_norm("second")
    network.activated = keras.layers.Conv2D(2, 1, activation="relu")
    network.third = instance_norm("third")
    build_in_order(network, (None, None, None, 3))
    expected = x = picture()
    statistics = np.linspace(0.5, 2, 18)
    lowered = lower(network, PORTABLE, statistics=statistics)
    statistics = statistics.astype(np.float32)
    assert isinstance(lowered.padded, FusedConv)
    assert not isinstance(lowered.activated, FusedConv)
    for layer in sublayers(network):
        if isinstance(layer, StatisticsLayer):
            size = layer.statistics_size
            expected = layer.normalize(expected, statistics[:size], statistics[size : 2 * size])
            statistics = statistics[2 * size :]
        else:
            expected = layer(expected)
    for name in ("first", "padded", "second", "activated", "third"):
        x = getattr(lowered, name)(x)
    np.testing.assert_allclose(x, expected, atol=FUSED)
