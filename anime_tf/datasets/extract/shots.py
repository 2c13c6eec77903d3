"""The shots of a film, and a frame or two that stand for each."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import cv2
import numpy as np

from anime_tf.datasets.extract.duplicates import HASH_BITS, distance, perceptual_hash
from anime_tf.io import pictures

COLOUR_CHANGE = 0.2
"""Share of the pixels that must change colour for a cut, as `colour_change` counts it.

In a drawn and in a filmed clip, what moves within a shot changes 0.09 of them at most, from one
frame to the next and within half a second alike; the cut between two close-ups of one person in
one place changes 0.37.
"""

LAYOUT_CHANGE = 20
"""Bits of the perceptual hash that must change for a cut between shots of the same colours.

Movements in those clips change 12 bits, their cut 24.
"""

LAG_SECONDS = 0.5
"""How far back a frame is compared as well, for shots that dissolve into each other."""

MIN_SHOT_SECONDS = 0.6
"""Shorter shots are left out: flashes, and what lies between two shots that dissolve."""

_HELD = 8  # frames of a shot that are in memory at a time
_BINS = (12, 4, 4)  # of hue, saturation and value


@dataclass(frozen=True)
class NumberedFrame:
    """A frame of a film, and where it stands in it.

    Attributes:
        number: Counted from 0.
        seconds: When it is shown.
        rgb_u8: (height, width, 3) uint8 RGB, the frame or a part of it.
        corner: Where the part lies in the frame: (top, left).
    """

    number: int
    seconds: float
    rgb_u8: np.ndarray
    corner: tuple[int, int] = (0, 0)


def colour_histogram(rgb_u8: np.ndarray) -> np.ndarray:
    """How a picture's pixels are spread over 12 hues, 4 saturations and 4 values.

    Args:
        rgb_u8: (height, width, 3) RGB uint8.

    Returns:
        (12, 4, 4) float32, adding up to 1.
    """
    hsv = cv2.cvtColor(pictures.resize(rgb_u8, (72, 96)), cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256])
    return counts / counts.sum()


def colour_change(one: np.ndarray, other: np.ndarray) -> float:
    """How far two histograms of `colour_histogram` lie apart.

    Args:
        one: A histogram.
        other: Another.

    Returns:
        The share of pixels that would have to change their bin: 0 alike, 1 nothing in common.
    """
    return float(np.abs(one - other).sum()) / 2


class CutDetector:
    """Tells where a shot begins, frame after frame; keeps small histograms only.

    A frame begins a shot where, against the frame before, `colour_change` is at least
    `COLOUR_CHANGE` or the perceptual hash differs in at least `LAYOUT_CHANGE` bits; or where,
    against the frame of `LAG_SECONDS` before in the same shot, `colour_change` is.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[float, np.ndarray]] = deque()
        self._hash: int | None = None

    def begins_shot(self, frame: NumberedFrame) -> bool:
        """Takes the film's next frame.

        Args:
            frame: The frame.

        Returns:
            Whether it begins a shot; the first frame of all does.
        """
        histogram = colour_histogram(frame.rgb_u8)
        value = perceptual_hash(frame.rgb_u8)
        recent = self._recent
        # One frame that is at least so old stays, to be compared with.
        while len(recent) > 1 and recent[1][0] <= frame.seconds - LAG_SECONDS:
            recent.popleft()
        cut = (
            self._hash is None
            or colour_change(recent[-1][1], histogram) >= COLOUR_CHANGE
            or distance(self._hash, value) >= min(LAYOUT_CHANGE, HASH_BITS)
            or colour_change(recent[0][1], histogram) >= COLOUR_CHANGE
        )
        if cut:
            recent.clear()
        recent.append((frame.seconds, histogram))
        self._hash = value
        return cut


class ShotMiddle:
    """Frames of one shot, from which one of its middle is taken without knowing its end.

    Every frame is held at first; whenever more than 8 are, every second one goes, and from then on
    only every second, fourth, eighth frame is held. Memory therefore does not grow with the shot.
    """

    def __init__(self) -> None:
        self._held: list[NumberedFrame] = []
        self._stride = 1
        self._count = 0
        self._first = self._last = 0.0

    def add(self, frame: NumberedFrame) -> None:
        """Takes the shot's next frame.

        Args:
            frame: The frame.
        """
        if self._count == 0:
            self._first = frame.seconds
        self._last = frame.seconds
        if self._count % self._stride == 0:
            self._held.append(frame)
            if len(self._held) > _HELD:
                self._held = self._held[::2]
                self._stride *= 2
        self._count += 1

    @property
    def seconds(self) -> float:
        """From the first to the last frame."""
        return self._last - self._first

    def best(self, score: Callable[[np.ndarray], float]) -> NumberedFrame | None:
        """The best frame of those held from the middle half of the shot.

        Args:
            score: Higher is better; takes RGB uint8.

        Returns:
            The frame, the earliest of equal ones; the one nearest to the middle where none lies
            in the middle half; None where no frame was added.
        """
        if not self._held:
            return None
        middle = (self._first + self._last) / 2
        near = [f for f in self._held if abs(f.seconds - middle) <= self.seconds / 4]
        if not near:
            return min(self._held, key=lambda f: abs(f.seconds - middle))
        return max(near, key=lambda f: score(f.rgb_u8))


def frames_of_shots(
    frames: Iterator[NumberedFrame],
    score: Callable[[np.ndarray], float],
    on_short: Callable[[NumberedFrame], None],
) -> Iterator[NumberedFrame]:
    """Yields one frame for each shot: the best of up to 8 from its middle half.

    Args:
        frames: The frames of a film.
        score: Higher is better; takes RGB uint8.
        on_short: Called with a frame of each shot under `MIN_SHOT_SECONDS`, which gives none.

    Yields:
        Frames, as soon as their shot has ended.
    """

    def end(shot: ShotMiddle) -> Iterator[NumberedFrame]:
        frame = shot.best(score)
        if frame is None:
            return
        if shot.seconds < MIN_SHOT_SECONDS:
            on_short(frame)
        else:
            yield frame

    detector, shot = CutDetector(), ShotMiddle()
    for frame in frames:
        if detector.begins_shot(frame):
            yield from end(shot)
            shot = ShotMiddle()
        shot.add(frame)
    yield from end(shot)
