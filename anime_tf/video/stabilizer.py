"""Films without flicker: statistics held from frame to frame, and a blend that follows movement.

A network that draws each frame by itself draws the same wall a little otherwise from one to the
next, and viewers see it boil. Two means against it, alone or together:

* The statistics of the network's norms move slowly through a shot, in the place of each frame's own
  (`inference.stylizer.Stylizer.stylize_ema`). They shift the colours and lines of a whole frame.
  They move towards those of a frame that is measured now and then; the frames between are drawn
  by a network without norms, which is quicker.
* Each frame is mixed with the one before, moved along the photos' movement, where both photos show
  the same thing (`MotionBlend`).

Both begin anew at a cut.
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

STATISTICS_LEEWAY = 0.1
"""How far held statistics may be from a frame's own, in its deviations.

Of a street in the sun 999 of 1000 change by less than 0.025 from frame to frame, and 99 of 100 by
less than 0.035 in half a second: such flicker is held. When the light changes they follow at once;
otherwise an instance norm's network draws another picture altogether.
"""

MEASURED_CHANGE = 0.05
"""How much light and colours may change until statistics are measured anew, as `_Light` counts it.

As of a fade by a twentieth. A street filmed by a moving hand comes to it once in some seconds.
"""

FAST_SECONDS = 0.2
"""Within how long such a change is fast: then every frame is measured.

What is measured now and then would follow in steps that can be seen.
"""

MOST_BEFORE = 0.85
"""The largest share of the frame before, however close in time the two are."""

FLOW_SIDE = 480
"""Movement is sought in photos whose longer side has at most so many pixels."""

SAME_LEVELS = 14.0
"""A difference of two photos, in levels of 0..255, at which the trust has fallen to 1 / e."""

_SAME_BLUR = 1.5  # pixels (sigma) over which that difference is averaged, against noise
_TRUST_BLUR = 1.0  # of the trust itself, so that no border shows
_AROUND = np.ones((5, 5), np.uint8)
_SLACK = 8  # levels by which the frame before may leave what the new one has around a pixel


class FrameStylizer(Protocol):
    """What happens to the frames of a film, one after the other, from the first to the last."""

    def __call__(self, rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Stylises the next frame.

        Args:
            rgb_u8: (height, width, 3) uint8 RGB in 0..255.
            seconds: When it is shown; more than that of the frame before.

        Returns:
            A new array of the same type and shape; in a smaller size, the same for all frames,
            where the sizes are limited.
        """


def remaining(half_life: float, seconds: float) -> float:
    """What is left of 1 after some seconds: 0.5^(seconds / half_life); 0 for a half-life of 0."""
    return 0.0 if half_life <= 0 else math.pow(0.5, max(seconds, 0.0) / half_life)


def trust(
    photo_u8: np.ndarray, before_u8: np.ndarray, flow: np.ndarray, back: np.ndarray
) -> np.ndarray:
    """How sure it is that a pixel of a photo shows what its flow leads to in the photo before.

        exp(-|f + b|^2 / (0.01 (|f|^2 + |b|^2) + 0.5)) exp(-(d / 14)^2)

    with d the largest difference of the three channels, averaged over some pixels; then the least
    of the 3x3 around, as borders of what moves are where the flow is least sure, and softened.

    Args:
        photo_u8: (height, width, 3) uint8 RGB.
        before_u8: The frame before, the same shape.
        flow: (height, width, 2) float32 from the photo to the frame before.
        back: From the frame before to the photo.

    Returns:
        (height, width) float32 in 0..1; 0 where the flow leaves the picture.
    """
    miss, lengths = forward_backward_error(flow, back)
    there = np.exp(-miss / (OCCLUSION_SHARE * lengths + OCCLUSION_SQUARE))
    moved = warp(before_u8, flow).astype(np.float32)
    difference = cv2.GaussianBlur(photo_u8 - moved, (0, 0), _SAME_BLUR)
    change = np.maximum.reduce(cv2.split(np.abs(difference)))
    sure = there * np.exp(-np.square(change / SAME_LEVELS))
    sure = cv2.erode(sure.astype(np.float32), np.ones((3, 3), np.uint8))
    return cv2.GaussianBlur(sure, (0, 0), _TRUST_BLUR)


