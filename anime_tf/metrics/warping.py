"""Movement between frames, pictures moved along it, and the warping error: flicker, measured."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import cv2
import numpy as np

from anime_tf.datasets.extract.shots import CutDetector, NumberedFrame
from anime_tf.io import pictures

OCCLUSION_SHARE = 0.01
OCCLUSION_SQUARE = 0.5
"""Where the way there and back misses by more than this, a pixel is taken to be hidden.

|f + b|^2 > 0.01 (|f|^2 + |b|^2) + 0.5, in pixels squared. Reference: Ruder et al., Artistic Style
Transfer for Videos, 2016, equation 5, after Sundaram et al. 2010.
"""

_LEAST_SIDE = 64  # below 12 pixels OpenCV 5.0's DIS reads beyond its frames, and crashes


class FlowEstimator:
    """Dense movement by inverse search (DIS), of OpenCV; not for several threads at once.

    Args:
        preset: One of OpenCV's three, `cv2.DISOPTICAL_FLOW_PRESET_...`.
        finest: The scale at which it ends, full size halved so often; None for the preset's own.
        refinements: Steps of its variational refinement at each scale; None for the preset's own.

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
        """Finds where the pixels of a frame are in another one.

        Args:
            gray_u8: (height, width) uint8.
            other_u8: The same shape and type.

        Returns:
            (height, width, 2) float32: the pixel (x, y) of the one lies at (x, y) + flow in the
            other.
        """
        height, width = gray_u8.shape
        padding = (0, max(0, _LEAST_SIDE - height), 0, max(0, _LEAST_SIDE - width))
        frames = [
            cv2.copyMakeBorder(frame, *padding, cv2.BORDER_REPLICATE)
            for frame in (gray_u8, other_u8)
        ]
        flow = np.zeros((*frames[0].shape, 2), np.float32)
        self._estimator.calc(frames[0], frames[1], flow)
        return flow[:height, :width]


