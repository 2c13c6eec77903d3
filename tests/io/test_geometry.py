import numpy as np
import pytest
from picture_files import noise

from anime_tf.io.geometry import (
    crop_padding,
    limit_array_side,
    pad_to_multiple,
    resize,
    side_by_side,
)
from anime_tf.io.pixels import as_type


def test_resize_by_hand():
    plane = np.array([[0, 100], [200, 100]], np.uint8)
    np.testing.assert_array_equal(resize(plane, (1, 1)), [[100]])
    np.testing.assert_array_equal(resize(plane, (1, 2)), [[100, 100]])
    # linear with half-pixel centres: 0, 0.25, 0.75, 1 of the way
    np.testing.assert_array_equal(resize(plane, (2, 4)), [[0, 25, 75, 100], [200, 175, 125, 100]])
    # one axis averaged, the other interpolated
    np.testing.assert_array_equal(resize(plane, (1, 4)), [[100, 100, 100, 100]])
    for channels in (1, 3, 4):
        assert resize(np.zeros((5, 7, channels), np.uint8), (3, 9)).shape == (3, 9, channels)
    with pytest.raises(ValueError, match="at least 1x1"):
        resize(plane, (0, 4))


def test_shrinking_does_not_alias():
    stripes = np.zeros((64, 64), np.uint8)
    stripes[:, ::2] = 255
    small = resize(stripes, (16, 16))
    assert np.abs(small.astype(float) - 127.5).max() <= 0.5


def test_padding_by_hand():
    row = np.array([1, 2, 3]).reshape(1, 1, 3, 1)
    padded, padding = pad_to_multiple(row, 8)
    assert padding == (0, 7, 0, 5)
    np.testing.assert_array_equal(padded[0, 0, :, 0], [1, 2, 3, 2, 1, 2, 3, 2])
    np.testing.assert_array_equal(padded[0, 7], padded[0, 0])  # a side of one has but itself


@pytest.mark.parametrize("size", [(1, 1), (1, 5), (3, 2), (16, 16), (15, 17), (37, 64)])
def test_crop_reverts_padding(size):
    array = noise(*size)[None]
    padded, padding = pad_to_multiple(array, 4, 16)
    assert padded.shape[1] % 4 == padded.shape[2] % 4 == 0
    assert min(padded.shape[1:3]) >= 16
    np.testing.assert_array_equal(crop_padding(padded, padding), array)


def test_fitting_batch_is_not_padded():
    array = noise(16, 20)[None]
    padded, padding = pad_to_multiple(array, 4, 16)
    assert padded is array
    assert padding == (0, 0, 0, 0)


def test_side_by_side():
    left, right = noise(4, 3), noise(4, 5, 4)
    joined = side_by_side(left, left)
    np.testing.assert_array_equal(joined, np.concatenate([left, left], axis=1))
    mixed = side_by_side(left, right)
    assert mixed.shape == (4, 8, 4)
    np.testing.assert_array_equal(mixed[:, :3, 3], 255)
    np.testing.assert_array_equal(mixed[:, 3:], right)
    with pytest.raises(ValueError, match="one height, got 4 and 5"):
        side_by_side(left, noise(5, 3))


def test_shrinking_weights_colors_by_opacity():
    # Red and opaque beside green that nobody sees: shrunk, red stays red.
    array = np.zeros((2, 4, 4), np.uint8)
    array[:, 0] = (200, 0, 0, 255)
    array[:, 1:] = (0, 255, 0, 0)
    small = limit_array_side(array, 2)
    np.testing.assert_array_equal(small, [[(200, 0, 0, 128), (0, 255, 0, 0)]])
    deep = limit_array_side(as_type(array, np.uint16), 2)
    np.testing.assert_array_equal(deep[0, 0], [200 * 257, 0, 0, 32768])
