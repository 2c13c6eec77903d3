"""Color textures, and windows that move over them by fractions of a pixel."""

import cv2
import numpy as np


def texture(height=96, width=128, seed=0):
    """Return a smooth color texture, (height, width, 3) uint8, with details of about six pixels."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low) * 255).astype(np.uint8)


def window(picture, x, y, height=64, width=80):
    """Return a window whose corner is at the fractional position (x, y)."""
    center = (x + (width - 1) / 2, y + (height - 1) / 2)
    return cv2.getRectSubPix(picture, (width, height), center)
