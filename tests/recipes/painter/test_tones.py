import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from anime_tf.models.live import Exposure
from recipes.painter import tones


def test_stairs_by_hand():
    values = np.array([0.0, 0.02, 0.05, 0.08, 0.1], np.float32)
    result = tones.stairs(values, np.float32(0.1), np.float32(20))
    np.testing.assert_allclose(result, [0, 0, 0.05, 0.1, 0.1], atol=1e-3)


@pytest.mark.parametrize("level", [0.05, 0.3, 0.5, 0.8, 0.97])
def test_exposure_is_that_of_the_networks(level):
    photo = np.random.default_rng(0).uniform(0, 2 * level, (16, 24, 3)).clip(0, 1)
    photo = photo.astype(np.float32)
    pm1 = np.asarray(Exposure()(2 * photo[None] - 1))[0]
    np.testing.assert_allclose(tones.exposed(photo), (pm1 + 1) / 2, atol=1e-5)


def test_shadows_are_lifted_and_lights_stay():
    photo = np.full((60, 60, 3), 0.2, np.float32)
    photo[:, 30:] = 0.9
    lifted = tones.lift_shadows(photo, 0.28)
    assert lifted[30, 5].mean() > 0.22
    np.testing.assert_allclose(lifted[30, 55], 0.9, atol=0.02)


def test_tones_stay_within_their_mask():
    lightness = np.tile(np.linspace(0.3, 0.8, 80, dtype=np.float32), (40, 1))
    mask = np.zeros((40, 80), np.float32)
    mask[:, :40] = 1
    for toned in (tones.sky_tones(lightness, mask), tones.skin_planes(lightness, mask, 0.12, 0.9)):
        np.testing.assert_array_equal(toned[:, 45:], lightness[:, 45:])
        assert np.abs(toned[:, :40] - lightness[:, :40]).max() > 0.01


def test_lights_bloom():
    picture = np.full((60, 60, 3), 0.3, np.float32)
    picture[25:35, 25:35] = 1
    glowing = tones.bloom(picture, 0.14, np.zeros((60, 60), np.float32))
    assert glowing[30, 38].mean() > 0.31
    assert glowing[2, 2].mean() < 0.305
