import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from recipes.painter import flatten


def halves(height=32, width=48):
    """Left half dark, right half light, float32 RGB."""
    picture = np.full((height, width, 3), 0.25, np.float32)
    picture[:, width // 2 :] = 0.75
    return picture


def noise(shape, size, seed=0):
    return np.random.default_rng(seed).normal(0, size, shape).astype(np.float32)


def test_kuwahara_removes_noise_and_keeps_the_border():
    picture = halves()
    noisy = picture + noise(picture.shape, 0.04)
    painted = flatten.kuwahara(noisy, np.full(picture.shape[:2], 3.0, np.float32))
    assert np.abs(painted - picture).mean() < 0.5 * np.abs(noisy - picture).mean()
    assert painted[:, 26].mean() - painted[:, 21].mean() > 0.4


def test_kuwahara_leaves_pixels_of_radius_0():
    picture = halves() + noise((32, 48, 3), 0.05)
    np.testing.assert_array_equal(flatten.kuwahara(picture, np.zeros((32, 48))), picture)


def test_a_flat_picture_stays():
    picture = np.full((20, 24, 3), 0.3, np.float32)
    np.testing.assert_allclose(flatten.kuwahara(picture, np.full((20, 24), 4.0)), 0.3, atol=1e-5)
    np.testing.assert_allclose(flatten.l0_smooth(picture, 0.01), 0.3, atol=1e-5)


def test_l0_flattens_texture_and_keeps_the_border():
    picture = halves()
    flat = flatten.l0_smooth(picture + noise(picture.shape, 0.02), 0.01)
    assert np.abs(np.diff(flat[:, :20], axis=1)).mean() < 1e-3
    assert flat[:, 26].mean() - flat[:, 21].mean() > 0.45


def test_l0_follows_its_plane():
    picture = halves() + noise((32, 48, 3), 0.02)
    plane = np.full((32, 48), 0.01, np.float32)
    plane[:16] = 1e-6
    flat = flatten.l0_smooth(picture, plane)
    rough = np.abs(np.diff(flat[:, :20], axis=1)).mean(axis=(1, 2))
    assert rough[2:12].mean() > 10 * rough[20:30].mean()


def test_weak_islands_go_and_strong_ones_stay():
    picture = np.full((20, 20, 3), 0.5, np.float32)
    picture[5, 5], picture[14, 14] = 0.55, 1.0
    result = flatten.drop_islands(picture, 5, 0.07, 0.14)
    assert result[5, 5].max() < 0.51
    assert result[14, 14].min() > 0.99
