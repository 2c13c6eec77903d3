"""Optical flow, warping along it, and the warping error, a metric of flicker."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from anime_tf.io.geometry import resize
from anime_tf.io.video.open import open_reader
from anime_tf.metrics.cuts import CutDetector

OCCLUSION_SHARE = 0.01
OCCLUSION_SQUARE = 0.5
"""Thresholds of the forward-backward check, above which a pixel is occluded.

|f + b|^2 > 0.01 (|f|^2 + |b|^2) + 0.5, in pixels squared. Reference: Ruder et al., Artistic Style
Transfer for Videos, 2016, equation 5, after Sundaram et al. 2010.
"""

_MIN_SIDE = 64  # below 12 pixels OpenCV 5.0's DIS reads out of bounds and crashes


class FlowEstimator:
    """Dense optical flow by OpenCV's inverse search (DIS); not thread-safe.

    `preset` is one of `cv2.DISOPTICAL_FLOW_PRESET_...`; `finest`, the halvings of the finest scale,
    and `refinements`, variational steps per scale, replace its values.

    Reference: Kroeger et al., Fast Optical Flow using Dense Inverse Search, ECCV 2016.
    """

    def __init__(
        self, preset: int, finest: int | None = None, refinements: int | None = None
    ) -> None:
        self._estimator = cv2.DISOpticalFlow.create(preset)
        if finest is not None:
            self._estimator.setFinestScale(finest)
        if refinements is not None:
            self._estimator.setVariationalRefinementIterations(refinements)

    def __call__(self, gray_u8: np.ndarray, other_u8: np.ndarray) -> np.ndarray:
        """Estimate the flow from one frame to another, (height, width) uint8 each.

        Returns (height, width, 2) float32: pixel (x, y) is at (x, y) + flow in `other_u8`.
        """
        height, width = gray_u8.shape
        padding = (0, max(0, _MIN_SIDE - height), 0, max(0, _MIN_SIDE - width))
        frames = [
            cv2.copyMakeBorder(frame, *padding, cv2.BORDER_REPLICATE)
            for frame in (gray_u8, other_u8)
        ]
        flow = np.zeros((*frames[0].shape, 2), np.float32)
        self._estimator.calc(frames[0], frames[1], flow)
        return flow[:height, :width]


def flow_targets(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coordinates to which a flow moves each pixel: x and y, (height, width) float32 each."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return x, y


def warp(
    picture: np.ndarray, flow: np.ndarray, interpolation: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """Warp a picture back to the frame in which a flow begins; border pixels are replicated.

    Pixel (x, y) is at (x, y) + flow in `picture`, (height, width) or (height, width, channels),
    uint8 or float32; `flow` is (height, width, 2) float32.
    """
    # Two maps: OpenCV 5.0 samples other coordinates if one array holds x and y.
    return cv2.remap(picture, *flow_targets(flow), interpolation, borderMode=cv2.BORDER_REPLICATE)


def forward_backward_error(flow: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Squared error of the forward-backward check, and the squared lengths of both flows.

    The flows are (height, width, 2) float32, from one frame to another and back. Returns |f + b|^2
    and |f|^2 + |b|^2, (height, width) float32 each, in pixels squared; the first is infinite where
    the flow leaves the picture.
    """
    height, width = flow.shape[:2]
    x, y = flow_targets(flow)
    back_there = warp(back, flow)
    error = _square_length(flow + back_there)
    error[(x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)] = np.inf
    return error, _square_length(flow) + _square_length(back_there)


def _square_length(flow: np.ndarray) -> np.ndarray:
    # NumPy sums slowly over a short last axis.
    return np.square(flow[..., 0]) + np.square(flow[..., 1])


