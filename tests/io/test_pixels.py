import numpy as np
import pytest
from tolerances import FEW_ROUNDINGS

from anime_tf.io.pixels import as_type, from_pm1, to_pm1, to_u8


def test_range_by_hand():
    got = to_pm1(np.array([0, 51, 255], np.uint8))
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, np.array([-1, -0.6, 1], np.float32))
    # (y + 1) * 127.5: -127.5, 0, 127.5 (half to even: 128), 127.6, 254.9, 255, 382.5
    y = np.array([-2, -1, 0, 0.0008, 0.9992, 1, 2], np.float32)
    np.testing.assert_array_equal(to_u8(y), [0, 0, 128, 128, 255, 255, 255])
    assert to_u8(y).dtype == np.uint8
    with pytest.raises(ValueError, match="float64"):
        to_pm1(np.zeros(3))


def test_u8_survives_the_round_trip():
    values = np.arange(256, dtype=np.uint8)
    np.testing.assert_array_equal(to_u8(to_pm1(values)), values)


def test_as_type_keeps_black_and_white():
    shallow = np.array([0, 1, 128, 255], np.uint8)
    np.testing.assert_array_equal(as_type(shallow, np.uint16), [0, 257, 32896, 65535])
    np.testing.assert_allclose(
        as_type(shallow, np.float32), [0, 1 / 255, 128 / 255, 1], rtol=FEW_ROUNDINGS
    )
    np.testing.assert_array_equal(
        as_type(np.uint16([0, 128, 129, 65535]), np.uint8), [0, 0, 1, 255]
    )
    floats = np.array([[-1, 0.5, 1, 2]], np.float32)
    np.testing.assert_array_equal(as_type(floats, np.uint8), [[0, 128, 255, 255]])
    np.testing.assert_array_equal(as_type(floats, np.uint16), [[0, 32768, 65535, 65535]])
    np.testing.assert_array_equal(from_pm1(floats, np.uint16), [[0, 49151, 65535, 65535]])
    np.testing.assert_array_equal(
        from_pm1(to_pm1(np.uint16([0, 7, 65535])), np.uint16), [0, 7, 65535]
    )
