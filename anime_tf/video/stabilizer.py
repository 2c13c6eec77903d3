"""Flicker-free videos: norm statistics averaged over frames, and a motion-compensated blend.

A network that stylizes each frame on its own draws the same wall slightly differently from frame to
frame. Two remedies, alone or together:

* An exponential moving average over the frames of a shot replaces the statistics of the network's
  norms (`inference.stylizer.Stylizer.stylize_ema`), which shift the colors and lines of a whole
  frame. It follows frames that are measured now and then; those between run through a network
  without norms, which is faster.
* Each frame is blended with the previous one, warped along the motion of the photos, where both
  photos show the same thing (`MotionCompensatedBlend`).

Both restart at a cut.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

import cv2
import numpy as np
from absl import logging

from anime_tf.io.geometry import resize
from anime_tf.metrics.cuts import CutDetector
from anime_tf.metrics.warping import (
    OCCLUSION_SHARE,
    OCCLUSION_SQUARE,
    FlowEstimator,
    forward_backward_error,
    warp,
)
from anime_tf.video.config import StabilizerConfig

if TYPE_CHECKING:
    from anime_tf.inference.stylizer import Stylizer

# Largest distance of the averaged statistics from a frame's own, in its standard deviations. In a
# sunny street 999 of 1000 change by less than 0.025 from frame to frame, and 99 of 100 by less than
# 0.035 in half a second: that is flicker. A change of light exceeds it and is followed at once;
# otherwise an instance norm's network would draw another picture.
STATISTICS_TOLERANCE = 0.1

# Change of light and colors, as of `_LightMonitor`, after which statistics are measured again. A
# fade by a twentieth reaches it; a handheld shot of a street reaches it within some seconds.
REMEASURE_CHANGE = 0.05
FAST_SECONDS = 0.2  # a change within them is fast: every frame is measured, because steps show

MAX_PREVIOUS_WEIGHT = 0.85  # however close in time the two frames are
FLOW_SIDE = 480  # longest side of the photos in which motion is estimated, in pixels
DIFFERENCE_SCALE = 14.0  # levels between two photos at which the confidence falls to 1 / e

_DIFFERENCE_BLUR = 1.5  # sigma in pixels, against noise
_CONFIDENCE_BLUR = 1.0  # sigma in pixels, so that no border shows
_NEIGHBORHOOD = np.ones((5, 5), np.uint8)
_CLAMP_MARGIN = 8  # levels beyond the new frame's neighborhood that the previous frame may have


class FrameStylizer(Protocol):
    """Function of the frames of one video, called in order."""

    def __call__(self, rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Stylize the next frame.

        Args:
            rgb_u8: (height, width, 3) uint8 RGB.
            seconds: Time of the frame; increasing.

        Returns:
            A new array of the same dtype, and of the same or a smaller size.
        """


def decay(half_life: float, seconds: float) -> float:
    """Return 0.5^(seconds / half_life); 0 for a half-life of 0."""
    return 0.0 if half_life <= 0 else math.pow(0.5, max(seconds, 0.0) / half_life)


def flow_confidence(
    photo_u8: np.ndarray, previous_u8: np.ndarray, flow: np.ndarray, back: np.ndarray
) -> np.ndarray:
    """Rate for each pixel whether the flow leads to the same thing in the previous photo.

        exp(-|f + b|^2 / (0.01 (|f|^2 + |b|^2) + 0.5)) exp(-(d / 14)^2)

    d is the largest difference of the three channels after a blur. The minimum over 3x3 pixels is
    taken, since flow is least reliable at borders, and softened.

    Args:
        photo_u8: (height, width, 3) uint8 RGB.
        previous_u8: The previous photo, same shape.
        flow: (height, width, 2) float32 from the photo to the previous one.
        back: From the previous photo to this one.

    Returns:
        (height, width) float32 in 0..1; 0 where the flow leaves the picture.
    """
    miss, lengths = forward_backward_error(flow, back)
    consistency = np.exp(-miss / (OCCLUSION_SHARE * lengths + OCCLUSION_SQUARE))
    warped = warp(previous_u8, flow).astype(np.float32)
    difference = cv2.GaussianBlur(photo_u8 - warped, (0, 0), _DIFFERENCE_BLUR)
    change = np.maximum.reduce(cv2.split(np.abs(difference)))
    confidence = consistency * np.exp(-np.square(change / DIFFERENCE_SCALE))
    confidence = cv2.erode(confidence.astype(np.float32), np.ones((3, 3), np.uint8))
    return cv2.GaussianBlur(confidence, (0, 0), _CONFIDENCE_BLUR)