def mixed(anime_u8: np.ndarray, moved: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """A frame mixed with the one before, which first is brought to what the new one has nearby.

    No colour can come from the frame before that the new one does not have, but for 8 levels,
    within two pixels: what the flow gets wrong unnoticed leaves no ghost.

    Args:
        anime_u8: (height, width, 3) uint8, the new frame.
        moved: (height, width, 3) float32 in levels, the frame before at the new one's places.
        weight: (height, width) float32 in 0..1, the share of the frame before.

    Returns:
        (height, width, 3) float32, in levels.
    """
    new = anime_u8.astype(np.float32)
    least = cv2.erode(anime_u8, _AROUND).astype(np.float32) - _SLACK
    most = cv2.dilate(anime_u8, _AROUND).astype(np.float32) + _SLACK
    kept = np.clip(moved, least, most, out=least)
    kept -= new
    kept *= weight[..., None]
    kept += new
    return kept


class MotionBlend:
    """Mixes each frame of a shot with what came out before, moved as the photos' contents move.

    What came out is kept in float32 and mixed again with the next: a running mean along the
    movement, whose weights halve every `half_life`. Where the photos do not show the same thing
    any more, by `trust`, the new frame stands alone; so does one of another size.

    Args:
        half_life: In seconds; see `StabilizerConfig.blend_seconds`.
        flow_side: Movement is sought in photos whose longer side has at most so many pixels.
    """

    def __init__(
        self, half_life: float = StabilizerConfig.blend_seconds, flow_side: int = FLOW_SIDE
    ) -> None:
        self._half_life = half_life
        self._flow_side = flow_side
        # Between two presets: as steady as with the slowest, in two thirds of its time.
        self._flow = FlowEstimator(cv2.DISOPTICAL_FLOW_PRESET_FAST, finest=1, refinements=2)
        self.reset()

    def reset(self) -> None:
        """Forgets what came before: the next frame begins a shot."""
        self._photo: np.ndarray | None = None
        self._gray: np.ndarray | None = None
        self._before: np.ndarray | None = None
        self._seconds = 0.0

    def __call__(self, photo_u8: np.ndarray, anime_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Takes the next frame of the shot.

        Args:
            photo_u8: (height, width, 3) uint8 RGB, the source's frame.
            anime_u8: What was made of it; the same shape, or a smaller one.
            seconds: When it is shown.

        Returns:
            The steady frame, of the shape and type of `anime_u8`.
        """
        size_hw = (anime_u8.shape[0], anime_u8.shape[1])
        scale = min(1.0, self._flow_side / max(size_hw))
        small_hw = (max(1, round(size_hw[0] * scale)), max(1, round(size_hw[1] * scale)))
        photo = resize(photo_u8, small_hw)
        gray = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY)
        before, share = self._before, remaining(self._half_life, seconds - self._seconds)
        if (
            before is None
            or self._photo is None
            or self._gray is None
            or (before.shape, self._photo.shape) != (anime_u8.shape, photo.shape)
        ):
            steady, anime_u8 = anime_u8.astype(np.float32), anime_u8.copy()
        else:
            flow, back = self._flow(gray, self._gray), self._flow(self._gray, gray)
            weight = min(share, MOST_BEFORE) * trust(photo, self._photo, flow, back)
            moved = warp(before, _enlarged_flow(flow, size_hw), cv2.INTER_CUBIC)
            steady = mixed(anime_u8, moved, resize(weight, size_hw))
            anime_u8 = np.rint(steady).clip(0, 255).astype(np.uint8)
        self._photo, self._gray, self._before, self._seconds = photo, gray, steady, seconds
        return anime_u8


def _enlarged_flow(flow: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """A flow for pictures of another size."""
    height, width = flow.shape[:2]
    factors = np.array([size_hw[1] / width, size_hw[0] / height], np.float32)
    return resize(flow, size_hw) * factors


class _Light:
    """How a photo's light and colours change, as an instance norm would see them.

    Means of its channels by so many of their deviations, and logarithms of deviations.
    """

    def __init__(self) -> None:
        self._frames: deque[tuple[float, np.ndarray]] = deque()
        self._noted: tuple[float, np.ndarray] = (0.0, np.zeros((2, 3)))

    def add(self, rgb_u8: np.ndarray, seconds: float) -> None:
        """Takes the next frame of a shot."""
        mean, deviation = cv2.meanStdDev(resize(rgb_u8, (72, 96)))
        self._frames.append((seconds, np.stack([mean[:, 0], deviation[:, 0]])))
        while len(self._frames) > 2 and seconds - self._frames[1][0] >= FAST_SECONDS:
            self._frames.popleft()

    def note(self) -> None:
        """Takes this frame for the one that others are compared with by `is_another`."""
        self._noted = self._frames[-1]

    def changes_fast(self) -> bool:
        """Whether much has changed within `FAST_SECONDS`."""
        return self._change(self._frames[0]) > MEASURED_CHANGE

    def is_another(self, every: float) -> bool:
        """Whether much has changed since the noted frame, or time passed a multiple of `every`."""
        # Not so long after the last: wherever a film is begun, soon the same frames are measured.
        passed = self._frames[-1][0] // every != self._noted[0] // every
        return passed or self._change(self._noted) > MEASURED_CHANGE

    def _change(self, before: tuple[float, np.ndarray]) -> float:
        mean, deviation = self._frames[-1][1]
        its_mean, its_deviation = before[1]
        least = 2.0  # levels: below it is noise
        moved = np.abs(mean - its_mean) / (its_deviation + least)
        spread = np.abs(np.log((deviation + least) / (its_deviation + least)))
        return float(max(moved.max(), spread.max()))


class TemporalStabilizer:
    """A film's frames through a `Stylizer`, steadily; a `FrameStylizer`.

        stabilizer = TemporalStabilizer(Stylizer("cel"))
        for seconds, photo_u8 in frames:
            anime_u8 = stabilizer(photo_u8, seconds)

    A cut, or a time before the last frame's, begins anew. Held statistics move towards those of a
    frame that is measured now and then: where the time passes a multiple of `measure_seconds`, and
    where light or colours have changed. The frames between cost less than with exact statistics,
    for the network has no norms then; the measured one is run through both networks. While light or
    colours change fast, each frame is measured as it is drawn, which costs what exact ones do. The
    blend costs a tenth or so.

    Args:
        stylizer: Stylizes the frames.
        config: Settings; the defaults without one.
        **settings: Settings of the config by name.

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
        self._blend = MotionBlend(self.config.blend_seconds) if self.config.uses_blend else None
        self._begin()

    def _begin(self) -> None:
        self._cuts = CutDetector()
        self._last: float | None = None
        self._held: np.ndarray | None = None
        self._newest: np.ndarray | None = None
        self._light = _Light()

    def __call__(self, rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Stylises the next frame; see `FrameStylizer`."""
        if self._last is not None and seconds < self._last:
            self._begin()
        if self._cuts.begins_shot(rgb_u8, seconds):
            self._held = None
            self._light = _Light()
            if self._blend is not None:
                self._blend.reset()
        elapsed = 0.0 if self._last is None else seconds - self._last
        self._last = seconds
        if self.config.uses_statistics:
            rate = 1.0 - remaining(self.config.statistics_seconds, elapsed)
            anime_u8 = self._with_held(rgb_u8, seconds, rate)
        else:
            anime_u8 = self._stylizer(rgb_u8)
        if self._blend is None or self._stylizer.config.strength == 0:
            return anime_u8
        return self._blend(rgb_u8, anime_u8, seconds)

    def _with_held(self, rgb_u8: np.ndarray, seconds: float, rate: float) -> np.ndarray:
        self._light.add(rgb_u8, seconds)
        if self._held is None:
            anime_u8, self._held = self._stylizer.stylize_ema(rgb_u8, None, 1.0)
            self._newest = self._held
            self._light.note()
            return anime_u8
        if not self.config.measure_seconds or self._light.changes_fast():
            self._newest = None  # this frame's own
        elif self._newest is None or self._light.is_another(self.config.measure_seconds):
            self._newest = self._stylizer.measure_statistics(rgb_u8)
            self._light.note()
        anime_u8, self._held = self._stylizer.stylize_ema(
            rgb_u8, self._held, rate, STATISTICS_LEEWAY, self._newest
        )
        return anime_u8


def make_stabilizer(stylizer: Stylizer, config: StabilizerConfig) -> FrameStylizer:
    """Makes a `FrameStylizer` for one video.

    With ``stabilize="both"`` and an engine that cannot average statistics only the blend remains,
    with a log line.

    Raises:
        ValueError: ``stabilize="statistics"`` with such an engine.
    """
    if config.stabilize == "off":
        return lambda rgb_u8, seconds: stylizer(rgb_u8)
    if config.stabilize == "both" and not stylizer.supports_ema:
        logging.info(
            "this engine cannot average norm statistics: --stabilize=blend alone (a .keras archive "
            "or a built-in style with --engine=keras can)"
        )
        config = config.replace(stabilize="blend")
    return TemporalStabilizer(stylizer, config)
