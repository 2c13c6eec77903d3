"""Spectral norm against TensorFlow Addons and numbers by hand."""

from __future__ import annotations

import zlib

import keras
import numpy as np
import pytest
from golden_files import arrays, assert_close
from golden_recipe import value
from tolerances import FEW_ROUNDINGS, rounding

from anime_tf.models.spectral_norm import SpectralNormConv2D

ROUNDING = 2 * FEW_ROUNDINGS  # u has values up to 2


@pytest.mark.parametrize("iterations", [1, 3])
def test_output_equals_tensorflow_addons(iterations):
    golden = arrays("tensorflow_addons")
    layer = SpectralNormConv2D(64, 3, padding="valid", power_iterations=iterations)
    layer.build((None, None, None, 32))
    random = {
        name: np.random.RandomState(value_seed).standard_normal(shape).astype(np.float32)
        for name, value_seed, shape in (
            ("kernel", _crc("tfa/kernel"), (3, 3, 32, 64)),
            ("u", _crc("tfa/u"), (1, 64)),
        )
    }
    kernel = (random["kernel"] * np.float32(0.05)).astype(np.float32)
    layer.kernel.assign(kernel)
    layer.u.assign(random["u"])
    output = layer(golden["input"], training=True)
    sums = rounding(9 * 32, scale=4)  # of 9 x 32 products; outputs up to 4
    assert_close(output, golden[f"output_{iterations}"], atol=sums)
    assert_close(layer.u, golden[f"u_after_{iterations}"], atol=ROUNDING)
    assert_close(layer.kernel, kernel)


def _crc(name):
    return zlib.crc32(name.encode())


def test_division_by_the_largest_singular_value():
    layer = SpectralNormConv2D(2, 1, power_iterations=20)
    layer.build((None, None, None, 2))
    layer.kernel.assign(np.array([[3.0, 0.0], [0.0, 1.0]]).reshape(1, 1, 2, 2))
    y = layer(np.array([1.0, 1.0], np.float32).reshape(1, 1, 1, 2))
    assert_close(np.ravel(y), [1.0, 1 / 3], atol=ROUNDING)


def test_u_is_updated_only_in_training():
    layer = SpectralNormConv2D(4, 3)
    x = np.ones((1, 5, 5, 3), np.float32)
    layer(x, training=False)
    before = np.array(layer.u.numpy())
    layer(x, training=False)
    assert_close(layer.u, before)
    layer(x, training=True)
    assert np.abs(layer.u.numpy() - before).max() > 1e-3


def test_keras_spectral_norm_overwrites_its_kernel():
    """So it trains differently, which is why the package has its own."""
    kernel = value("kernel", (3, 3, 3, 8)) * 4
    conv = keras.layers.Conv2D(8, 3, use_bias=False)
    wrapped = keras.layers.SpectralNormalization(conv)
    wrapped.build((None, None, None, 3))
    conv.kernel.assign(kernel)
    wrapped(np.ones((1, 5, 5, 3), np.float32), training=True)
    assert np.abs(conv.kernel.numpy() - kernel).max() > 0.1


def test_power_iterations_are_checked():
    with pytest.raises(ValueError, match="expected power_iterations of at least 1, got 0"):
        SpectralNormConv2D(8, 3, power_iterations=0)