def visible(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Mask (h, w) of the pixels of a frame that are visible in the other; flow there and back."""
    error, lengths = forward_backward_error(flow, back)
    return error <= OCCLUSION_SHARE * lengths + OCCLUSION_SQUARE


@dataclass(frozen=True)
class WarpingErrorResult:
    """Warping error of a video; both errors are 0 for 0 pairs.

    Attributes:
        square: E_warp: mean square difference of values in 0..1.
        absolute: Mean absolute difference, in levels of 0..255.
        pairs: Number of averaged pairs of frames.
    """

    square: float
    absolute: float
    pairs: int


class WarpingError:
    """Difference between the frames of a video and the previous ones, warped by the source's flow.

        E(t) = sum_p v(p) |O_t(p) - O_t-1(p + f(p))|^2 / (channels sum_p v(p))

    with the flow f from source frame t to t - 1, and v = 1 where the forward-backward check passes,
    0 elsewhere; E_warp is the mean over all pairs of frames within a shot. The source's own error
    is the floor: noise, light, and errors of the flow, OpenCV's slowest DIS preset at full size.

        error = WarpingError()
        for photo_u8, anime_u8, seconds in frames:
            error.add(photo_u8, {"photo": photo_u8, "anime": anime_u8}, seconds)
        error.results()["anime"].square

    Reference: Lai et al., Learning Blind Video Temporal Consistency, ECCV 2018, section 4.2.
    """

    def __init__(self) -> None:
        self._flow = FlowEstimator(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, finest=0)
        self._cuts = CutDetector()
        self._gray: np.ndarray | None = None
        self._frames: dict[str, np.ndarray] = {}
        self._sums: dict[str, np.ndarray] = {}
        self._pairs = 0

    def add(
        self, photo_u8: np.ndarray, frames_u8: Mapping[str, np.ndarray], seconds: float
    ) -> None:
        """Add the next frame of each video, by name, and of the source, (h, w, 3) RGB uint8.

        All frames have one size, to which the source's is resized; the names are always the same.

        Raises:
            ValueError: Frames of several sizes, or other names than before.
        """
        sizes = {frame.shape for frame in frames_u8.values()}
        if len(sizes) != 1 or (self._gray is not None and set(frames_u8) != set(self._frames)):
            raise ValueError(
                "expected a frame of each video, all of one size, got "
                + ", ".join(f"{name} {frame.shape}" for name, frame in frames_u8.items())
            )
        cut = self._cuts.begins_shot(photo_u8, seconds)
        ((height, width, _),) = sizes
        gray = cv2.cvtColor(resize(photo_u8, (height, width)), cv2.COLOR_RGB2GRAY)
        if self._gray is not None and not cut:
            flow = self._flow(gray, self._gray)
            mask = visible(flow, self._flow(self._gray, gray))
            if mask.any():
                self._pairs += 1
                for name, frame in frames_u8.items():
                    previous = warp(self._frames[name].astype(np.float32), flow)
                    difference = (frame - previous)[mask]
                    errors = [np.square(difference / 255.0).mean(), np.abs(difference).mean()]
                    self._sums[name] = self._sums.get(name, np.zeros(2)) + errors
        self._gray, self._frames = gray, dict(frames_u8)

    def results(self) -> dict[str, WarpingErrorResult]:
        """Name of a video -> its error so far."""
        means = {n: self._sums.get(n, np.zeros(2)) / max(self._pairs, 1) for n in self._frames}
        return {
            n: WarpingErrorResult(float(m[0]), float(m[1]), self._pairs) for n, m in means.items()
        }


def compare_videos(
    source: str | os.PathLike[str], results: Sequence[str | os.PathLike[str]]
) -> list[WarpingErrorResult]:
    """Measure the warping error of a source video, and then of its stylized forms.

    All are anything that `open_reader` reads; numbered pictures carry no loss of an encoder. The
    source is resized to the size of the results.

    Raises:
        FileNotFoundError: There is no such video.
        ValueError: They cannot be read, have different numbers of frames, or results have several
            sizes.
    """
    error = WarpingError()
    with contextlib.ExitStack() as stack:
        photos, *animes = [stack.enter_context(open_reader(path)) for path in (source, *results)]
        videos = [reader.frames() for reader in (photos, *animes)]
        for photo, *frames in itertools.zip_longest(*videos):
            if photo is None or None in frames:
                raise ValueError(
                    f"{photos.path}: expected videos of as many frames as --results, got "
                    + ", ".join(f"{reader.count} in {reader.path}" for reader in (photos, *animes))
                    + "; stylize without --fps, --start and --end"
                )
            photo_u8 = resize(photo.rgb_u8, frames[0].rgb_u8.shape[:2])
            made = {str(i): frame.rgb_u8 for i, frame in enumerate(frames)}
            error.add(photo_u8, {"source": photo_u8, **made}, float(photo.pts * photos.time_base))
    return list(error.results().values())
