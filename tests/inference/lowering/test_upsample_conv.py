"""Fused upsampling and convolution against both in sequence and against numbers by hand."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from anime_tf.inference.lowering.upsample_conv import (
    PhasesConvNormLReLU,
    TransposedConvNormLReLU,
    can_fuse,
    phases_upsample_conv,
    transposed_upsample_conv,
)
from anime_tf.models.layers import ConvNormLReLU, ReflectPad
from anime_tf.models.tree import recast, swap_layers
from anime_tf.models.upsampling import UPSAMPLINGS, upsample_legacy

ROUNDING = 1e-5  # of float32, through one operation
FORMS = {
    "phases": (phases_upsample_conv, PhasesConvNormLReLU),
    "transposed": (transposed_upsample_conv, TransposedConvNormLReLU),
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("size_hw", [(5, 8), (2, 2), (2, 7)])
def test_equals_both_in_sequence(form, size_hw):
    random = np.random.default_rng(1)
    x = tf.constant(random.normal(size=(2, *size_hw, 3)), tf.float32)
    kernel = tf.constant(random.normal(size=(3, 3, 3, 4)), tf.float32)
    padded = ReflectPad(1, 1)(upsample_legacy(x))
    expected = tf.nn.conv2d(padded, kernel, 1, "VALID")
    fused = FORMS[form][0](x, kernel, lambda y: y + 1.0)
    np.testing.assert_allclose(fused - 1.0, expected, atol=ROUNDING)


@pytest.mark.parametrize("form", FORMS)
def test_by_hand(form):
    """The row 1 3 2 upsampled is 1 2 3 2.5 2 2; reflected, under taps 1 10 100 it is these sums."""
    x = tf.tile(tf.constant([1.0, 3.0, 2.0])[None, None, :, None], (1, 2, 1, 1))
    kernel = np.zeros((3, 3, 1, 1), np.float32)
    kernel[1, :, 0, 0] = 1, 10, 100
    fused = FORMS[form][0](x, kernel)
    expected = [
        2 + 10 + 200,
        1 + 20 + 300,
        2 + 30 + 250,
        3 + 25 + 200,
        2.5 + 20 + 200,
        2 + 20 + 200,
    ]
    np.testing.assert_allclose(fused[0, :, :, 0], [expected] * 4, rtol=ROUNDING)


@pytest.mark.parametrize("form", FORMS)
def test_block(form):
    block = ConvNormLReLU(4, upsampling="legacy")
    x = tf.constant(np.random.default_rng(2).normal(size=(1, 6, 8, 3)), tf.float32)
    expected = block(x)
    lowered = swap_layers(block, {ConvNormLReLU: recast(FORMS[form][1])})
    np.testing.assert_allclose(lowered(x), expected, atol=10 * ROUNDING)


def test_only_legacy_upsampling_before_3x3_convolutions_is_fused():
    for upsampling in (None, *UPSAMPLINGS):
        for kernel_size in (3, 7):
            block = ConvNormLReLU(4, kernel_size, upsampling=upsampling)
            assert can_fuse(block) == (upsampling == "legacy" and kernel_size == 3)
