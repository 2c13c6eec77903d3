"""The graph around a generator against the numpy rules of data.pictures."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from anime_tf.data import pictures
from anime_tf.inference.any_picture import AnyPicture, _reflect


@pytest.mark.parametrize(("stride", "minimum"), [(1, 1), (4, 16), (8, 16), (32, 256)])
def test_padding_is_that_of_pictures(stride, minimum):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1), tf.int32)], autograph=False)
    def pad(x):
        return _reflect(_reflect(x, 1, stride, minimum), 2, stride, minimum)

    for height in range(1, 36):
        width = 37 * height % 41 + 1
        x = np.arange(2 * height * width, dtype=np.int32).reshape(2, height, width, 1)
        expected, _ = pictures.pad_to_multiple(x, stride, minimum)
        np.testing.assert_array_equal(pad(x), expected)


def test_pixels_are_those_of_pictures(generator, photo):
    network = AnyPicture(generator)
    for size in ((16, 20), (1, 1), (21, 7)):
        x = photo(*size)[None]
        floats = network.pm1(tf.constant(pictures.to_pm1(x)))["anime_pm1"].numpy()
        pixels = network.u8(tf.constant(x))["anime_u8"].numpy()
        assert (pixels.dtype, pixels.shape) == (np.uint8, x.shape)
        level = 1  # where a rounding error lies on the border between two levels
        assert np.abs(pixels.astype(int) - pictures.to_u8(floats)).max() <= level


def test_it_is_traced_once_for_all_sizes(generator):
    network = AnyPicture(generator)
    for shape in ((1, 16, 16, 3), (2, 5, 40, 3)):
        network.pm1(tf.zeros(shape))
    assert network.pm1.experimental_get_tracing_count() == 1
