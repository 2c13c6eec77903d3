import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from recipes.painter import structure


def stripes(height=40, width=40, period=8):
    """Vertical stripes, float32 in [0, 1]."""
    row = 0.5 + 0.5 * np.sin(2 * np.pi * np.arange(width) / period)
    return np.repeat(row[None], height, 0).astype(np.float32)


def test_tangents_run_along_stripes():
    tangent, anisotropy = structure.tangents(structure.structure_tensor(stripes(), 3.0))
    inner = (slice(8, -8), slice(8, -8))
    np.testing.assert_allclose(np.abs(tangent[inner][..., 1]), 1, atol=1e-3)
    assert anisotropy[inner].min() > 0.98


def test_averaging_along_stripes_keeps_them_and_removes_noise():
    plane = stripes()
    noisy = plane + np.random.default_rng(0).normal(0, 0.1, plane.shape).astype(np.float32)
    tangent, _ = structure.tangents(structure.structure_tensor(plane, 3.0))
    smooth = structure.average_along(noisy[..., None], tangent, 4.0)[..., 0]
    inner = (slice(10, -10), slice(10, -10))
    assert np.abs(smooth - plane)[inner].mean() < 0.5 * np.abs(noisy - plane)[inner].mean()


def test_dark_strokes_are_positive_light_ones_negative():
    plane = np.full((30, 30), 0.5, np.float32)
    plane[:, 10:12], plane[:, 20:22] = 0.0, 1.0
    tangent = np.zeros((30, 30, 2), np.float32)
    tangent[..., 1] = 1
    response = structure.difference_across(plane, tangent, 1.0)
    assert response[15, 10] > 0.05
    assert response[15, 20] < -0.05
    assert abs(response[15, 3]) < 1e-3


def test_shock_sharpens_a_blurred_border():
    plane = np.clip((np.arange(40) - 16) / 8, 0, 1).astype(np.float32)
    picture = np.repeat(np.repeat(plane[None, :, None], 40, 0), 3, 2)
    sharp = structure.coherent_shock(picture)
    assert np.abs(np.diff(sharp[20, :, 0])).max() > 1.3 * np.abs(np.diff(plane)).max()


def test_a_large_gaussian_is_near_the_exact_one():
    import cv2

    plane = np.random.default_rng(1).random((120, 160), np.float32)
    exact = cv2.GaussianBlur(plane, (0, 0), 20.0)
    np.testing.assert_allclose(structure.gauss(plane, 20.0), exact, atol=0.01)
