import numpy as np
from video_scenes import scene

from anime_tf.datasets.extract.shots import NumberedFrame, ShotMiddle, frames_of_shots


def film(pictures, rate=10):
    return [NumberedFrame(i, i / rate, picture) for i, picture in enumerate(pictures)]


def test_the_middle_half_of_a_shot():
    shot = ShotMiddle()
    frames = film([np.full((2, 2, 3), i % 256, np.uint8) for i in range(1000)])
    for frame in frames:
        shot.add(frame)
        assert len(shot._candidates) <= 8  # memory does not grow with the shot
    best = shot.best(lambda rgb: 0.0)
    assert best is not None
    assert 250 <= best.number <= 750
    darkest = shot.best(lambda rgb: -float(rgb[0, 0, 0]))
    assert darkest is not None
    assert 250 <= darkest.number <= 750


def test_the_sharpest_frame_of_the_middle():
    values = [9, 9, 1, 2, 3, 1, 9, 9]
    shot = ShotMiddle()
    for frame in film([np.full((2, 2, 3), v, np.uint8) for v in values]):
        shot.add(frame)
    best = shot.best(lambda rgb: float(rgb[0, 0, 0]))
    assert best is not None
    assert best.number == 4  # 0.175 s around 0.35 s: frames 2 to 5


def test_one_frame_per_shot():
    pictures = [scene(0)] * 10 + [scene(1)] * 3 + [scene(2)] * 21
    short = []
    found = list(frames_of_shots(iter(film(pictures)), lambda rgb: 0.0, short.append))
    assert len(found) == 2
    assert 2 <= found[0].number <= 7
    assert 18 <= found[1].number <= 28
    assert [10 <= frame.number < 13 for frame in short] == [True]
    assert list(frames_of_shots(iter([]), lambda rgb: 0.0, short.append)) == []
    assert ShotMiddle().best(lambda rgb: 0.0) is None