def places(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where the pixels of a frame lie in the other one: x and y, (height, width) float32 each."""
    height, width = flow.shape[:2]
    x = flow[..., 0] + np.arange(width, dtype=np.float32)
    y = flow[..., 1] + np.arange(height, dtype=np.float32)[:, None]
    return x, y


def warped(
    picture: np.ndarray, flow: np.ndarray, interpolation: int = cv2.INTER_LINEAR
) -> np.ndarray:
    """A picture as it looks from the frame that the flow begins in.

    Args:
        picture: (height, width) or (height, width, channels), uint8 or float32.
        flow: (height, width, 2) float32: the pixel (x, y) lies at (x, y) + flow in `picture`.
        interpolation: OpenCV's.

    Returns:
        The same type and shape; beyond its border a picture is continued by its last pixel.
    """
    # As two maps: OpenCV 5.0 takes other places where one array holds x and y.
    return cv2.remap(picture, *places(flow), interpolation, borderMode=cv2.BORDER_REPLICATE)


def miss_squared(flow: np.ndarray, back: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How far the way there and back misses, and how long it is.

    Args:
        flow: (height, width, 2) float32, from one frame to another.
        back: The same from the other to the one.

    Returns:
        |f + b|^2 and |f|^2 + |b|^2, (height, width) float32 each, in pixels squared; the first is
        infinite where the flow leaves the picture.
    """
    height, width = flow.shape[:2]
    x, y = places(flow)
    there = warped(back, flow)
    miss = _square_length(flow + there)
    miss[(x < 0) | (y < 0) | (x > width - 1) | (y > height - 1)] = np.inf
    return miss, _square_length(flow) + _square_length(there)


def _square_length(flow: np.ndarray) -> np.ndarray:
    # Not by a sum over the last axis, which numpy is slow at where it is short.
    return np.square(flow[..., 0]) + np.square(flow[..., 1])


def visible(flow: np.ndarray, back: np.ndarray) -> np.ndarray:
    """Which pixels of a frame can be seen in the other one, by the way there and back.

    Args:
        flow: (height, width, 2) float32, from the frame to the other.
        back: The same from the other to the frame.

    Returns:
        (height, width) bool.
    """
    miss, lengths = miss_squared(flow, back)
    return miss <= OCCLUSION_SHARE * lengths + OCCLUSION_SQUARE


@dataclass(frozen=True)
class Figure:
    """A warping error of a film.

    Attributes:
        square: E_warp: mean square difference, of values in 0..1.
        absolute: Mean absolute difference, in levels of 0..255.
        pairs: How many pairs of frames it is the mean of; 0 where there was none, then both are 0.
    """

    square: float
    absolute: float
    pairs: int


class WarpingError:
    """How far the frames of a film are from those before, moved as the photos' contents move.

        E(t) = sum_p v(p) |O_t(p) - O_t-1(p + f(p))|^2 / (channels sum_p v(p))

    with the flow f from photo t to photo t - 1, taken of the photos alone, and v = 1 where the way
    there and back agrees, 0 elsewhere; E_warp is the mean over all pairs of frames within a shot.
    The photos' own error is its floor: noise, light, and what the flow gets wrong.

    The flow is that of OpenCV's DIS in its slowest preset at full size, down to its finest scale.

        error = WarpingError()
        for photo_u8, anime_u8, seconds in frames:
            error.add(photo_u8, {"photo": photo_u8, "anime": anime_u8}, seconds)
        error.figures()["anime"].square

    Reference: Lai et al., Learning Blind Video Temporal Consistency, ECCV 2018, section 4.2.
    """

    def __init__(self) -> None:
        self._flow = FlowEstimator(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM, finest=0)
        self._cuts = CutDetector()
        self._count = 0
        self._gray: np.ndarray | None = None
        self._films: dict[str, np.ndarray] = {}
        self._sums: dict[str, np.ndarray] = {}
        self._pairs = 0

    def add(self, photo_u8: np.ndarray, films_u8: Mapping[str, np.ndarray], seconds: float) -> None:
        """Takes the next frame.

        Args:
            photo_u8: (height, width, 3) uint8 RGB, the source's frame.
            films_u8: Name -> what was made of it, of one size for all; the photo is brought to it.
                The same names at every frame.
            seconds: When it is shown.

        Raises:
            ValueError: Frames of several sizes, or other names than before.
        """
        sizes = {film.shape for film in films_u8.values()}
        if len(sizes) != 1 or (self._gray is not None and set(films_u8) != set(self._films)):
            raise ValueError(
                "expected a frame of each film, all of one size, received "
                + ", ".join(f"{name} {film.shape}" for name, film in films_u8.items())
            )
        cut = self._cuts.begins_shot(NumberedFrame(self._count, seconds, photo_u8))
        self._count += 1
        ((height, width, _),) = sizes
        gray = cv2.cvtColor(pictures.resize(photo_u8, (height, width)), cv2.COLOR_RGB2GRAY)
        if self._gray is not None and not cut:
            flow = self._flow(gray, self._gray)
            seen = visible(flow, self._flow(self._gray, gray))
            # A pair of which nothing is seen twice says nothing.
            if seen.any():
                self._pairs += 1
                for name, film in films_u8.items():
                    before = warped(self._films[name].astype(np.float32), flow)
                    difference = (film - before)[seen]
                    errors = [np.square(difference / 255.0).mean(), np.abs(difference).mean()]
                    self._sums[name] = self._sums.get(name, np.zeros(2)) + errors
        self._gray, self._films = gray, dict(films_u8)

    def figures(self) -> dict[str, Figure]:
        """Name -> what was measured so far."""
        nothing = np.zeros(2)
        means = {n: self._sums.get(n, nothing) / max(self._pairs, 1) for n in self._films}
        return {n: Figure(float(m[0]), float(m[1]), self._pairs) for n, m in means.items()}
