import numpy as np
import pytest

pytest.importorskip("numba", reason="the painter needs numba")

from recipes.painter import lines


def drawing():
    """A long dark line, a short one, a long light one, on gray."""
    plane = np.full((80, 80), 0.6, np.float32)
    plane[20, 5:75], plane[40, 38:44], plane[60, 5:75] = 0.45, 0.45, 0.9
    return plane


def test_long_lines_stay_and_short_weak_ones_go():
    dark, light = lines.stroke_response(drawing(), 0.9)
    strokes = lines.strokes(dark, 0.006, 0.016, 22)
    assert strokes[20, 40] > 0.9
    assert strokes[40, 41] < 0.1
    assert lines.strokes(light, 0.006, 0.016, 22)[60, 40] > 0.9
    assert strokes[60, 40] < 0.1


def test_strokes_continue_below_the_upper_threshold():
    response = np.zeros((20, 60), np.float32)
    response[10, 5:55] = 0.010
    assert lines.strokes(response, 0.006, 0.016, 22).max() == 0
    response[10, 30] = 0.02
    assert lines.strokes(response, 0.006, 0.016, 22)[10, 8] > 0.2


def test_foliage_weakens_lines():
    noise = np.random.default_rng(0).random((60, 60), np.float32)
    dark = np.zeros((60, 60), np.float32)
    bare = lines.calm_share(noise, np.zeros((60, 60), np.float32), dark)
    leafy = lines.calm_share(noise, np.ones((60, 60), np.float32), dark)
    assert leafy.mean() < 0.5 * bare.mean()
