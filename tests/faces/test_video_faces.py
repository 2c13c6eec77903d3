"""Videos whose faces are stylized on their own."""

from __future__ import annotations

import dataclasses

import numpy as np
from face_pictures import upright_face, waves

from anime_tf.faces.face_stylizer import FaceStylizer
from anime_tf.faces.track import FaceTracker
from anime_tf.faces.video_faces import VideoFaceStylizer


class Standing:
    """Finder of one face that does not move; counts its searches."""

    def __init__(self) -> None:
        self.searches = 0

    def __call__(self, photo_u8):
        self.searches += 1
        return [upright_face((60.0, 60.0), 6.0)]

    def follow(self, photo_u8, face):
        return dataclasses.replace(face)


def test_cut_resets_the_tracker():
    finder, tracker_calls = Standing(), []
    stylizer = FaceStylizer(lambda p: p, finder, face_stylizer=lambda p: 255 - p, size=64)

    def drawn(rgb_u8, seconds):
        tracker_calls.append(seconds)
        return rgb_u8 // 2

    stylize = VideoFaceStylizer(drawn, stylizer, FaceTracker(finder, every=10))
    first = waves(120, 160, seed=0)
    second = np.roll(255 - waves(120, 160, shortest=40, seed=9), 40, axis=1) // 3
    for number in range(8):
        frame = first if number < 4 else second
        out = stylize(frame, number / 25)
        changed = (out != frame // 2).any(-1)
        assert changed[60, 60] and not changed[5, 150]
    assert tracker_calls == [n / 25 for n in range(8)]
    assert finder.searches == 2  # the first frame of each shot


def test_same_face_gets_the_same_result():
    stylizer = FaceStylizer(lambda p: p, Standing(), face_stylizer=lambda p: 255 - p, size=64)
    stylize = VideoFaceStylizer(lambda p, seconds: p, stylizer, FaceTracker(Standing()))
    frame = waves(120, 160)
    outs = [stylize(frame, n / 25) for n in range(3)]
    np.testing.assert_array_equal(outs[0], outs[2])
