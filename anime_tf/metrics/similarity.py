"""Similarity of two pictures: PSNR and SSIM."""

from __future__ import annotations

import math

import cv2
import numpy as np

WINDOW = 11  # side of SSIM's Gaussian window, pixels
WINDOW_SIGMA = 1.5  # standard deviation of the window, pixels
# SSIM's C_1 and C_2 for pixels 0..255; they keep its quotients from 0 / 0
SSIM_CONSTANTS = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(picture: np.ndarray, reference: np.ndarray, data_range: float) -> float:
    """Peak signal-to-noise ratio in dB, 20 log10(data_range / rms(x - y)); inf for equal arrays.

    The arrays have one shape. `data_range` is 255 for uint8, 2 for [-1, 1].
    """
    error = np.mean(np.square(picture.astype(np.float64) - reference))
    return math.inf if error == 0 else float(10 * np.log10(data_range**2 / error))


def ssim_u8(picture_u8: np.ndarray, reference_u8: np.ndarray) -> float:
    """Structural similarity, averaged over channels and pixels: 1 for equal pictures, else less.

        (2 m_x m_y + c_1) (2 s_xy + c_2) / ((m_x^2 + m_y^2 + c_1) (s_x^2 + s_y^2 + c_2))

    with means, variances and covariance under a Gaussian window, wherever the window lies inside
    the picture. The pictures are (height, width, 3) uint8, each side at least `WINDOW`.

    Raises:
        ValueError: Another type, different shapes, or pictures that are too small.

    Reference: Wang, Bovik, Sheikh, Simoncelli, Image Quality Assessment, 2004, section III.
    """
    shapes = {picture_u8.shape, reference_u8.shape}
    types = {picture_u8.dtype, reference_u8.dtype}
    if len(shapes) > 1 or min(picture_u8.shape[:2]) < WINDOW or types != {np.dtype(np.uint8)}:
        raise ValueError(
            f"expected two uint8 pictures of one shape, each side at least {WINDOW}, got "
            f"{picture_u8.dtype} {picture_u8.shape} and {reference_u8.dtype} {reference_u8.shape}"
        )
    x, y = picture_u8.astype(np.float64), reference_u8.astype(np.float64)
    mean_x, mean_y = _window_mean(x), _window_mean(y)
    variances = _window_mean(x * x) - mean_x**2 + _window_mean(y * y) - mean_y**2
    covariance = _window_mean(x * y) - mean_x * mean_y
    c_1, c_2 = SSIM_CONSTANTS
    similarity = (2 * mean_x * mean_y + c_1) * (2 * covariance + c_2)
    similarity /= (mean_x**2 + mean_y**2 + c_1) * (variances + c_2)
    return float(similarity.mean())


def _window_mean(x: np.ndarray) -> np.ndarray:
    """Gaussian means where the window lies inside the picture."""
    edge = WINDOW // 2
    means = cv2.GaussianBlur(x, (WINDOW, WINDOW), WINDOW_SIGMA)
    return means[edge : x.shape[0] - edge, edge : x.shape[1] - edge]
