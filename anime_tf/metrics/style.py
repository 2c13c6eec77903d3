"""What makes a picture look drawn, and what a result keeps of its photo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from anime_tf.io import pictures

SIDE = 512
"""Shorter side, pixels, that larger pictures are brought to before they are measured."""

FLAT_RANGE = 3.0
"""What every channel of CIE Lab may span within 5x5 pixels of a flat place; 2.3 is just seen."""

LINE_RANGE = 10.0
"""What lightness must span within 9x9 pixels for an edge to be measured, of 100."""

COLOUR_STEPS = (5.0, 8.0, 8.0)
"""Steps of L, a and b that colours are counted in."""

COLOUR_SHARE = 0.95
"""Share of the pixels that the counted colours cover."""

EDGE_SHARE = 0.1
"""Share of the pixels with the strongest gradients, which are a picture's edges."""

EDGE_REACH = 2
"""How far an edge may lie from its counterpart, pixels."""

_STRUCTURE_CONSTANT = (0.03 * 100) ** 2 / 2  # SSIM's C_3, for lightness of 0..100


@dataclass(frozen=True)
class Look:
    """How drawn a picture looks.

    Attributes:
        flat: Share of the pixels in places of nearly one colour, 0..1: large in cel pictures, 0 in
            grain.
        sharpness: How steep edges are: of what lightness spans around an edge, the part that falls
            between two neighbouring pixels; about 1 for a step, less for a blurred one.
        colours: How many colours cover nearly all pixels: few in cel pictures.
    """

    flat: float
    sharpness: float
    colours: float


@dataclass(frozen=True)
class Kept:
    """What a result keeps of its photo.

    Attributes:
        structure: Mean correlation of lightness in windows: 1 for the photo itself. SSIM's third
            factor, blind to brightness and contrast.
        edges: F1 of the edges of both, each found within 2 pixels of one of the other; 1 for the
            photo itself.
        lightness_shift: Mean L of the result less that of the photo, of 100.
        colour_shift: Distance of their mean (a, b).
    """

    structure: float
    edges: float
    lightness_shift: float
    colour_shift: float


def lab_of(picture_u8: np.ndarray) -> np.ndarray:
    """CIE Lab of a picture whose shorter side is at most `SIDE`: what all measures are taken of.

    Args:
        picture_u8: (height, width, 3) RGB uint8.

    Returns:
        (height, width, 3) float32: L of 0..100, a, b.
    """
    height, width = picture_u8.shape[:2]
    scale = SIDE / min(height, width)
    if scale < 1:
        size = max(1, round(height * scale)), max(1, round(width * scale))
        picture_u8 = pictures.resize(picture_u8, size)
    return cv2.cvtColor(picture_u8.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def look_of(lab: np.ndarray) -> Look:
    """Measures how drawn a picture looks.

    Args:
        lab: What `lab_of` makes of it.

    Returns:
        The measures; `sharpness` is 0 for a picture without edges.
    """
    lightness = np.ascontiguousarray(lab[..., 0])
    flat = (_span(lab, 5).max(axis=-1) < FLAT_RANGE).mean()

    span = _span(lightness, 9)
    edges = (span > max(np.percentile(span, 80), LINE_RANGE)).nonzero()
    steepest = cv2.dilate(gradient(lightness, 0.5), np.ones((9, 9)))
    sharpness = float((2 * steepest[edges] / span[edges]).mean()) if len(edges[0]) else 0.0

    steps = np.round(lab / np.array(COLOUR_STEPS)).astype(np.int64).reshape(-1, 3)
    # One number a colour: unique over rows is ten times slower.
    _, counts = np.unique(steps @ np.array([1 << 20, 1 << 10, 1]), return_counts=True)
    shares = np.sort(counts)[::-1].cumsum() / counts.sum()
    return Look(float(flat), sharpness, float(np.searchsorted(shares, COLOUR_SHARE) + 1))


def kept_of(photo: np.ndarray, result: np.ndarray) -> Kept:
    """Measures what a result keeps of its photo.

    Args:
        photo: What `lab_of` makes of it.
        result: Likewise, of the same size.

    Returns:
        The measures.
    """
    shift = result.mean(axis=(0, 1)) - photo.mean(axis=(0, 1))
    x, y = np.ascontiguousarray(photo[..., 0]), np.ascontiguousarray(result[..., 0])
    return Kept(
        structure=_structure(x, y),
        edges=_agreement(_edges(x), _edges(y)),
        lightness_shift=float(shift[0]),
        colour_shift=float(np.hypot(shift[1], shift[2])),
    )


def gradient(lightness: np.ndarray, sigma: float) -> np.ndarray:
    """Length of the gradient of a Gaussian-smoothed plane, a pixel; (height, width) float32."""
    smooth = cv2.GaussianBlur(lightness, (0, 0), sigma)
    along, across = (cv2.Sobel(smooth, cv2.CV_32F, *d, scale=1 / 8) for d in ((1, 0), (0, 1)))
    return np.hypot(along, across)


def _span(planes: np.ndarray, side: int) -> np.ndarray:
    """Largest less smallest value around each pixel, within side x side."""
    square = np.ones((side, side), np.uint8)
    return cv2.dilate(planes, square) - cv2.erode(planes, square)


def _structure(x: np.ndarray, y: np.ndarray) -> float:
    def mean(plane: np.ndarray) -> np.ndarray:
        return cv2.GaussianBlur(plane, (0, 0), 1.5)

    x, y = x.astype(np.float64), y.astype(np.float64)
    covariance = mean(x * y) - mean(x) * mean(y)
    deviations = [np.sqrt(np.maximum(mean(z * z) - mean(z) ** 2, 0)) for z in (x, y)]
    similarity = covariance + _STRUCTURE_CONSTANT
    return float((similarity / (deviations[0] * deviations[1] + _STRUCTURE_CONSTANT)).mean())


def _edges(lightness: np.ndarray) -> np.ndarray:
    strength = gradient(lightness, 1.5)
    return strength > max(float(np.quantile(strength, 1 - EDGE_SHARE)), 1e-3)


def _agreement(x: np.ndarray, y: np.ndarray) -> float:
    if not x.any() and not y.any():
        return 1.0
    if not x.any() or not y.any():
        return 0.0
    reach = np.ones((2 * EDGE_REACH + 1, 2 * EDGE_REACH + 1), np.uint8)
    near_x, near_y = (cv2.dilate(z.astype(np.uint8), reach) > 0 for z in (x, y))
    recall, precision = float(near_y[x].mean()), float(near_x[y].mean())
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0
