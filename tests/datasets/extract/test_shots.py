import numpy as np
import pytest
from film_scenes import scene, with_dot

from anime_tf.datasets.extract.shots import (
    CutDetector,
    NumberedFrame,
    ShotMiddle,
    colour_change,
    colour_histogram,
    frames_of_shots,
)


def film(pictures, rate=10):
    return [NumberedFrame(i, i / rate, picture) for i, picture in enumerate(pictures)]


def cuts(pictures, rate=10):
    detector = CutDetector()
    return [frame.number for frame in film(pictures, rate) if detector.begins_shot(frame)]


def test_colour_change_is_the_share_of_pixels():
    one = np.full((72, 96, 3), (200, 30, 30), np.uint8)
    other = one.copy()
    other[:18] = (20, 40, 220)
    change = colour_change(colour_histogram(one), colour_histogram(other))
    assert change == pytest.approx(0.25)
    assert colour_change(colour_histogram(one), colour_histogram(one)) == 0


def test_cuts_are_found_and_small_movements_are_not():
    pictures = [with_dot(scene(s), 4 * i) for s in range(3) for i in range(9)]
    assert cuts(pictures) == [0, 9, 18]


def test_a_cut_between_the_same_colours():
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


def test_the_middle_half_is_known_at_the_end():
    shot = ShotMiddle()
    frames = film([np.full((2, 2, 3), i % 256, np.uint8) for i in range(1000)])
    for frame in frames:
        shot.add(frame)
        assert len(shot._held) <= 8  # memory does not grow with the shot
    best = shot.best(lambda rgb: 0.0)
    assert best is not None
    assert 250 <= best.number <= 750
    darkest = shot.best(lambda rgb: -float(rgb[0, 0, 0]))
    assert darkest is not None
    assert 250 <= darkest.number <= 750


def test_the_sharpest_of_the_middle_is_taken():
    values = [9, 9, 1, 2, 3, 1, 9, 9]
    shot = ShotMiddle()
    for frame in film([np.full((2, 2, 3), v, np.uint8) for v in values]):
        shot.add(frame)
    best = shot.best(lambda rgb: float(rgb[0, 0, 0]))
    assert best is not None
    assert best.number == 4  # 0.175 s around 0.35 s: frames 2 to 5


def test_one_frame_a_shot():
    pictures = [scene(0)] * 10 + [scene(1)] * 3 + [scene(2)] * 21
    short = []
    found = list(frames_of_shots(iter(film(pictures)), lambda rgb: 0.0, short.append))
    assert len(found) == 2
    assert 2 <= found[0].number <= 7
    assert 18 <= found[1].number <= 28
    assert [10 <= frame.number < 13 for frame in short] == [True]
    assert list(frames_of_shots(iter([]), lambda rgb: 0.0, short.append)) == []
    assert ShotMiddle().best(lambda rgb: 0.0) is None
