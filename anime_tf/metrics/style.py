"""Metrics of how drawn a picture looks, and of the content that a result keeps of its photo."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from anime_tf.io.geometry import resize

SIDE = 512  # shorter side in pixels to which larger pictures are reduced before measuring
# largest range of each CIE Lab channel in the 5x5 pixels around a flat pixel; 2.3 is visible
FLAT_RANGE = 3.0

LINE_RANGE = 10.0  # smallest range of L (0..100) in the 9x9 pixels around an edge that is measured
COLOR_STEPS = (5.0, 8.0, 8.0)  # quantization of L, a and b for counting colors
COLOR_SHARE = 0.95  # share of the pixels that the counted colors cover
EDGE_SHARE = 0.1  # share of the pixels that count as edges: those with the strongest gradients
EDGE_TOLERANCE = 2  # largest distance in pixels between an edge and its counterpart
_STRUCTURE_CONSTANT = (0.03 * 100) ** 2 / 2  # SSIM's C_3, for lightness of 0..100


@dataclass(frozen=True)
class StyleMetrics:
    """Measures of how much a picture looks like a drawing.

    Attributes:
        flat: Share of pixels in areas of nearly one color, 0..1: high for cels, 0 for grain.
        sharpness: Steepness of edges: the share of the lightness range around an edge that falls
            between two neighboring pixels; about 1 for a step, less for a blurred edge.
        colors: Number of colors that cover nearly all pixels: low for cel pictures.
    """

    flat: float
    sharpness: float
    colors: float


@dataclass(frozen=True)
class ContentMetrics:
    """Measures of the content that a result preserves from its photo.

    Attributes:
        structure: Mean local correlation of lightness, SSIM's third factor, which ignores
            brightness and contrast; 1 for the photo itself.
        edges: F1 score of edges that match within 2 pixels; 1 for the photo itself.
        lightness_shift: Mean L of the result minus that of the photo, of 100.
        color_shift: Distance of their mean (a, b).
    """

    structure: float
    edges: float
    lightness_shift: float
    color_shift: float


def to_lab(picture_u8: np.ndarray) -> np.ndarray:
    """Reduce (h, w, 3) RGB uint8 to a shorter side of at most `SIDE`; convert to CIE Lab.

    Returns (height, width, 3) float32: L of 0..100, a, b.
    """
    height, width = picture_u8.shape[:2]
    scale = SIDE / min(height, width)
    if scale < 1:
        size = max(1, round(height * scale)), max(1, round(width * scale))
        picture_u8 = resize(picture_u8, size)
    return cv2.cvtColor(picture_u8.astype(np.float32) / 255, cv2.COLOR_RGB2LAB)


def style_metrics(lab: np.ndarray) -> StyleMetrics:
    """Measure how drawn a picture by `to_lab` looks; `sharpness` is 0 without edges."""
    lightness = np.ascontiguousarray(lab[..., 0])
    flat = (_local_range(lab, 5).max(axis=-1) < FLAT_RANGE).mean()

    spread = _local_range(lightness, 9)
    edges = (spread > max(np.percentile(spread, 80), LINE_RANGE)).nonzero()
    steepest = cv2.dilate(gradient(lightness, 0.5), np.ones((9, 9)))
    sharpness = float((2 * steepest[edges] / spread[edges]).mean()) if len(edges[0]) else 0.0

    steps = np.round(lab / np.array(COLOR_STEPS)).astype(np.int64).reshape(-1, 3)
    # One number a color: unique over rows is ten times slower.
    _, counts = np.unique(steps @ np.array([1 << 20, 1 << 10, 1]), return_counts=True)
    shares = np.sort(counts)[::-1].cumsum() / counts.sum()
    return StyleMetrics(float(flat), sharpness, float(np.searchsorted(shares, COLOR_SHARE) + 1))


def content_metrics(photo: np.ndarray, result: np.ndarray) -> ContentMetrics:
    """Measure how much content a result keeps of its photo, both by `to_lab` in one size."""
    shift = result.mean(axis=(0, 1)) - photo.mean(axis=(0, 1))
    x, y = np.ascontiguousarray(photo[..., 0]), np.ascontiguousarray(result[..., 0])
    return ContentMetrics(
        structure=_structure(x, y),
        edges=_edge_f1(_edges(x), _edges(y)),
        lightness_shift=float(shift[0]),
        color_shift=float(np.hypot(shift[1], shift[2])),
    )


def gradient(lightness: np.ndarray, sigma: float) -> np.ndarray:
    """Gradient magnitude per pixel of a Gaussian-smoothed plane; (height, width) float32."""
    smooth = cv2.GaussianBlur(lightness, (0, 0), sigma)
    dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *d, scale=1 / 8) for d in ((1, 0), (0, 1)))
    return np.hypot(dx, dy)


def _local_range(planes: np.ndarray, side: int) -> np.ndarray:
    """Largest minus smallest value in the side x side pixels around each pixel."""
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


def _edge_f1(x: np.ndarray, y: np.ndarray) -> float:
    if not x.any() and not y.any():
        return 1.0
    if not x.any() or not y.any():
        return 0.0
    kernel = np.ones((2 * EDGE_TOLERANCE + 1, 2 * EDGE_TOLERANCE + 1), np.uint8)
    near_x, near_y = (cv2.dilate(z.astype(np.uint8), kernel) > 0 for z in (x, y))
    recall, precision = float(near_y[x].mean()), float(near_x[y].mean())
    return 2 * recall * precision / (recall + precision) if recall + precision else 0.0