def blend_clamped(anime_u8: np.ndarray, warped: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Blend a frame with the previous one, clamped to the new frame's neighborhood.

    The previous frame contributes only colors that occur within two pixels, give or take 8 levels,
    so that undetected errors of the flow leave no ghosts.

    Args:
        anime_u8: (height, width, 3) uint8, the new frame.
        warped: (height, width, 3) float32 in levels, the warped previous frame.
        weight: (height, width) float32 in 0..1, weight of the previous frame.

    Returns:
        (height, width, 3) float32 in levels.
    """
    new = anime_u8.astype(np.float32)
    low = cv2.erode(anime_u8, _NEIGHBORHOOD).astype(np.float32) - _CLAMP_MARGIN
    high = cv2.dilate(anime_u8, _NEIGHBORHOOD).astype(np.float32) + _CLAMP_MARGIN
    blended = np.clip(warped, low, high, out=low)
    blended -= new
    blended *= weight[..., None]
    blended += new
    return blended


class MotionCompensatedBlend:
    """Blends each frame of a shot with the previous result, warped along the photos' motion.

    The result is kept in float32 and blended again: a moving average along the motion, whose
    weights halve every `half_life`. Where `flow_confidence` is 0, or the size changes, the new
    frame stands alone.
    """

    def __init__(self, half_life: float = StabilizerConfig.blend_seconds) -> None:
        self._half_life = half_life
        # Between two presets: as stable as the slowest, in two thirds of its time.
        self._flow = FlowEstimator(cv2.DISOPTICAL_FLOW_PRESET_FAST, finest=1, refinements=2)
        self.reset()

    def reset(self) -> None:
        """Forget the previous frame: the next one begins a shot."""
        self._photo: np.ndarray | None = None
        self._gray: np.ndarray | None = None
        self._previous: np.ndarray | None = None
        self._seconds = 0.0

    def __call__(self, photo_u8: np.ndarray, anime_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Blend the next stylized frame of the shot, which may be smaller than its photo."""
        size_hw = (anime_u8.shape[0], anime_u8.shape[1])
        scale = min(1.0, FLOW_SIDE / max(size_hw))
        small_hw = (max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale)))
        photo = resize(photo_u8, small_hw)
        gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        previous = self._previous
        if (
            previous is None
            or self._photo is None
            or self._gray is None
            or (previous.shape, self._photo.shape) != (anime_u8.shape, photo.shape)
        ):
            blended, anime_u8 = anime_u8.astype(np.float32), anime_u8.copy()
        else:
            flow, back = self._flow(gray, self._gray), self._flow(self._gray, gray)
            share = min(decay(self._half_life, seconds - self._seconds), MAX_PREVIOUS_WEIGHT)
            weight = share * flow_confidence(photo, self._photo, flow, back)
            warped = warp(previous, _resize_flow(flow, size_hw), cv2.INTER_CUBIC)
            blended = blend_clamped(anime_u8, warped, resize(weight, size_hw))
            anime_u8 = np.rint(blended).clip(0, 255).astype(np.uint8)
        self._photo, self._gray, self._previous, self._seconds = photo, gray, blended, seconds
        return anime_u8


