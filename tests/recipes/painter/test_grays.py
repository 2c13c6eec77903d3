import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from recipes.painter.grays import BORDERS, GRAYS, draw_grays, four_grays
from recipes.painter.paint import paint
from recipes.painter.style import MANGA

SHAPE = (64, 96)
F32 = np.float32


def plane(value):
    return np.full(SHAPE, value, F32)


def scene(lightness, b=0.0):
    lab = np.zeros((*SHAPE, 3), F32)
    lab[..., 0] = lightness
    lab[..., 2] = b
    return lab


def grays_of(lab, dark=0.0, sky=0.0, skin=0.0):
    return draw_grays(lab, plane(dark), plane(sky), plane(skin), plane(0))


def test_four_grays():
    middles = [0.1, *(np.array(BORDERS[:-1]) + BORDERS[1:]) / 2, 0.9]
    np.testing.assert_allclose(four_grays(np.array(middles, F32)), GRAYS, atol=1e-6)
    # a ramp in between, for antialiased borders
    for darker, lighter, border in zip(GRAYS, GRAYS[1:], BORDERS, strict=False):
        middle = four_grays(np.array([border], F32))[0]
        assert middle == pytest.approx((darker + lighter) / 2, abs=1e-3)


def test_no_color_is_left():
    drawn = grays_of(scene(0.6, b=0.1))
    assert (drawn[..., 1:] == 0).all()


def test_a_clear_sky_is_light_gray_and_clouds_are_white():
    lab = scene(0.75, b=-0.1)
    lab[:, 48:, 2] = 0.0
    drawn = grays_of(lab, sky=1.0)[..., 0]
    np.testing.assert_allclose(drawn[:, :40], GRAYS[2], atol=0.01)
    np.testing.assert_allclose(drawn[:, 56:], GRAYS[3], atol=0.01)


def test_skin_is_white_with_one_shadow_and_black_eyes():
    lab = scene(0.7)
    lab[:, 60:] = (0.48, 0, 0)  # a cheek in shadow
    lab[28:34, 16:22] = (0.25, 0, 0)  # an eye
    drawn = grays_of(lab, skin=1.0)[..., 0]
    assert drawn[8, 30] == pytest.approx(GRAYS[3], abs=0.01)
    assert drawn[31, 19] == pytest.approx(GRAYS[0], abs=0.05)
    assert drawn[8, 64] in (pytest.approx(GRAYS[1], abs=0.01), pytest.approx(GRAYS[2], abs=0.01))


def test_lines_are_black_but_hardly_drawn_in_the_sky():
    lab = scene(0.9)
    assert grays_of(lab, dark=1.0)[..., 0].max() < 0.1
    assert grays_of(lab, dark=1.0, sky=1.0)[..., 0].min() > 0.7


def test_specks_vanish():
    lab = scene(0.6)
    lab[30:32, 30:32, 0] = 0.1
    assert np.ptp(grays_of(lab)[..., 0]) < 0.01


def test_a_painting():
    photo = np.full((96, 128, 3), (115, 165, 230), np.uint8)
    photo[56:] = (40, 45, 30)
    photo[70:80, 20:100] = (230, 230, 230)
    painted = paint(photo, MANGA)
    assert painted.shape == photo.shape
    assert np.ptp(painted.astype(int), axis=2).max() <= 1
    assert painted[60, 64, 0] < 130
    assert painted[75, 60, 0] > 240
