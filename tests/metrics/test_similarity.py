"""PSNR and SSIM against numbers computed by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_tf.metrics.similarity import SSIM_CONSTANTS, psnr, ssim_u8

FLOAT32 = 1e-4  # dB, of a difference of 0.02 in float32
EXACT = 1e-12  # a few operations in float64
BLUR = 1e-9  # rounding of a Gaussian window's weights, whose squares reach 6e4


def test_psnr_of_pixels():
    black = np.zeros((12, 12, 3), np.uint8)
    assert psnr(black, black, 255) == math.inf
    assert psnr(black, black + 255, 255) == pytest.approx(0, abs=EXACT)
    assert psnr(black, black + 51, 255) == pytest.approx(20 * math.log10(5), abs=EXACT)
    minus_1 = np.full((12, 12, 3), -1, np.float32)
    assert psnr(minus_1, minus_1 + 0.02, 2) == pytest.approx(40, abs=FLOAT32)


def test_ssim_of_flat_pictures_compares_their_means():
    x, y = np.full((2, 20, 15, 3), [[[[100]]], [[[140]]]], np.uint8)
    c_1 = SSIM_CONSTANTS[0]
    expected = (2 * 100 * 140 + c_1) / (100**2 + 140**2 + c_1)
    assert ssim_u8(x, y) == pytest.approx(expected, abs=BLUR)
    assert ssim_u8(x, x) == pytest.approx(1, abs=BLUR)


def test_ssim_by_its_definition():
    """A picture of the size of the window."""
    random = np.random.default_rng(5)
    x, y = random.integers(0, 256, (2, 11, 11, 3), np.uint8).astype(float)
    line = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    window = np.outer(line, line)[..., None] / line.sum() ** 2

    def mean(values):
        return (values * window).sum(axis=(0, 1))

    m_x, m_y = mean(x), mean(y)
    v_x, v_y, v_xy = mean((x - m_x) ** 2), mean((y - m_y) ** 2), mean((x - m_x) * (y - m_y))
    c_1, c_2 = SSIM_CONSTANTS
    expected = (2 * m_x * m_y + c_1) * (2 * v_xy + c_2)
    expected /= (m_x**2 + m_y**2 + c_1) * (v_x + v_y + c_2)
    actual = ssim_u8(x.astype(np.uint8), y.astype(np.uint8))
    assert actual == pytest.approx(expected.mean(), abs=BLUR)


def test_ssim_rejects_other_pictures():
    x = np.zeros((11, 12, 3), np.uint8)
    for other in (x[:10], x[:, :11], x.astype(np.float32)):
        with pytest.raises(ValueError, match="two uint8 pictures of one shape, each side at least"):
            ssim_u8(x, other)
    with pytest.raises(ValueError, match=r"got uint8 \(10, 12, 3\)"):
        ssim_u8(x[:10], x[:10])