def _resize_flow(flow: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    height, width = flow.shape[:2]
    factors = np.array([size_hw[1] / width, size_hw[0] / height], np.float32)
    return resize(flow, size_hw) * factors


class _LightMonitor:
    """Changes of light and colors between frames, as an instance norm sees them.

    A change is the largest of the changes of channel means, in standard deviations, and of the
    logarithms of standard deviations.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[float, np.ndarray]] = deque()
        self._measured: tuple[float, np.ndarray] = (0.0, np.zeros((2, 3)))

    def add(self, rgb_u8: np.ndarray, seconds: float) -> None:
        """Add the next frame of a shot."""
        mean, deviation = cv2.meanStdDev(resize(rgb_u8, (72, 96)))
        self._frames.append((seconds, np.stack([mean[:, 0], deviation[:, 0]])))
        while len(self._frames) > 2 and seconds - self._frames[1][0] >= FAST_SECONDS:
            self._frames.popleft()

    def mark_measured(self) -> None:
        """Make the last frame the reference of `needs_measurement`."""
        self._measured = self._frames[-1]

    def changes_fast(self) -> bool:
        """Tell whether much has changed within `FAST_SECONDS`."""
        return self._change(self._frames[0]) > REMEASURE_CHANGE

    def needs_measurement(self, interval: float) -> bool:
        """Tell whether much changed since the measured frame, or a multiple of `interval` passed.

        A multiple, so that a video read from any start soon measures the same frames.
        """
        passed = self._frames[-1][0] // interval != self._measured[0] // interval
        return passed or self._change(self._measured) > REMEASURE_CHANGE

    def _change(self, reference: tuple[float, np.ndarray]) -> float:
        mean, deviation = self._frames[-1][1]
        old_mean, old_deviation = reference[1]
        noise = 2.0  # levels
        shift = np.abs(mean - old_mean) / (old_deviation + noise)
        spread = np.abs(np.log((deviation + noise) / (old_deviation + noise)))
        return float(max(shift.max(), spread.max()))


class TemporalStabilizer:
    """Stylizes the frames of a video without flicker; a `FrameStylizer`.

        stabilizer = TemporalStabilizer(Stylizer("cel"))
        for seconds, photo_u8 in frames:
            anime_u8 = stabilizer(photo_u8, seconds)

    A cut, or a time before the last frame's, starts anew. Averaged statistics follow measured
    frames: one at each multiple of `measure_seconds`, and where light or colors have changed.
    Measuring runs both networks, the frames between cost less than with exact statistics, and
    during fast changes each frame is measured while it is drawn. The blend adds about a tenth.

    Raises:
        ValueError: An invalid setting, or an engine without `Stylizer.stylize_ema`.
    """

    def __init__(
        self, stylizer: Stylizer, config: StabilizerConfig | None = None, **settings: Any
    ) -> None:
        self.config = (config or StabilizerConfig()).replace(**settings)
        if self.config.uses_statistics and not stylizer.supports_ema:
            raise ValueError(
                "expected an engine that averages norm statistics, got another one; use a .keras "
                "archive or a built-in style with --engine=keras, or --stabilize=blend"
            )
        self._stylizer = stylizer
        self._blend = (
            MotionCompensatedBlend(self.config.blend_seconds) if self.config.uses_blend else None
        )
        self._reset()

    def _reset(self) -> None:
        self._cuts = CutDetector()
        self._last: float | None = None
        self._average: np.ndarray | None = None
        self._measured: np.ndarray | None = None
        self._light = _LightMonitor()

    def __call__(self, rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Stylize the next frame; see `FrameStylizer`."""
        if self._last is not None and seconds < self._last:
            self._reset()
        if self._cuts.begins_shot(rgb_u8, seconds):
            self._average = None
            self._light = _LightMonitor()
            if self._blend is not None:
                self._blend.reset()
        elapsed = 0.0 if self._last is None else seconds - self._last
        self._last = seconds
        if self.config.uses_statistics:
            momentum = 1.0 - decay(self.config.statistics_seconds, elapsed)
            anime_u8 = self._stylize_averaged(rgb_u8, seconds, momentum)
        else:
            anime_u8 = self._stylizer(rgb_u8)
        if self._blend is None or self._stylizer.config.strength == 0:
            return anime_u8
        return self._blend(rgb_u8, anime_u8, seconds)

    def _stylize_averaged(self, rgb_u8: np.ndarray, seconds: float, momentum: float) -> np.ndarray:
        self._light.add(rgb_u8, seconds)
        if self._average is None:
            anime_u8, self._average = self._stylizer.stylize_ema(rgb_u8, None, 1.0)
            self._measured = self._average
            self._light.mark_measured()
            return anime_u8
        if not self.config.measure_seconds or self._light.changes_fast():
            self._measured = None  # the frame's own
        elif self._measured is None or self._light.needs_measurement(self.config.measure_seconds):
            self._measured = self._stylizer.measure_statistics(rgb_u8)
            self._light.mark_measured()
        anime_u8, self._average = self._stylizer.stylize_ema(
            rgb_u8, self._average, momentum, STATISTICS_TOLERANCE, self._measured
        )
        return anime_u8


def make_stabilizer(stylizer: Stylizer, config: StabilizerConfig) -> FrameStylizer:
    """Make a `FrameStylizer` for one video.

    With ``stabilize="both"`` and an engine that cannot average statistics only the blend remains,
    with a log line; ``stabilize="statistics"`` raises ValueError.
    """
    if config.stabilize == "off":
        return lambda rgb_u8, _seconds: stylizer(rgb_u8)
    if config.stabilize == "both" and not stylizer.supports_ema:
        logging.info(
            "this engine cannot average norm statistics: --stabilize=blend alone (a .keras archive "
            "or a built-in style with --engine=keras can)"
        )
        config = config.replace(stabilize="blend")
    return TemporalStabilizer(stylizer, config)
