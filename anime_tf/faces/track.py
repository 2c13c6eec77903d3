"""Face tracking in videos, with smoothed positions."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from anime_tf.faces.align import OrientedSquare, similarity_transform
from anime_tf.faces.face import Face, iou

if TYPE_CHECKING:
    from anime_tf.faces.detect import FaceFinder

MATCH_IOU = 0.3  # a detection belongs to a track if their intersection over union is larger

KEEP_IOU = 0.6
"""A track with a larger overlap keeps its own landmarks, which prevents a needless jump."""

VISIBLE_SECONDS = 0.4  # time for which a face is shown after its last detection
FORGET_SECONDS = 2.0  # time for which the number of a face is kept after its last detection
MIN_CUTOFF = 1.5  # cutoff of the filter at rest in Hz
BETA = 3.0  # increase of the cutoff in Hz per unit of speed (sides or radians per second)
SPEED_CUTOFF = 1.0  # cutoff of the filter of the speed in Hz

MAX_STEP = 0.35
"""Largest motion between two frames, as a fraction of the side; beyond it the face was lost."""


class OneEuroFilter:
    """One-euro filter: strong smoothing at rest, little lag in motion.

    First-order low-pass filter with the cutoff ``min_cutoff + beta * |speed|``. The speed is the
    finite difference of the values, smoothed at `SPEED_CUTOFF`.

    Args:
        min_cutoff: Hz.
        beta: Hz per unit of speed.

    Reference:
        Casiez, Roussel and Vogel, 1 Euro Filter: A Simple Speed-based Low-pass Filter for Noisy
        Input in Interactive Systems, 2012.
    """

    def __init__(self, min_cutoff: float = MIN_CUTOFF, beta: float = BETA) -> None:
        self._min_cutoff = min_cutoff
        self._beta = beta
        self._measured: np.ndarray | None = None
        self._value = np.zeros(0)
        self._speed = np.zeros(0)
        self._seconds = 0.0

    def __call__(self, measured: np.ndarray, seconds: float) -> np.ndarray:
        """Filter the next measurement.

        Args:
            measured: (n,) floats, filtered independently.
            seconds: Its time; one that does not increase returns the previous value.

        Returns:
            (n,) float64; the first measurement is returned unchanged.
        """
        measured = np.asarray(measured, np.float64)
        if self._measured is None:
            self._value, self._speed = measured.copy(), np.zeros_like(measured)
        elif seconds > self._seconds:
            step = seconds - self._seconds
            speed = (measured - self._measured) / step
            self._speed += _smoothing_factor(SPEED_CUTOFF, step) * (speed - self._speed)
            cutoff = self._min_cutoff + self._beta * np.abs(self._speed)
            self._value += _smoothing_factor(cutoff, step) * (measured - self._value)
        else:
            return self._value.copy()
        self._measured, self._seconds = measured, seconds
        return self._value.copy()


def _smoothing_factor(cutoff: np.ndarray | float, step: float) -> np.ndarray:
    return 1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * step))


class _SquareFilter:
    """Filters the center, side and angle of a square."""

    def __init__(self) -> None:
        self._filter = OneEuroFilter()
        self._origin: OrientedSquare | None = None
        self._angle = 0.0

    def __call__(self, square: OrientedSquare, seconds: float) -> OrientedSquare:
        if self._origin is None:
            self._origin, self._angle = square, square.angle
        # Unwrapped, because angles jump from pi to -pi.
        self._angle += (square.angle - self._angle + math.pi) % (2 * math.pi) - math.pi
        # In units of the first square, so that the filter does not depend on the face's size.
        unit, (x, y) = self._origin.side, self._origin.center
        values = (
            (square.center[0] - x) / unit,
            (square.center[1] - y) / unit,
            math.log(square.side / unit),
            self._angle,
        )
        dx, dy, log_side, angle = self._filter(np.array(values), seconds).tolist()
        return OrientedSquare((x + dx * unit, y + dy * unit), unit * math.exp(log_side), angle)


@dataclass
class _Track:
    """A person: the last measurement, unfiltered, and the time of the last detection."""

    face: Face
    detected: float
    filter: _SquareFilter


class FaceTracker:
    """Finds the faces in the frames of one video, in order.

    The detector searches every `every`-th frame; between them the landmarks are followed. A
    one-euro filter smooths position, size and angle, so that portraits and masks do not jitter.

    Args:
        finder: Finds and follows faces.
        every: Frames per search.

    Raises:
        ValueError: `every` is less than 1.
    """

    def __init__(self, finder: FaceFinder, every: int = 5) -> None:
        if every < 1:
            raise ValueError(f"expected every of at least 1, got {every}")
        self._finder = finder
        self._every = int(every)
        self._tracks: list[_Track] = []
        self._frames = 0
        self._people = 0

    def __call__(self, frame_u8: np.ndarray, seconds: float) -> list[Face]:
        """Find the faces in the next frame.

        Args:
            frame_u8: (height, width, 3) RGB uint8.
            seconds: Its time in the video; increases from frame to frame.

        Returns:
            The visible faces with the numbers of their persons, in the order of appearance.
        """
        for track in self._tracks:
            track.face = self._follow(frame_u8, track.face)
        if self._frames % self._every == 0:
            self._detect(frame_u8, seconds)
        self._frames += 1
        visible = []
        for track in self._tracks:
            if seconds - track.detected > VISIBLE_SECONDS:
                continue
            square = OrientedSquare.from_face(track.face)
            smooth = track.filter(square, seconds)
            visible.append(track.face.transformed(similarity_transform(square, smooth)))
        return visible

    def reset(self) -> None:
        """Forget all faces and search the next frame; call it at a cut."""
        self._tracks.clear()
        self._frames = 0

    def _follow(self, frame_u8: np.ndarray, face: Face) -> Face:
        """Return the face in the next frame, or the old one if the motion is too large."""
        followed = self._finder.follow(frame_u8, face)
        before, after = OrientedSquare.from_face(face), OrientedSquare.from_face(followed)
        step = math.dist(before.center, after.center) / before.side
        is_lost = step > MAX_STEP or abs(math.log(after.side / before.side)) > MAX_STEP
        return face if is_lost else followed

    def _detect(self, frame_u8: np.ndarray, seconds: float) -> None:
        """Match detections with tracks greedily by overlap; update, start and end tracks."""
        found = self._finder(frame_u8)
        pairs = sorted(
            (
                (iou(track.face.box, face.box), i, j)
                for i, track in enumerate(self._tracks)
                for j, face in enumerate(found)
            ),
            reverse=True,
        )
        matched_tracks: set[int] = set()
        matched_faces: set[int] = set()
        for overlap, i, j in pairs:
            if overlap <= MATCH_IOU or i in matched_tracks or j in matched_faces:
                continue
            matched_tracks.add(i)
            matched_faces.add(j)
            track = self._tracks[i]
            was_hidden = seconds - track.detected > VISIBLE_SECONDS
            if was_hidden:
                track.filter = _SquareFilter()  # a returning face must not glide to its place
            if was_hidden or overlap < KEEP_IOU:
                track.face = dataclasses.replace(found[j], identity=track.face.identity)
            track.detected = seconds
        self._tracks = [t for t in self._tracks if seconds - t.detected <= FORGET_SECONDS]
        for j, face in enumerate(found):
            if j not in matched_faces:
                self._people += 1
                numbered = dataclasses.replace(face, identity=self._people)
                self._tracks.append(_Track(numbered, seconds, _SquareFilter()))
