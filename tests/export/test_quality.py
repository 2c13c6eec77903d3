"""Two engines that differ by a known step."""

from __future__ import annotations

import math

import numpy as np
import pytest

from anime_tf.export.quality import likeness

ROUNDING = 1e-9  # the weights of SSIM's window add up to 1 but for rounding


def test_likeness_of_two_engines():
    photos = [np.full((16, 24, 3), 100, np.uint8), np.full((11, 30, 3), 200, np.uint8)]

    def darker(pictures_pm1):
        return pictures_pm1 - 4 / 127.5 * (pictures_pm1 > 0)  # the lighter photo by 4 levels

    alike = likeness(darker, lambda x: x, photos[1:])
    assert alike.largest == 4
    assert alike.psnr_median == alike.psnr_least == pytest.approx(20 * math.log10(255 / 4))
    both = likeness(darker, lambda x: x, photos)
    assert both.psnr_least == alike.psnr_least and both.psnr_median == math.inf
    assert alike.ssim_least == both.ssim_least < both.ssim_mean <= 1 + ROUNDING
    with pytest.raises(ValueError, match="expected photos to compare on, received none"):
        likeness(darker, darker, [])
