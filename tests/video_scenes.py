"""Distinct pictures with content, for tests of frame extraction."""

import cv2
import numpy as np


def scene(number: int, height: int = 96, width: int = 128) -> np.ndarray:
    """Return patches of color that depend on `number`."""
    patches = np.random.RandomState(number).randint(0, 256, (6, 8, 3)).astype(np.uint8)
    return cv2.resize(patches, (width, height), interpolation=cv2.INTER_NEAREST)


def with_dot(picture: np.ndarray, column: int) -> np.ndarray:
    """Return the picture with a small dot: a near-duplicate."""
    picture = picture.copy()
    picture[4:8, column : column + 4] = 255
    return picture


def blurred(picture: np.ndarray) -> np.ndarray:
    return cv2.GaussianBlur(picture, (0, 0), picture.shape[0] / 40)


def barred(picture: np.ndarray, rows: int, columns: int = 0) -> np.ndarray:
    """Return the picture with black bars around it."""
    return np.pad(picture, ((rows, rows), (columns, columns), (0, 0)))
