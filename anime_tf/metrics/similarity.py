"""How alike two pictures are: peak signal-to-noise ratio and structural similarity."""

from __future__ import annotations

import math

import cv2
import numpy as np

WINDOW = 11
"""Side of SSIM's Gaussian window, pixels."""

WINDOW_SIGMA = 1.5
"""Standard deviation of the window, pixels."""

SSIM_CONSTANTS = (0.01 * 255) ** 2, (0.03 * 255) ** 2
"""What keeps SSIM's two quotients from 0 / 0, for pictures of 0..255."""


def psnr(picture: np.ndarray, reference: np.ndarray, span: float) -> float:
    """Peak signal-to-noise ratio, 20 log10(span / rms(x - y)).

    Args:
        picture: Of any shape.
        reference: Likewise, of the same shape.
        span: From the least value that there can be to the greatest: 255 for uint8, 2 for [-1, 1].

    Returns:
        dB; infinite where both are equal.
    """
    error = np.mean(np.square(picture.astype(np.float64) - reference))
    return math.inf if error == 0 else float(10 * np.log10(span**2 / error))


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
