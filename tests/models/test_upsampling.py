"""Bilinear upsampling by 2 against numbers by hand and against TensorFlow."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from golden_files import assert_close

from anime_tf.models.upsampling import (
    upsample_align_corners,
    upsample_half_pixel,
    upsample_legacy,
)

# One rounding of float32 at values near 1, a few operations deep.
ROUNDING = 2e-6
# TensorFlow rounds sample positions, by 1e-7 of up to 64 pixels.
POSITIONS = 2e-5
# Four roundings of bfloat16 at values below 1, whose positions are rounded too.
HALF = 2e-2


def picture(*rows):
    """Make a one-channel batch of one picture from rows of numbers."""
    return np.array(rows, np.float32)[None, ..., None]


def test_legacy_by_hand():
    doubled = upsample_legacy(picture([0, 2], [4, 8]))
    expected = [[0, 1, 2, 2], [2, 3.5, 5, 5], [4, 6, 8, 8], [4, 6, 8, 8]]
    assert_close(doubled[0, ..., 0], expected)


def test_legacy_equals_tensorflow_1():
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    legacy = tf.compat.v1.image.resize_bilinear(x, (10, 14))
    assert_close(upsample_legacy(x), legacy, atol=ROUNDING)
    half_pixel = tf.image.resize(x, (10, 14))
    assert np.abs(half_pixel - legacy).max() > 0.1, "the sample positions differ"


def test_half_pixel_and_align_corners_by_hand():
    x = picture([0, 4])
    assert_close(upsample_half_pixel(x)[0, ..., 0], [[0, 1, 3, 4]] * 2)
    assert_close(upsample_align_corners(x)[0, ..., 0], [[0, 4 / 3, 8 / 3, 4]] * 2, atol=ROUNDING)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 7), (64, 33)])
def test_half_pixel_equals_tensorflow_2(size):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    expected = tf.image.resize(x, (2 * size[0], 2 * size[1]))
    assert_close(upsample_half_pixel(x), expected, atol=ROUNDING)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 7), (64, 33)])
def test_align_corners_equals_tensorflow_1(size):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    expected = tf.compat.v1.image.resize_bilinear(x, (2 * size[0], 2 * size[1]), align_corners=True)
    assert_close(upsample_align_corners(x), expected, atol=POSITIONS)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("upsample", [upsample_half_pixel, upsample_align_corners])
def test_half_pixel_and_align_corners_in_half_precision(upsample, dtype):
    x = tf.cast(np.random.default_rng(0).uniform(-1, 1, (1, 9, 12, 3)), dtype)
    y = upsample(x)
    assert y.dtype == x.dtype
    assert_close(tf.cast(y, "float32"), upsample(tf.cast(x, "float32")), atol=HALF)
