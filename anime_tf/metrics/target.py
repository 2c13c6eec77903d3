"""Metrics of how near a result is to a given target, such as the painting a network learns from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np

from anime_tf.metrics.similarity import psnr, ssim_u8
from anime_tf.metrics.style import gradient

FLAT_GRADIENT = 1.0  # largest gradient of a flat pixel, levels (0..255) per pixel


@dataclass(frozen=True)
class TargetMetrics:
    """Measures of how near a result is to its target.

    Attributes:
        psnr: Peak signal-to-noise ratio in dB.
        ssim: Structural similarity; 1 for equal pictures.
        gradient: Mean gradient of luma divided by the target's: above 1 where texture is left,
            below 1 where edges are soft.
        gradient_distance: Earth mover's distance of the two distributions of gradients, in levels
            (0..255) per pixel; 0 if both have as many edges of each strength.
        flat_pixels: Share of pixels with a gradient below 1 level per pixel, divided by the
            target's.
    """

    psnr: float
    ssim: float
    gradient: float
    gradient_distance: float
    flat_pixels: float


def target_metrics(
    result_u8: np.ndarray, target_u8: np.ndarray, target_gradients: np.ndarray | None = None
) -> TargetMetrics:
    """Compare a result with its target, both (height, width, 3) RGB uint8 of one size.

    `target_gradients` are the `luma_gradients` of the target; pass them when results share one.
    """
    result = luma_gradients(result_u8)
    target = luma_gradients(target_u8) if target_gradients is None else target_gradients
    flat, target_flat = (float((x < FLAT_GRADIENT).mean()) for x in (result, target))
    mean, target_mean = float(result.mean()), float(target.mean())
    return TargetMetrics(
        psnr=psnr(result_u8, target_u8, 255),
        ssim=ssim_u8(result_u8, target_u8),
        gradient=_ratio(mean, target_mean),
        gradient_distance=float(np.abs(result - target).mean()),
        flat_pixels=_ratio(flat, target_flat),
    )


def _ratio(value: float, target: float) -> float:
    return value / target if target else 1.0 if value == 0 else math.inf


def luma_gradients(picture_u8: np.ndarray) -> np.ndarray:
    """Return all gradient magnitudes of luma in ascending order.

    The mean distance of two such arrays is the earth mover's distance.
    """
    luma = cv2.cvtColor(picture_u8, cv2.COLOR_RGB2GRAY).astype(np.float32)
    return np.sort(gradient(luma, 0.5), axis=None)
