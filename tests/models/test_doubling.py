"""Doubling and convolution in one, against both after one another and against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from anime_tf.models import doubling, layers, quick

ROUNDING = 1e-5  # of float32, through one operation
CONTEXTS = {"phases": quick.quick_operations, "transposed": doubling.transposed_doubling}


@pytest.mark.parametrize("form", CONTEXTS)
@pytest.mark.parametrize("size_hw", ((5, 8), (2, 2), (2, 7)))
def test_equals_both_after_one_another(form, size_hw):
    random = np.random.default_rng(1)
    x = tf.constant(random.normal(size=(2, *size_hw, 3)), tf.float32)
    kernel = tf.constant(random.normal(size=(3, 3, 3, 4)), tf.float32)
    doubled = layers.reflect_pad(layers.upsample_legacy_bilinear(x), 3, 1)
    expected = tf.nn.conv2d(doubled, kernel, 1, "VALID")
    with CONTEXTS[form]():
        found = doubling.doubled_conv(x, kernel, lambda y: y + 1.0)
    np.testing.assert_allclose(found - 1.0, expected, atol=ROUNDING)


@pytest.mark.parametrize("form", CONTEXTS)
def test_by_hand(form):
    """A row 1 3 2 doubled is 1 2 3 2.5 2 2; taps 1 10 100 of it reflected come to these."""
    x = tf.tile(tf.constant([1.0, 3.0, 2.0])[None, None, :, None], (1, 2, 1, 1))
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[1, :, 0, 0] = 1, 10, 100
    with CONTEXTS[form]():
        found = doubling.doubled_conv(x, kernel)
    expected = [
        2 + 10 + 200,
        1 + 20 + 300,
        2 + 30 + 250,
        3 + 25 + 200,
        2.5 + 20 + 200,
        2 + 20 + 200,
    ]
    np.testing.assert_allclose(found[0, :, :, 0], [expected] * 4, rtol=ROUNDING)


@pytest.mark.parametrize("form", CONTEXTS)
def test_blocks_take_it_where_it_is_the_same(form):
    block = layers.ConvNormLReLU(4)
    x = tf.constant(np.random.default_rng(2).normal(size=(1, 6, 8, 3)), tf.float32)
    apart = {kind: block(x, upsampling=kind) for kind in layers.UPSAMPLINGS}
    with CONTEXTS[form]():
        for kind, expected in apart.items():
            assert doubling.is_one(kind, 3) == (kind == "legacy")
            np.testing.assert_allclose(block(x, upsampling=kind), expected, atol=10 * ROUNDING)
        assert not doubling.is_one("legacy", 7)
    assert not doubling.is_one("legacy", 3)
