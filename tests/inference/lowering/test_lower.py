"""Every lowering of every generator against the reference."""

from __future__ import annotations

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf
from nonzero_weights import without_zeros
from tolerances import picture_tolerance

from anime_tf.inference.lowering.lower import CPU, OPENVINO, PORTABLE, lower
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.models.norms import PictureNorm
from anime_tf.models.registry import GENERATORS
from anime_tf.models.tree import walk
from anime_tf.models.upsampling import UPSAMPLINGS, Upsample2x

ROUNDING = 1e-5  # of float32, through one operation
NETWORK = 1e-4  # of float32, through two dozen norms
BFLOAT16_RMS = 0.03  # of 2: random weights, whose output is noise, are the hardest case

LOWERINGS = {"portable": PORTABLE, "cpu": CPU, "openvino": OPENVINO}


@functools.cache
def small(name):
    keras.utils.set_random_seed(5)
    return without_zeros(GENERATORS[name](width=4))


@functools.cache
def portable_network(name):
    return PaddedGenerator(small(name))


@pytest.mark.parametrize("name", GENERATORS)
def test_lowerings_equal_the_reference(name):
    model = small(name)
    networks = {
        lowering: tf.function(
            lambda x, config=config: lower(model, config)(x, training=False),
            input_signature=[tf.TensorSpec((1, None, None, 3))],
            autograph=False,
        )
        for lowering, config in LOWERINGS.items()
    }
    for height, width in ((48, 64), (32, 48)):
        x = np.random.default_rng(6).uniform(-1, 1, (1, height, width, 3)).astype(np.float32)
        expected = model(x)
        for network in networks.values():
            np.testing.assert_allclose(network(x), expected, atol=NETWORK)


@pytest.mark.parametrize("name", GENERATORS)
@pytest.mark.parametrize("lowering", ["cpu", "openvino"])
def test_padded_generators_equal_the_portable_one(name, lowering):
    network = PaddedGenerator(small(name), lowering=LOWERINGS[lowering])
    portable = portable_network(name)
    for shape in ((1, 33, 18, 3), (1, 1, 1, 3)):
        x = np.random.default_rng(6).uniform(-1, 1, shape).astype(np.float32)
        tolerance = picture_tolerance(NETWORK, name, shape)
        if np.isinf(tolerance):
            continue
        expected = portable.pm1(x)["anime_pm1"]
        np.testing.assert_allclose(network.pm1(x)["anime_pm1"], expected, atol=tolerance)


def test_bfloat16():
    keras.utils.set_random_seed(5)
    model = GENERATORS["animegan_v2"](width=4)
    mixed = GENERATORS["animegan_v2"](width=4, dtype="mixed_bfloat16")
    mixed.set_weights(model.get_weights())
    x = np.random.default_rng(6).uniform(-1, 1, (1, 48, 64, 3)).astype(np.float32)
    expected = model(x)
    y = PaddedGenerator(mixed, lowering=CPU).pm1(x)["anime_pm1"]
    assert y.dtype == tf.float32
    assert np.sqrt(np.mean(np.square(y - expected))) < BFLOAT16_RMS


@pytest.mark.parametrize("mode", UPSAMPLINGS)
def test_upsampling(mode):
    x = tf.constant(np.random.default_rng(3).normal(size=(1, 5, 8, 2)), tf.float32)
    layer = Upsample2x(mode)
    for config in (PORTABLE, CPU):
        np.testing.assert_allclose(lower(layer, config)(x), layer(x), atol=ROUNDING)


def test_the_reference_is_untouched():
    model = GENERATORS["animegan_v2"](width=2)
    before = [(type(layer), id(layer), len(vars(layer))) for layer in walk(model)]
    lowered = lower(model, CPU)
    assert [(type(layer), id(layer), len(vars(layer))) for layer in walk(model)] == before
    assert not {type(layer) for layer in walk(lowered)} & {PictureNorm, Upsample2x}
    assert [id(w) for w in lowered.weights] == [id(w) for w in model.weights]


def test_exports_have_few_kinds_of_operators():
    network = PaddedGenerator(GENERATORS["animegan_v2"](width=4))
    operators = {node.type for node in network.pm1.get_concrete_function().graph.get_operations()}
    assert "MirrorPad" in operators
    assert "FusedBatchNormV3" not in operators
