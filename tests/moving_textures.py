"""Textures in colour, and windows that move over them by parts of a pixel."""

import cv2
import numpy as np


def texture(height=96, width=128, seed=0):
    """A smooth texture in colour, (height, width, 3) uint8, with details of some six pixels."""
    noise = np.random.default_rng(seed).uniform(0, 255, (height, width, 3)).astype(np.float32)
    smooth = cv2.GaussianBlur(noise, (0, 0), 3)
    low, high = smooth.min(), smooth.max()
    return ((smooth - low) / (high - low) * 255).astype(np.uint8)


def window(picture, x, y, height=64, width=80):
    """A window whose corner lies at (x, y), parts of a pixel included."""
    center = (x + (width - 1) / 2, y + (height - 1) / 2)
    return cv2.getRectSubPix(picture, (width, height), center)
