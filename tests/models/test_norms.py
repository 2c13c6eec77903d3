"""Norms against TensorFlow Addons, Keras and numbers in float64."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from golden_files import arrays, assert_close
from tolerances import FEW_ROUNDINGS

from anime_tf.models.norms import instance_norm, layer_norm

ROUNDING = 2 * FEW_ROUNDINGS  # values up to 2


def test_layer_norm_measures_each_whole_picture():
    x = np.random.default_rng(1).normal(3, 2, (2, 4, 5, 6)).astype(np.float32)
    y = np.asarray(layer_norm("norm")(x))
    assert_close(y.mean((1, 2, 3)), [0, 0], atol=FEW_ROUNDINGS)
    assert_close(y.std((1, 2, 3)), [1, 1], atol=1e-5)  # epsilon in the root takes a part
    assert np.abs(y.mean(-1)).max() > 0.1, "not over each pixel's channels"


@pytest.mark.parametrize(
    ("golden", "norm"), [("norm_group1", layer_norm), ("norm_instance", instance_norm)]
)
def test_norms_equal_tensorflow_addons(golden, norm):
    numbers = arrays("tensorflow_addons")
    layer = norm("norm", epsilon=1e-5)
    layer.build(numbers["norm_input"].shape)
    layer.gamma.assign(numbers["gamma"])
    layer.beta.assign(numbers["beta"])
    assert_close(
        layer(numbers["norm_input"]), numbers[golden], atol=2 * FEW_ROUNDINGS
    )  # values up to 2


@pytest.mark.parametrize("norm", [layer_norm, instance_norm])
def test_norms_equal_group_normalization_and_keep_precision_on_large_pictures(norm):
    """The expected values are those of Keras in double precision."""
    random = np.random.default_rng(0)
    x = (random.standard_normal((1, 512, 512, 8)) * 3 + 5).astype(np.float32)
    layer = norm("norm", epsilon=1e-5)
    groups = 1 if norm is layer_norm else -1
    expected = keras.layers.GroupNormalization(groups, epsilon=1e-5, dtype="float64")
    for each in (layer, expected):
        each.build(x.shape)
        each.gamma.assign(np.linspace(0.5, 2, 8))
        each.beta.assign(np.linspace(-1, 1, 8))
    assert_close(layer(x), expected(x.astype(np.float64)), atol=5 * FEW_ROUNDINGS)  # values up to 5
    assert layer.get_config() == type(layer).from_config(layer.get_config()).get_config()


@pytest.mark.parametrize("norm", [layer_norm, instance_norm])
def test_norms_measure_and_normalize_apart(norm):
    x = np.random.default_rng(5).normal(3, 2, (2, 6, 7, 4)).astype(np.float32)
    layer = norm("norm", epsilon=1e-5)
    layer.build(x.shape)
    layer.gamma.assign([1, 2, 3, 4])
    layer.beta.assign([0, 1, 0, -1])
    mean, variance = layer.measure(x)
    axes = (1, 2, 3) if layer.across_channels else (1, 2)
    assert_close(mean, x.mean(axes, keepdims=True), atol=ROUNDING)
    assert_close(variance, x.var(axes, keepdims=True), atol=10 * ROUNDING)
    assert mean.shape[1:] == (1, 1, layer.statistics_size)
    np.testing.assert_array_equal(layer.normalize(x, mean, variance), layer(x))
    expected = (x - 10) / np.sqrt(4 + 1e-5) * [1, 2, 3, 4] + [0, 1, 0, -1]
    assert_close(layer.normalize(x, 10.0, 4.0), expected, atol=10 * ROUNDING)
