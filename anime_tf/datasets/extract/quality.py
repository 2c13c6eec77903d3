"""Quality of pictures: luma, contrast and sharpness, and lower limits."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import cv2
import numpy as np

from anime_tf.config import Config, setting
from anime_tf.io.geometry import resize

# Largest shorter side of a measured picture in pixels, a usual size of training. Fixed, because the
# variance of the Laplacian depends on the resolution; enlarging smaller pictures would blur them.
MEASURED_SIDE = 256

NEAR_BLACK, NEAR_BLANK, BLURRED = "near-black", "near-blank", "blurred"


@dataclass(frozen=True)
class Quality:
    """Measurements of a picture in levels 0..255 of its luma; see `MEASURED_SIDE`."""

    luma: float  # mean
    contrast: float  # standard deviation
    sharpness: float  # variance of the Laplacian (4 neighbors)


@dataclass(frozen=True)
class QualityLimits(Config):
    """Lower limits of a picture's quality; 0 switches a limit off.

    The defaults reject pictures with next to no content. 59 photos of many kinds and 466 frames of
    a drawn and of a filmed clip have luma 47 and more, contrast 29 and more, and sharpness 142 and
    more; those frames blurred by a Gaussian with a sigma of 1/120 of their height have a sharpness
    of 3 to 13, and of 14 to 115 with 1/240.

    Attributes:
        luma: Smallest mean luma, 0..255; darker pictures count as near-black.
        contrast: Smallest standard deviation of luma; below it a picture counts as near-blank.
        sharpness: Smallest variance of the Laplacian, measured with the shorter side at 256 pixels;
            below it a picture counts as blurred.
    """

    FLAG_PREFIX: ClassVar[str] = "min_"

    luma: float = setting(16.0, minimum=0)
    contrast: float = setting(10.0, minimum=0)
    sharpness: float = setting(20.0, minimum=0)

    def fault(self, quality: Quality) -> str | None:
        """Return the first of `NEAR_BLACK`, `NEAR_BLANK` and `BLURRED` that holds, else None."""
        faults = {"luma": NEAR_BLACK, "contrast": NEAR_BLANK, "sharpness": BLURRED}
        return next((f for k, f in faults.items() if getattr(quality, k) < getattr(self, k)), None)


def gray_at(rgb_u8: np.ndarray, side: int) -> np.ndarray:
    """Convert RGB uint8 to luma uint8, reduced to a shorter side of at most `side`."""
    height, width = rgb_u8.shape[:2]
    scale = min(1.0, side / min(height, width))
    size_hw = (max(1, round(height * scale)), max(1, round(width * scale)))
    return cv2.cvtColor(resize(rgb_u8, size_hw), cv2.COLOR_RGB2GRAY)


def measure(rgb_u8: np.ndarray) -> Quality:
    """Measure luma, contrast and sharpness of a picture, (height, width, 3) RGB uint8.

    Reference: Pech-Pacheco et al., Diatom autofocusing in brightfield microscopy, ICPR 2000 (the
    variance of the Laplacian).
    """
    gray = gray_at(rgb_u8, MEASURED_SIDE)
    sharpness = cv2.Laplacian(gray, cv2.CV_32F).var(dtype=np.float64)
    return Quality(float(gray.mean()), float(gray.std()), float(sharpness))
