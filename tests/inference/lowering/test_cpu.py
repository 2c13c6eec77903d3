"""CPU-optimized operations against numbers in float64."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from anime_tf.inference.lowering.cpu import CpuReflectPad, moments

ROUNDING = 1e-5  # of float32, through one operation


@pytest.mark.parametrize("across_channels", [True, False])
@pytest.mark.parametrize("offset", [0, 1000])
def test_moments_are_exact_where_values_are_large(across_channels, offset):
    random = np.random.default_rng(1)
    x = random.normal(offset, 2, (1, 200, 300, 5)).astype(np.float32)
    mean, variance = moments(tf.constant(x), across_channels)
    axes = (1, 2, 3) if across_channels else (1, 2)
    options = {"axis": axes, "dtype": np.float64, "keepdims": True}
    # 1000 takes 10 of the 24 bits; E[x^2] - E[x]^2 would have lost all of them.
    np.testing.assert_allclose(variance, x.var(**options), rtol=ROUNDING)
    np.testing.assert_allclose(mean, x.mean(**options), rtol=ROUNDING, atol=ROUNDING)


@pytest.mark.parametrize("width", [96, 7])
def test_moments_in_bfloat16_are_those_of_its_values(width):
    """With columns of 32 pixels, of 96, and of one pixel, of 7."""
    x = tf.cast(np.random.default_rng(4).normal(3, 2, (1, 400, width, 6)), tf.bfloat16)
    mean, variance = moments(x, across_channels=False)
    values = x.numpy().astype(np.float64)
    np.testing.assert_allclose(mean, values.mean((1, 2), keepdims=True), rtol=ROUNDING)
    np.testing.assert_allclose(variance, values.var((1, 2), keepdims=True), rtol=ROUNDING)


def test_moments_by_hand():
    x = tf.constant([[[[1.0, 10.0], [2.0, 20.0]], [[3.0, 30.0], [4.0, 40.0]]]])
    mean, variance = moments(x, across_channels=False)
    np.testing.assert_allclose([mean[0, 0, 0], variance[0, 0, 0]], [[2.5, 25], [1.25, 125]])
    mean, variance = moments(tf.constant([[[[1.0, 3.0]]]]), across_channels=True)  # one pixel
    np.testing.assert_allclose([mean[0, 0, 0, 0], variance[0, 0, 0, 0]], [2, 1])


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(("before", "after"), [(1, 1), (0, 1), (3, 3)])
def test_reflection(dtype, before, after):
    x = tf.cast(np.random.default_rng(2).normal(size=(1, 4, 7, 3)), dtype)
    side = [before, after]
    expected = np.pad(x.numpy(), [[0, 0], side, side, [0, 0]], mode="reflect")
    np.testing.assert_array_equal(CpuReflectPad(before, after, dtype=dtype)(x), expected)
