"""Faces of a film: the same people from frame to frame, without a jump."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from anime_tf.faces.align import Square, between, square_of
from anime_tf.faces.face import Face, overlap

SAME_PERSON = 0.3
"""A face that was found is that of a track where they overlap by more than this."""

AGREES = 0.6
"""A track that overlaps by this with what was found anew goes on as it is: no jump for nothing."""

SHOWN_SECONDS = 0.4
"""How long a face that is no longer found is shown where it seems to be."""

REMEMBERED_SECONDS = 2.0
"""How long its number is kept for a face that is found again in the same place."""

MIN_CUTOFF = 1.5
"""Hz, of the filter of a face at rest."""

BETA = 3.0
"""Hz by which the cutoff rises for each unit of speed: a side, or a radian, a second."""

SPEED_CUTOFF = 1.0
"""Hz, of the filter of the speed itself."""

MAX_STEP = 0.35
"""A face moves by less than this part of its side from one frame to the next, or it was lost."""


class Finder(Protocol):
    """What a tracker needs of a `FaceFinder`."""

    def __call__(self, photo_u8: np.ndarray) -> list[Face]:
        """Finds the faces of a picture."""
        ...

    def follow(self, photo_u8: np.ndarray, face: Face) -> Face:
        """Finds the landmarks of a face anew, near to where it was."""
        ...


class OneEuroFilter:
    """Smooths values that are measured again and again: much at rest, little in motion.

    A low-pass filter of first order whose cutoff is ``min_cutoff + beta * |speed|``, where the
    speed is itself the difference of the values, smoothed at `SPEED_CUTOFF`.

    Args:
        min_cutoff: Hz.
        beta: Hz for each unit of speed.

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
        """Takes what was measured, gives it smoothed.

        Args:
            measured: (n,) floats, each filtered by itself.
            seconds: When; a time that does not grow gives the last value again.

        Returns:
            (n,) float64; the first time what was measured.
        """
        measured = np.asarray(measured, np.float64)
        if self._measured is None:
            self._value, self._speed = measured.copy(), np.zeros_like(measured)
        elif seconds > self._seconds:
            step = seconds - self._seconds
            speed = (measured - self._measured) / step
            self._speed += _share(SPEED_CUTOFF, step) * (speed - self._speed)
            cutoff = self._min_cutoff + self._beta * np.abs(self._speed)
            self._value += _share(cutoff, step) * (measured - self._value)
        else:
            return self._value.copy()
        self._measured, self._seconds = measured, seconds
        return self._value.copy()


def _share(cutoff: np.ndarray | float, step: float) -> np.ndarray:
    """How much of what is new a low-pass filter takes at each step of so many seconds."""
    return 1 / (1 + 1 / (2 * np.pi * np.asarray(cutoff) * step))


class _SmoothSquare:
    """A square's centre, size and angle, filtered."""

    def __init__(self) -> None:
        self._filter = OneEuroFilter()
        self._origin = Square((0.0, 0.0), 1.0, 0.0)
        self._angle = 0.0
        self._begun = False

    def __call__(self, square: Square, seconds: float) -> Square:
        if not self._begun:
            self._origin, self._angle, self._begun = square, square.angle, True
        # Angles go on where they would jump from half a turn to minus half a turn.
        turn = (square.angle - self._angle + math.pi) % (2 * math.pi) - math.pi
        self._angle += turn
        # In sides of the first square, so that large faces are filtered as small ones are.
        unit, (x, y) = self._origin.side, self._origin.centre
        values = (
            (square.centre[0] - x) / unit,
            (square.centre[1] - y) / unit,
            math.log(square.side / unit),
            self._angle,
        )
        across, down, size, angle = self._filter(np.array(values), seconds).tolist()
        return Square((x + across * unit, y + down * unit), unit * math.exp(size), angle)


@dataclass
class _Track:
    """A person.

    Attributes:
        face: As measured last, unfiltered; its identity is the person's.
        confirmed: When the detector last found it, in seconds.
        smooth: Filters its square.
    """

    face: Face
    confirmed: float
    smooth: _SmoothSquare


class FaceTracker:
    """Finds the faces of a film, frame after frame.

    The detector looks at every `every`-th frame; between them the landmarks of each face are found
    anew near to where they were. Position, size and angle go through a one-euro filter, which the
    landmarks follow, so that neither the portrait nor its mask jumps. The frames of one film, in
    order, go to one tracker.

    Args:
        finder: Finds and follows faces; a `FaceFinder`.
        every: In how many frames the detector looks once.

    Raises:
        ValueError: `every` is less than 1.
    """

    def __init__(self, finder: Finder, every: int = 5) -> None:
        if every < 1:
            raise ValueError(f"every must be 1 or more, received {every}")
        self._finder = finder
        self._every = int(every)
        self._tracks: list[_Track] = []
        self._frames = 0
        self._people = 0

    def __call__(self, frame_u8: np.ndarray, seconds: float) -> list[Face]:
        """Finds the faces of the next frame.

        Args:
            frame_u8: (height, width, 3) RGB uint8.
            seconds: Its time in the film; grows from frame to frame.

        Returns:
            The faces that are shown, each with the number of its person, who came first first.
        """
        for track in self._tracks:
            track.face = self._followed(frame_u8, track.face)
        if self._frames % self._every == 0:
            self._detect(frame_u8, seconds)
        self._frames += 1
        shown = []
        for track in self._tracks:
            if seconds - track.confirmed > SHOWN_SECONDS:
                continue
            square = square_of(track.face)
            shown.append(track.face.moved(between(square, track.smooth(square, seconds))))
        return shown

    def reset(self) -> None:
        """Forgets all faces and looks at the next frame: after a cut."""
        self._tracks.clear()
        self._frames = 0

    def _followed(self, frame_u8: np.ndarray, face: Face) -> Face:
        """The face in the next frame, or as it was where it cannot have gone."""
        after = self._finder.follow(frame_u8, face)
        was, now = square_of(face), square_of(after)
        step = math.dist(was.centre, now.centre) / was.side
        if step > MAX_STEP or abs(math.log(now.side / was.side)) > MAX_STEP:
            return face
        return after

    def _detect(self, frame_u8: np.ndarray, seconds: float) -> None:
        """Confirms, corrects, begins and ends tracks by what the detector finds."""
        found = self._finder(frame_u8)
        pairs = sorted(
            (
                (overlap(track.face.box, face.box), i, j)
                for i, track in enumerate(self._tracks)
                for j, face in enumerate(found)
            ),
            reverse=True,
        )
        taken: set[int] = set()
        known: set[int] = set()
        for same, i, j in pairs:
            if same <= SAME_PERSON or i in known or j in taken:
                continue
            known.add(i)
            taken.add(j)
            track = self._tracks[i]
            if seconds - track.confirmed > SHOWN_SECONDS:
                track.smooth = _SmoothSquare()  # it was away: it does not glide to its place
                same = 0.0
            if same < AGREES:
                track.face = dataclasses.replace(found[j], identity=track.face.identity)
            track.confirmed = seconds
        self._tracks = [t for t in self._tracks if seconds - t.confirmed <= REMEMBERED_SECONDS]
        for j, face in enumerate(found):
            if j not in taken:
                self._people += 1
                numbered = dataclasses.replace(face, identity=self._people)
                self._tracks.append(_Track(numbered, seconds, _SmoothSquare()))
