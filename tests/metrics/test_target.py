import math

import cv2
import numpy as np
import pytest
from tolerances import FEW_ROUNDINGS

from anime_tf.metrics.target import target_metrics


def steps(height=20):
    """Vertical stripes of 16 pixels, `height` levels apart in turn."""
    stripes = 100 + height * (np.arange(96) // 16 % 2)
    return np.broadcast_to(stripes[None, :, None], (64, 96, 3)).astype(np.uint8)


def test_an_equal_picture():
    same = target_metrics(steps(), steps())
    assert same.psnr == math.inf and same.ssim == pytest.approx(1, abs=1e-9)
    assert (same.gradient, same.gradient_distance, same.flat_pixels) == (1, 0, 1)


def test_half_the_contrast_is_half_the_gradient():
    half = target_metrics(steps(10), steps(20))
    assert half.gradient == pytest.approx(0.5, abs=FEW_ROUNDINGS)  # gradients are float32
    # PSNR by hand: half of the pixels are 10 levels off.
    assert half.psnr == pytest.approx(10 * math.log10(255**2 / 50), abs=1e-9)


def test_grain_and_blur_are_told_apart():
    grain = np.random.default_rng(0).integers(-8, 9, (64, 96, 1))
    grainy = target_metrics((steps() + grain).astype(np.uint8), steps())
    blurred = target_metrics(cv2.GaussianBlur(steps(), (0, 0), 4), steps())
    assert grainy.gradient > 1.5 and grainy.flat_pixels < 0.5
    assert blurred.gradient < 1 and blurred.flat_pixels < 1
    assert min(grainy.gradient_distance, blurred.gradient_distance) > 0.5


def test_a_target_of_one_color():
    gray = np.full((32, 32, 3), 90, np.uint8)
    assert target_metrics(gray, gray).gradient == 1
    assert target_metrics(steps()[:32, :32], gray).gradient == math.inf
