"""How alike an export's pictures and its network's are, on photos: what docs/export.md tables."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from anime_tf.data.pictures import to_pm1, to_u8
from anime_tf.inference.engines import Engine

WINDOW = 11
"""Side of SSIM's Gaussian window, pixels."""

WINDOW_SIGMA = 1.5
"""Standard deviation of the window, pixels."""

SSIM_CONSTANTS = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""What keeps SSIM's two quotients from 0 / 0, for pictures of 0..255."""


@dataclass(frozen=True)
class Likeness:
    """How alike two engines' pictures of the same photos are; pixels are 0..255.

    Attributes:
        psnr_median: Median over the photos of the peak signal-to-noise ratio, dB; infinite where
            pictures are equal.
        psnr_least: That of the worst photo.
        ssim_mean: Mean over the photos of the structural similarity.
        ssim_least: That of the worst photo.
        largest: The largest difference of one value, grey levels.
    """

    psnr_median: float
    psnr_least: float
    ssim_mean: float
    ssim_least: float
    largest: int


def psnr_u8(picture_u8: np.ndarray, reference_u8: np.ndarray) -> float:
    """Peak signal-to-noise ratio 20 log10(255 / rms(x - y)) of pixels, dB; infinite if equal."""
    error = np.mean(np.square(picture_u8.astype(np.float64) - reference_u8))
    return math.inf if error == 0 else float(10 * np.log10(255**2 / error))


def ssim_u8(picture_u8: np.ndarray, reference_u8: np.ndarray) -> float:
    """Structural similarity of two pictures, each channel by itself.

        (2 m_x m_y + c_1) (2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1) (s_x^2 + s_y^2 + c_2))

    with means, variances and covariance under a Gaussian window; its mean over channels and over
    all places where the window lies inside of the picture.

    Args:
        picture_u8: (height, width, 3) uint8, each side at least `WINDOW`.
        reference_u8: Likewise, of the same shape.

    Returns:
        At most 1, which equal pictures have.

    Raises:
        ValueError: Another type, or shapes that differ or are too small.

    Reference: Wang, Bovik, Sheikh, Simoncelli, Image Quality Assessment, 2004, section III.
    """
    shapes = {picture_u8.shape, reference_u8.shape}
    types = {picture_u8.dtype, reference_u8.dtype}
    if len(shapes) > 1 or min(picture_u8.shape[:2]) < WINDOW or types != {np.dtype(np.uint8)}:
        raise ValueError(
            f"SSIM takes two uint8 pictures of one shape, each side at least {WINDOW}, received "
            f"{picture_u8.dtype} {picture_u8.shape} and {reference_u8.dtype} {reference_u8.shape}"
        )
    x, y = picture_u8.astype(np.float64), reference_u8.astype(np.float64)
    mean_x, mean_y = _windowed(x), _windowed(y)
    variances = _windowed(x * x) - mean_x**2 + _windowed(y * y) - mean_y**2
    covariance = _windowed(x * y) - mean_x * mean_y
    c_1, c_2 = SSIM_CONSTANTS
    likeness = (2 * mean_x * mean_y + c_1) * (2 * covariance + c_2)
    likeness /= (mean_x**2 + mean_y**2 + c_1) * (variances + c_2)
    return float(likeness.mean())


def _windowed(x: np.ndarray) -> np.ndarray:
    """Gaussian means, where the window lies inside of the picture."""
    edge = WINDOW // 2
    means = cv2.GaussianBlur(x, (WINDOW, WINDOW), WINDOW_SIGMA)
    return means[edge : x.shape[0] - edge, edge : x.shape[1] - edge]


def likeness(engine: Engine, reference: Engine, photos_u8: Sequence[np.ndarray]) -> Likeness:
    """Stylises photos by an export and by its network, and compares their pixels.

    Args:
        engine: The export, loaded as for stylising.
        reference: The network.
        photos_u8: (height, width, 3) uint8 RGB each, sides as they are.

    Returns:
        How alike the pictures are.

    Raises:
        ValueError: No photos.
    """
    if not photos_u8:
        raise ValueError("expected photos to compare on, received none")
    ratios, similarities, differences = [], [], []
    for photo_u8 in photos_u8:
        photo_pm1 = to_pm1(photo_u8[None])
        picture, expected = to_u8(engine(photo_pm1)[0]), to_u8(reference(photo_pm1)[0])
        ratios.append(psnr_u8(picture, expected))
        similarities.append(ssim_u8(picture, expected))
        differences.append(int(np.abs(picture.astype(int) - expected).max()))
    return Likeness(
        psnr_median=statistics.median(ratios),
        psnr_least=min(ratios),
        ssim_mean=float(np.mean(similarities)),
        ssim_least=min(similarities),
        largest=max(differences),
    )
