"""One representative frame for each shot of a video."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from anime_tf.metrics.cuts import CutDetector

MIN_SHOT_SECONDS = 0.6
"""Shorter shots are skipped: flashes, and the middle of a dissolve."""

_MAX_CANDIDATES = 8  # frames of a shot in memory


@dataclass(frozen=True)
class NumberedFrame:
    """A frame of a video and its position."""

    number: int  # index of the frame, from 0
    seconds: float  # presentation time
    rgb_u8: np.ndarray  # (height, width, 3), the frame or a part of it
    corner: tuple[int, int] = (0, 0)  # (top, left) of the part within the frame


class ShotMiddle:
    """Candidate frames of one shot, to choose one of its middle without knowing its end.

    It stores every frame at first. Whenever it has more than 8, it drops every second one and
    stores only every second, fourth, eighth frame from then on, so memory does not grow with the
    shot.
    """

    def __init__(self) -> None:
        self._candidates: list[NumberedFrame] = []
        self._stride = 1
        self._count = 0
        self._first = self._last = 0.0

    def add(self, frame: NumberedFrame) -> None:
        """Add the next frame of the shot."""
        self._first = self._first if self._count else frame.seconds
        self._last = frame.seconds
        if self._count % self._stride == 0:
            self._candidates.append(frame)
            if len(self._candidates) > _MAX_CANDIDATES:
                self._candidates = self._candidates[::2]
                self._stride *= 2
        self._count += 1

    @property
    def seconds(self) -> float:
        """Duration from the first to the last frame."""
        return self._last - self._first

    def best(self, score: Callable[[np.ndarray], float]) -> NumberedFrame | None:
        """Return the candidate of the middle half of the shot with the highest `score`.

        The earliest among equals; the one nearest to the middle if no candidate is in the middle
        half; None for a shot without frames.
        """
        if not self._candidates:
            return None
        middle = (self._first + self._last) / 2
        near = [f for f in self._candidates if abs(f.seconds - middle) <= self.seconds / 4]
        if not near:
            return min(self._candidates, key=lambda f: abs(f.seconds - middle))
        return max(near, key=lambda f: score(f.rgb_u8))


def frames_of_shots(
    frames: Iterator[NumberedFrame],
    score: Callable[[np.ndarray], float],
    on_short: Callable[[NumberedFrame], None],
) -> Iterator[NumberedFrame]:
    """Yield one frame for each shot: the best of up to 8 from its middle half.

    Args:
        frames: The frames of a video.
        score: Function of RGB uint8; higher is better.
        on_short: Called with a frame of each shot under `MIN_SHOT_SECONDS`, which is skipped.

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
        if detector.begins_shot(frame.rgb_u8, frame.seconds):
            yield from end(shot)
            shot = ShotMiddle()
        shot.add(frame)
    yield from end(shot)
