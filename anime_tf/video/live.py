"""Stylizing a camera at the frame rate that the machine reaches."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from fractions import Fraction
from statistics import median

import numpy as np

from anime_tf.io.geometry import limit_array_side, resize
from anime_tf.video.stabilizer import FrameStylizer

DEFAULT_RATE = Fraction(15)
"""Frames per second to reach unless a rate is requested."""

SCALES = (1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.1875, 0.125)
"""Scales of the frames, from the largest to the smallest."""

MEASURED_FRAMES = 5
"""Frames whose median time decides."""

GROW_FRAMES = 30
"""Frames of one scale before it may grow, so that a short pause of other programs changes nothing.
"""

GROW_SHARE = 0.75
"""The scale grows only if the larger one is expected to take at most this share of the time."""

HURRY = 2.0
"""A frame that takes more than this multiple of its time shrinks the next one at once."""


class AdaptiveScale:
    """Chooses the largest of `SCALES` at which frames take no longer than a frame rate allows.

    The time of a frame is taken as proportional to its pixels.

    Attributes:
        scale: The present scale; 1 at first.
    """

    def __init__(self, rate: Fraction | float) -> None:
        self._budget = float(1 / rate)
        self._begin(SCALES[0])

    def _begin(self, scale: float) -> None:
        self.scale = scale
        self._times: deque[float] = deque(maxlen=MEASURED_FRAMES)
        self._count = -1  # the first frame of a size also prepares the network for it

    def add(self, seconds: float) -> None:
        """Add the time of a frame at the present scale, and choose the scale of the next one."""
        self._count += 1
        if self._count == 0:
            return
        self._times.append(seconds)
        if len(self._times) < MEASURED_FRAMES and seconds <= HURRY * self._budget:
            return
        time_per_area = median(self._times) / self.scale**2
        scale = self.scale
        if time_per_area * scale**2 > self._budget:
            fitting = (s for s in SCALES if time_per_area * s**2 <= self._budget)
            scale = next(fitting, SCALES[-1])
        elif self._count >= GROW_FRAMES:
            larger = SCALES[max(0, SCALES.index(scale) - 1)]
            if time_per_area * larger**2 <= GROW_SHARE * self._budget:
                scale = larger
        if scale != self.scale:
            self._begin(scale)


class LiveStylizer:
    """Stylizes frames at the largest size that reaches a frame rate; a `FrameStylizer`.

    Results are enlarged to the size of the frames, so that the output keeps one size.

    Args:
        make_stylize: Returns a new function for the frames of one size; called for each size.
        rate: Frames per second to reach.
        max_side: Longest side of the results; 0 for no limit.
        clock: Returns seconds.

    Attributes:
        size_hw: Size of the frames that the network sees; None before the first frame.
    """

    def __init__(
        self,
        make_stylize: Callable[[], FrameStylizer],
        rate: Fraction | float = DEFAULT_RATE,
        max_side: int = 0,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._make_stylize, self._stylize = make_stylize, make_stylize()
        self._scale = AdaptiveScale(rate)
        self._max_side, self._clock = max_side, clock
        self.size_hw: tuple[int, int] | None = None

    def __call__(self, rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Stylize the next frame; see `FrameStylizer`."""
        rgb_u8 = limit_array_side(rgb_u8, self._max_side)
        height, width = rgb_u8.shape[:2]
        scale = self._scale.scale
        small_hw = max(1, round(height * scale)), max(1, round(width * scale))
        if self.size_hw is not None and small_hw != self.size_hw:
            self._stylize = self._make_stylize()  # its averages are those of another size
        self.size_hw = small_hw
        start = self._clock()
        anime_u8 = self._stylize(resize(rgb_u8, small_hw), seconds)
        self._scale.add(self._clock() - start)
        # Photo and result side by side are wider than the frame.
        return resize(anime_u8, (height, round(anime_u8.shape[1] * height / anime_u8.shape[0])))
