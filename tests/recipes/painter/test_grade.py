import dataclasses

import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from tolerances import FEW_ROUNDINGS

from recipes.painter.color import chroma, hue_degrees, to_oklab
from recipes.painter.grade import draw_ink, grade
from recipes.painter.style import CEL, GOUACHE


def graded(rgb, sky=0.0, skin=0.0):
    lab = to_oklab(np.full((2, 2, 3), rgb, np.float32))
    planes = (np.full((2, 2), value, np.float32) for value in (sky, skin))
    return lab, grade(lab, *planes, GOUACHE)


def test_dull_colors_gain_chroma_and_grays_do_not():
    before, after = graded((0.40, 0.50, 0.40))
    assert chroma(after)[0, 0] > 1.3 * chroma(before)[0, 0]
    _, after = graded((0.5, 0.5, 0.5))
    assert chroma(after)[0, 0] < 0.03


def test_black_is_raised_and_white_stays():
    assert 0.02 < graded((0, 0, 0))[1][0, 0, 0] < 0.06
    assert graded((1, 1, 1))[1][0, 0, 0] > 0.97


def test_olive_turns_green():
    before, after = graded((0.50, 0.55, 0.25))
    assert hue_degrees(after)[0, 0] > hue_degrees(before)[0, 0] + 2


def test_skin_gains_less_chroma():
    color = (0.80, 0.62, 0.52)
    assert chroma(graded(color, skin=1)[1])[0, 0] < chroma(graded(color)[1])[0, 0]


def test_ink_darkens_and_spares_the_sky():
    lab = np.full((1, 3, 3), 0.8, np.float32)
    lines = np.array([[0, 1, 1]], np.float32)
    sky = np.array([[0, 0, 1]], np.float32)
    style = dataclasses.replace(CEL, ink=1.0, ink_lightness=0.25)
    inked = draw_ink(lab, lines, sky, np.zeros_like(sky), style)
    np.testing.assert_allclose(
        inked[0, :, 0], [0.8, 0.2, 0.8 * (1 - 0.1 * 0.75)], atol=FEW_ROUNDINGS
    )
