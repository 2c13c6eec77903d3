import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from tolerances import FEW_ROUNDINGS

from recipes.painter import color


def test_white_black_and_red_in_oklab():
    rgb = np.array([[[1, 1, 1], [0, 0, 0], [1, 0, 0]]], np.float32)
    lab = color.to_oklab(rgb)
    # Ottosson's own table: red is (0.628, 0.225, 0.126).
    expected = [[1, 0, 0], [0, 0, 0], [0.628, 0.225, 0.126]]
    np.testing.assert_allclose(lab[0], expected, atol=1e-3)


def test_round_trip():
    rgb = np.random.default_rng(0).random((20, 30, 3), np.float32)
    np.testing.assert_allclose(color.from_oklab(color.to_oklab(rgb)), rgb, atol=2e-5)


def test_step_by_hand():
    values = np.array([0, 1, 2, 3, 4], np.float32)
    np.testing.assert_allclose(color.step(values, 1, 3), [0, 0, 0.5, 1, 1])


def test_hue_and_chroma():
    lab = np.array([[[0.5, 0.1, 0.0], [0.5, 0.0, -0.2]]], np.float32)
    np.testing.assert_allclose(color.hue_degrees(lab)[0], [0, 270], atol=1e-3)
    np.testing.assert_allclose(color.chroma(lab)[0], [0.1, 0.2], atol=FEW_ROUNDINGS)


def test_lerp_by_a_plane():
    start, end = np.zeros((1, 2, 3), np.float32), np.ones((1, 2, 3), np.float32)
    mixed = color.lerp(start, end, np.array([[0, 0.25]], np.float32))
    np.testing.assert_allclose(mixed[0, :, 0], [0, 0.25])
