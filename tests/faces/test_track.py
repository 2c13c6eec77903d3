"""Tracking of faces with a known path and synthetic noise."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from face_pictures import upright_face

from anime_tf.faces.align import OrientedSquare, similarity_transform
from anime_tf.faces.face import Face
from anime_tf.faces.track import FORGET_SECONDS, VISIBLE_SECONDS, FaceTracker, OneEuroFilter

RATE = 25


class Scene:
    """Finder of faces on scripted paths with noise; records its searches.

    A frame holds its number only. Each person is a function of the number, which returns an
    `OrientedSquare`, or None while the person is not visible.
    """

    def __init__(self, *people, noise: float = 0.0) -> None:
        self.people = people
        self.noise = noise
        self.searched: list[int] = []
        self.random = np.random.default_rng(3)

    def frame(self, number: int) -> np.ndarray:
        return np.full((1, 1, 3), number, np.uint8)

    def seen(self, square: OrientedSquare) -> Face:
        face = upright_face()
        shift = self.random.normal(0, self.noise * square.side, 2)
        grown = square.side * math.exp(self.random.normal(0, self.noise))
        centre = tuple(np.array(square.center) + shift)
        turned = square.angle + self.random.normal(0, self.noise)
        return face.transformed(
            similarity_transform(
                OrientedSquare.from_face(face), OrientedSquare(centre, grown, turned)
            )
        )

    def squares(self, frame: np.ndarray) -> list[OrientedSquare]:
        where = (person(int(frame[0, 0, 0])) for person in self.people)
        return [square for square in where if square is not None]

    def __call__(self, frame: np.ndarray) -> list[Face]:
        self.searched.append(int(frame[0, 0, 0]))
        return [self.seen(square) for square in self.squares(frame)]

    def follow(self, frame: np.ndarray, face: Face) -> Face:
        """Return the nearest face, or the old one if there is none."""
        old = OrientedSquare.from_face(face).center
        near = [s for s in self.squares(frame) if math.dist(s.center, old) < 0.4 * s.side]
        if not near:
            return face
        found = self.seen(min(near, key=lambda s: math.dist(s.center, old)))
        return dataclasses.replace(found, identity=face.identity)

    def watched(self, frames: int, every: int = 5) -> list[list[Face]]:
        tracker = FaceTracker(self, every)
        return [tracker(self.frame(n), n / RATE) for n in range(frames)]


def still(number: int) -> OrientedSquare:
    return OrientedSquare((200.0, 150.0), 100.0, 0.2)


def test_one_euro_filter_by_hand():
    smooth = OneEuroFilter(min_cutoff=1.0, beta=0.0)
    assert smooth(np.array([4.0, -1.0]), 0.0).tolist() == [4.0, -1.0]
    # A step of 0.1 s at 1 Hz: 1 / (1 + 1 / (2 pi * 0.1)) = 0.38587 of what is new.
    np.testing.assert_allclose(smooth(np.array([5.0, -1.0]), 0.1), [4.38587, -1.0], atol=1e-5)
    np.testing.assert_allclose(smooth(np.array([5.0, -1.0]), 0.2), [4.62285, -1.0], atol=1e-5)
    np.testing.assert_allclose(smooth(np.array([9.0, 9.0]), 0.2), [4.62285, -1.0], atol=1e-5)


def test_one_euro_filter_follows_motion():
    # Speed 10 / s, smoothed 3.8587; cutoff 4.8587 Hz: 1 / (1 + 1 / (2 pi * 0.48587)) = 0.75326
    smooth = OneEuroFilter(min_cutoff=1.0, beta=1.0)
    smooth(np.array([0.0]), 0.0)
    np.testing.assert_allclose(smooth(np.array([1.0]), 0.1), [0.75326], atol=1e-5)


def test_detection_every_nth_frame():
    scene = Scene(still)
    assert all(len(faces) == 1 for faces in scene.watched(12, every=4))
    assert scene.searched == [0, 4, 8]


def test_face_at_rest_does_not_jitter():
    """Noise of 1 % of the side is halved at least, in every parameter."""
    scene = Scene(still, noise=0.01)
    squares = [OrientedSquare.from_face(face) for (face,) in scene.watched(100)]
    raw = [OrientedSquare.from_face(scene.seen(still(0))) for _ in range(100)]

    def jitter(squares: list[OrientedSquare]) -> np.ndarray:
        values = [(*s.center, 100 * math.log(s.side), 100 * s.angle) for s in squares]
        return np.abs(np.diff(values, axis=0)).mean(0)

    ratio = jitter(squares[10:]) / jitter(raw)
    assert (ratio < 0.5).all(), ratio
    centres = np.array([s.center for s in squares[10:]])
    assert np.abs(centres - still(0).center).max() < 2


def test_face_in_motion_is_followed_without_lag():
    """At a side per second, the lag is below a twentieth of the side."""

    def walks(number: int) -> OrientedSquare:
        return OrientedSquare((100 + 4.0 * number, 150.0), 100.0, 0.0)

    for number, (face,) in enumerate(Scene(walks).watched(60)):
        assert (
            math.dist(OrientedSquare.from_face(face).center, walks(number).center) < 5.0
            or number < 5
        )


def test_angle_is_unwrapped():
    def turns(number: int) -> OrientedSquare:
        return OrientedSquare((200.0, 150.0), 100.0, math.pi - 0.3 + 0.02 * number)

    for number, (face,) in enumerate(Scene(turns).watched(40)):
        off = OrientedSquare.from_face(face).angle - turns(number).angle
        assert abs(math.remainder(off, 2 * math.pi)) < 0.08


def test_each_person_keeps_a_number():
    def left(number: int) -> OrientedSquare:
        return OrientedSquare((150 + 2.0 * number, 150.0), 80.0, 0.0)

    def right(number: int) -> OrientedSquare:
        return OrientedSquare((500 - 2.0 * number, 170.0), 80.0, 0.0)

    def later(number: int) -> OrientedSquare | None:
        return OrientedSquare((320.0, 400.0), 60.0, 0.0) if number >= 10 else None

    watched = Scene(left, right, later, noise=0.005).watched(60)
    for number, faces in enumerate(watched):
        assert [face.identity for face in faces] == ([1, 2] if number < 10 else [1, 2, 3])
        for face, person in zip(faces, (left, right, later), strict=False):
            assert math.dist(OrientedSquare.from_face(face).center, person(number).center) < 10


def test_lost_face_stays_visible_for_a_while_and_keeps_its_number():
    gone_from, back_at = 20, 50

    def comes_back(number: int) -> OrientedSquare | None:
        return None if gone_from <= number < back_at else still(number)

    watched = Scene(comes_back).watched(70)
    last = 15 / RATE + VISIBLE_SECONDS  # frame 15 is the last one in which it was found
    for number, faces in enumerate(watched):
        shown = number / RATE <= last or number >= back_at
        assert len(faces) == shown, number
        assert all(face.identity == 1 for face in faces)


def test_face_absent_for_long_gets_a_new_number():
    away = round(FORGET_SECONDS * RATE) + 10

    def comes_back(number: int) -> OrientedSquare | None:
        return None if 5 <= number < away else still(number)

    watched = Scene(comes_back).watched(away + 10)
    assert {face.identity for face in watched[-1]} == {2}


def test_detector_corrects_a_jump():
    def jumps(number: int) -> OrientedSquare:
        return OrientedSquare((200.0 if number < 7 else 260.0, 150.0), 100.0, 0.0)

    watched = Scene(jumps).watched(25)
    assert all(len(faces) == 1 for faces in watched[:7])
    # Too far for the same face from one frame to the next; found anew at the next search.
    (face,) = [f for f in watched[-1] if abs(OrientedSquare.from_face(f).center[0] - 260) < 5]
    assert face.identity in (1, 2)


def test_reset():
    scene = Scene(still)
    tracker = FaceTracker(scene, 5)
    tracker(scene.frame(0), 0.0)
    tracker.reset()
    (face,) = tracker(scene.frame(1), 0.04)
    assert scene.searched == [0, 1]
    assert face.identity == 2


def test_every_must_be_positive():
    with pytest.raises(ValueError, match="expected every of at least 1, got 0"):
        FaceTracker(Scene(), 0)
