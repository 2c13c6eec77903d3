"""Padding and blocks that several networks share."""

from __future__ import annotations

import keras
import numpy as np
import pytest
from golden_files import assert_close

from anime_tf.models.layers import ConvNormLReLU, InvertedResidual, ReflectPad
from anime_tf.models.norms import layer_norm
from anime_tf.models.spectral_norm import SpectralNormConv2D
from anime_tf.models.upsampling import UPSAMPLINGS, Upsample2x


def picture(*rows):
    """Make a one-channel batch of one picture from rows of numbers."""
    return np.array(rows, np.float32)[None, ..., None]


def test_reflect_pad():
    x = picture([1, 2, 3], [4, 5, 6], [7, 8, 9])
    assert_close(
        ReflectPad.for_conv(3, 1, "float32")(x)[0, ..., 0],
        [[5, 4, 5, 6, 5], [2, 1, 2, 3, 2], [5, 4, 5, 6, 5], [8, 7, 8, 9, 8], [5, 4, 5, 6, 5]],
    )
    assert_close(
        ReflectPad.for_conv(3, 2, "float32")(x)[0, ..., 0],
        [[1, 2, 3, 2], [4, 5, 6, 5], [7, 8, 9, 8], [4, 5, 6, 5]],
    )
    assert_close(ReflectPad.for_conv(1, 1, "float32")(x), x)


@pytest.mark.parametrize(
    "layer",
    [
        ConvNormLReLU(8, 7, 2, name="cnl"),
        ConvNormLReLU(8, upsampling="half_pixel"),
        ReflectPad(0, 1),
        Upsample2x("legacy"),
        layer_norm("norm"),
        InvertedResidual(8, 1.5, name="res"),
        SpectralNormConv2D(8, 3, 2, "valid", 2, keras.initializers.RandomNormal(stddev=0.02)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_round_trip(layer):
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


def test_blocks_upsample_first():
    x = np.random.default_rng(6).normal(size=(1, 6, 8, 3)).astype(np.float32)
    for mode, upsample in UPSAMPLINGS.items():
        block, plain = ConvNormLReLU(4, upsampling=mode), ConvNormLReLU(4)
        plain.build((None, None, None, 3))
        block.build((None, None, None, 3))
        plain.set_weights(block.get_weights())
        assert_close(block(x), plain(upsample(x)))
    with pytest.raises(ValueError, match="expected upsampling of legacy, .* got 'nearest'"):
        ConvNormLReLU(4, upsampling="nearest")


def test_inverted_residual_adds_its_input_only_where_channels_match():
    x = np.random.default_rng(2).normal(size=(1, 6, 6, 4)).astype(np.float32)
    same, other = InvertedResidual(4), InvertedResidual(6)
    for block in (same, other):
        block(x)
        block.norm_2.gamma.assign(np.zeros_like(block.norm_2.gamma))
    assert_close(same(x), x)
    assert_close(other(x), np.zeros((1, 6, 6, 6)))
    assert same.expand.filters == 8
