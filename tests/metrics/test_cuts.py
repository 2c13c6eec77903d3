import numpy as np
import pytest
from video_scenes import scene, with_dot

from anime_tf.metrics.cuts import CutDetector, color_change, color_histogram


def cuts(pictures, rate=10):
    detector = CutDetector()
    return [i for i, rgb in enumerate(pictures) if detector.begins_shot(rgb, i / rate)]


def test_color_change_is_the_share_of_pixels():
    one = np.full((72, 96, 3), (200, 30, 30), np.uint8)
    other = one.copy()
    other[:18] = (20, 40, 220)
    change = color_change(color_histogram(one), color_histogram(other))
    assert change == pytest.approx(0.25)
    assert color_change(color_histogram(one), color_histogram(one)) == 0


def test_cuts_are_found_and_small_movements_are_not():
    pictures = [with_dot(scene(s), 4 * i) for s in range(3) for i in range(9)]
    assert cuts(pictures) == [0, 9, 18]


def test_a_cut_between_the_same_colors():
    picture = scene(4)
    assert cuts([picture] * 5 + [picture[::-1, ::-1]] * 5) == [0, 5]


def test_a_dissolve_ends_a_shot():
    one, other = np.full((90, 90, 3), (210, 40, 40), np.uint8), scene(5, 90, 90)
    one[30:50, 20:60] = (30, 30, 200)
    ramp = [(one * (1 - k / 12) + other * (k / 12)).astype(np.uint8) for k in range(13)]
    found = cuts([one] * 20 + ramp + [other] * 20, rate=24)
    assert found[0] == 0
    assert len(found) >= 2
    assert all(20 < number <= 33 for number in found[1:])
