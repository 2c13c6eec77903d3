"""Quick operations against numbers in float64 and against the networks' plain ones."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from tolerances import unless_flat

from anime_tf.inference.padded_generator import AnyPicture
from anime_tf.models import layers, quick
from anime_tf.models.registry import GENERATORS

ROUNDING = 1e-5  # of float32, through one operation
NETWORK = 1e-4  # of float32, through two dozen norms
BFLOAT16_RMS = 0.03  # of 2: random weights, whose output is noise, are the hardest case


@pytest.mark.parametrize("together", (True, False))
@pytest.mark.parametrize("offset", (0, 1000))
def test_moments_lose_nothing_where_values_are_large(together, offset):
    random = np.random.default_rng(1)
    x = random.normal(offset, 2, (1, 200, 300, 5)).astype(np.float32)
    mean, variance = quick.moments(tf.constant(x), together)
    axes = (1, 2, 3) if together else (1, 2)
    kept = {"axis": axes, "dtype": np.float64, "keepdims": True}
    # 1000 takes 10 of the 24 bits; E[x^2] - E[x]^2 would have lost all of them.
    np.testing.assert_allclose(variance, x.var(**kept), rtol=ROUNDING)
    np.testing.assert_allclose(mean, x.mean(**kept), rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("width", (96, 7))
def test_moments_in_bfloat16_are_those_of_its_values(width):
    """By columns of 32 pixels, of 96, and by such of one, of 7."""
    x = tf.cast(np.random.default_rng(4).normal(3, 2, (1, 400, width, 6)), tf.bfloat16)
    mean, variance = quick.moments(x, together=False)
    values = x.numpy().astype(np.float64)
    np.testing.assert_allclose(mean, values.mean((1, 2), keepdims=True), rtol=ROUNDING)
    np.testing.assert_allclose(variance, values.var((1, 2), keepdims=True), rtol=ROUNDING)


def test_moments_by_hand():
    x = tf.constant([[[[1.0, 10.0], [2.0, 20.0]], [[3.0, 30.0], [4.0, 40.0]]]])
    mean, variance = quick.moments(x, together=False)
    np.testing.assert_allclose([mean[0, 0, 0], variance[0, 0, 0]], [[2.5, 25], [1.25, 125]])
    mean, variance = quick.moments(tf.constant([[[[1.0, 3.0]]]]), together=True)  # one pixel
    np.testing.assert_allclose([mean[0, 0, 0, 0], variance[0, 0, 0, 0]], [2, 1])


@pytest.mark.parametrize("dtype", (tf.float32, tf.bfloat16))
@pytest.mark.parametrize(("before", "after"), ((1, 1), (0, 1), (3, 3)))
def test_reflection(dtype, before, after):
    x = tf.cast(np.random.default_rng(2).normal(size=(1, 4, 7, 3)), dtype)
    side = [before, after]
    expected = np.pad(x.numpy(), [[0, 0], side, side, [0, 0]], mode="reflect")
    np.testing.assert_array_equal(quick.reflect(x, before, after), expected)


@pytest.mark.parametrize("placement", layers.UPSAMPLINGS)
def test_doubling(placement):
    x = tf.constant(np.random.default_rng(3).normal(size=(1, 5, 8, 2)), tf.float32)
    expected = layers.UPSAMPLINGS[placement](x)
    with quick.quick_operations():
        found = layers.UPSAMPLINGS[placement](x)
    np.testing.assert_allclose(found, expected, atol=ROUNDING)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("runtime", ("tensorflow", "openvino"))
def test_networks_for_a_runtime_equal_plain_ones(name, runtime):
    keras.utils.set_random_seed(5)
    model = GENERATORS[name](width=4)
    network = AnyPicture(model, runtime=runtime)
    for shape in ((1, 48, 64, 3), (1, 33, 18, 3), (1, 1, 1, 3)):
        x = np.random.default_rng(6).uniform(-1, 1, shape).astype(np.float32)
        expected = AnyPicture(model).pm1(x)["anime_pm1"]
        np.testing.assert_allclose(
            network.pm1(x)["anime_pm1"], expected, atol=unless_flat(NETWORK, name, shape)
        )


def test_a_quick_network_in_bfloat16():
    keras.utils.set_random_seed(5)
    model = GENERATORS["animegan_v2"](width=4)
    near = GENERATORS["animegan_v2"](width=4, dtype="mixed_bfloat16")
    near.set_weights(model.get_weights())
    x = np.random.default_rng(6).uniform(-1, 1, (1, 48, 64, 3)).astype(np.float32)
    expected = model(x)
    y = AnyPicture(near, runtime="tensorflow").pm1(x)["anime_pm1"]
    assert y.dtype == tf.float32
    assert np.sqrt(np.mean(np.square(y - expected))) < BFLOAT16_RMS


def test_training_and_exports_are_without_them():
    network = AnyPicture(GENERATORS["animegan_v2"](width=4))
    assert not quick.are_quick()
    operators = {node.type for node in network.pm1.get_concrete_function().graph.get_operations()}
    assert "MirrorPad" in operators and "FusedBatchNormV3" not in operators
