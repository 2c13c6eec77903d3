"""Detection of cuts between the shots of a video."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np

from anime_tf.io.geometry import resize
from anime_tf.metrics.perceptual_hash import hamming_distance, perceptual_hash

COLOR_CHANGE = 0.2
"""Share of pixels that change color at a cut, see `color_change`.

In a drawn and in a live-action clip, motion within a shot changes at most 0.09 of them, both from
frame to frame and within half a second; a cut between two close-ups of one person in one place
changes 0.37.
"""

LAYOUT_CHANGE = 20
"""Bits of the perceptual hash that change at a cut between shots of similar colors.

Motion within those clips changes 12 bits, their cut 24.
"""

LAG_SECONDS = 0.5  # age of the earlier frame that a frame is also compared with, to find dissolves
_BINS = (12, 4, 4)  # of hue, saturation and value


def color_histogram(rgb_u8: np.ndarray) -> np.ndarray:
    """Share of RGB uint8 pixels in each of 12 hues x 4 saturations x 4 values, float32 of sum 1."""
    hsv = cv2.cvtColor(resize(rgb_u8, (72, 96)), cv2.COLOR_RGB2HSV)
    counts = cv2.calcHist([hsv], [0, 1, 2], None, list(_BINS), [0, 180, 0, 256, 0, 256])
    return counts / counts.sum()


def color_change(a: np.ndarray, b: np.ndarray) -> float:
    """Share of pixels in different bins of two histograms, 0..1: half their L1 distance."""
    return float(np.abs(a - b).sum()) / 2


class CutDetector:
    """Detects frame by frame where a shot begins; stores small histograms only.

    A frame begins a shot if, compared with the previous frame, `color_change` is at least
    `COLOR_CHANGE` or the perceptual hash differs in at least `LAYOUT_CHANGE` bits; or if
    `color_change` is that large compared with the frame `LAG_SECONDS` earlier in the same shot.
    """

    def __init__(self) -> None:
        self._recent: deque[tuple[float, np.ndarray]] = deque()
        self._hash: int | None = None

    def begins_shot(self, rgb_u8: np.ndarray, seconds: float) -> bool:
        """Return whether the next frame, (h, w, 3) RGB uint8, begins a shot; the first does."""
        histogram = color_histogram(rgb_u8)
        value = perceptual_hash(rgb_u8)
        recent = self._recent
        # Keep one frame that is at least LAG_SECONDS old for the comparison.
        while len(recent) > 1 and recent[1][0] <= seconds - LAG_SECONDS:
            recent.popleft()
        cut = (
            self._hash is None
            or color_change(recent[-1][1], histogram) >= COLOR_CHANGE
            or hamming_distance(self._hash, value) >= LAYOUT_CHANGE
            or color_change(recent[0][1], histogram) >= COLOR_CHANGE
        )
        if cut:
            recent.clear()
        recent.append((seconds, histogram))
        self._hash = value
        return cut
