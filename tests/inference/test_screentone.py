"""Black dots on white."""

from __future__ import annotations

import numpy as np
import pytest

from anime_tf.inference import screentone as module
from anime_tf.inference.config import InferConfig
from anime_tf.inference.screentone import screentone

# Shares of covered paper, of samples at a third of a pixel: a whole number of rows and columns
# of dots would have no error, and the picture cuts one.
COVERAGE = 0.02


def gray(level, shape=(120, 160), dtype=np.uint8):
    return np.full((*shape, 3), level, dtype)


@pytest.mark.parametrize("level", [64, 102, 128, 179, 217])
@pytest.mark.parametrize("pitch", [3, 5, 8])
def test_dots_keep_the_mean(level, pitch):
    assert screentone(gray(level), pitch).mean() / 255 == pytest.approx(level / 255, abs=COVERAGE)


def test_black_and_white_stay_solid():
    for level in (0, 255):
        np.testing.assert_array_equal(screentone(gray(level), 5), gray(level))


def test_lines_stay_whole():
    picture = gray(255)
    picture[:, 80:83] = 10
    toned = screentone(picture, 5)
    assert toned[:, 81].max() == 0
    assert toned[:, :79].min() == toned[:, 84:].min() == 255


def test_dots_are_a_pitch_apart_in_rows_at_45_degrees():
    toned = screentone(gray(217, (141, 141)), 10)[..., 0] / 255
    # A step of the pitch along a diagonal, 10 / sqrt(2) = 7.07 pixels both ways.
    near = toned[:-7, :-7]
    assert np.corrcoef(near.ravel(), toned[7:, 7:].ravel())[0, 1] > 0.9
    assert np.corrcoef(near.ravel(), toned[7:, :-7].ravel())[0, 1] < 0


def test_the_grid_stands_still_and_strips_do_not_show(monkeypatch):
    picture = np.random.default_rng(0).integers(0, 256, (150, 70, 3)).astype(np.uint8)
    whole = screentone(picture, 6)
    np.testing.assert_array_equal(screentone(picture[:90], 6)[:80], whole[:80])
    monkeypatch.setattr(module, "_STRIP", 32)
    np.testing.assert_array_equal(screentone(picture, 6), whole)


def test_types_and_alpha():
    white = {np.uint8: 255, np.uint16: 65535, np.float32: 1}
    for dtype, top in white.items():
        toned = screentone(gray(top / 2, dtype=dtype), 5)
        assert toned.dtype == dtype
        assert toned.max() == top
        assert (toned[..., 0] == toned[..., 2]).all()
    alpha = np.dstack([gray(128), np.arange(160, dtype=np.uint8) + np.zeros((120, 1), np.uint8)])
    np.testing.assert_array_equal(screentone(alpha, 5)[..., 3], alpha[..., 3])


def test_too_close():
    with pytest.raises(ValueError, match="at least 3 pixels, got 2"):
        screentone(gray(128), 2)
    with pytest.raises(ValueError, match="expected 0 for none, or at least 3 pixels"):
        InferConfig(input="a.jpg", screentone=2)
