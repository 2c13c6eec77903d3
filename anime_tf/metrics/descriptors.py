"""Descriptor of drawing style, the feature space of the distances between sets of pictures."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

WINDOW = 64  # side of the described windows, pixels
SCALES = (1, 2, 4)  # standard deviations of the Gaussians whose gradients are taken, pixels
DIRECTIONS = 4  # gradient directions, 45 degrees apart


def describe(lab: np.ndarray) -> np.ndarray:
    """Describe a picture by features that differ between drawings and photos.

    A fixed descriptor without weights, computed for adjacent windows in CIE Lab. For each of three
    scales: the log energy of the lightness gradient in four directions, and its sparsity (mean
    divided by root mean square). At the finest scale also the shares of pixels with a gradient
    below 0.5 and 2. Then the log strength of thin dark and thin bright lines, and the log
    deviations of L, a and b. Mean colors are no feature: they depend on content, not on style.

    Args:
        lab: The picture by `style.to_lab`, (height, width, 3), each side at least `WINDOW`.

    Returns:
        (windows, 22) float64.

    Raises:
        ValueError: The picture is too small.
    """
    if min(lab.shape[:2]) < WINDOW:
        raise ValueError(
            f"expected a picture of at least {WINDOW}x{WINDOW} pixels, got "
            f"{lab.shape[1]}x{lab.shape[0]}"
        )
    lightness = np.ascontiguousarray(lab[..., 0])
    features: list[np.ndarray] = []
    for scale in SCALES:
        smooth = cv2.GaussianBlur(lightness, (0, 0), scale)
        dx, dy = (cv2.Sobel(smooth, cv2.CV_32F, *d, scale=scale / 8) for d in ((1, 0), (0, 1)))
        for k in range(DIRECTIONS):
            angle = k * np.pi / DIRECTIONS
            energy = np.square(dx * np.cos(angle) + dy * np.sin(angle))
            features.append(np.log(_window_means(energy) + 0.01))
        strength = np.hypot(dx, dy)
        features.append(_window_means(strength) / np.sqrt(_window_means(strength**2) + 1e-4))
        if scale == 1:
            features += [_window_means((strength < limit).astype(np.float32)) for limit in (0.5, 2)]
    lines = cv2.GaussianBlur(lightness, (0, 0), 2) - cv2.GaussianBlur(lightness, (0, 0), 0.7)
    features += [np.log(_window_means(np.maximum(x, 0)) + 0.01) for x in (lines, -lines)]
    for plane in np.moveaxis(lab, -1, 0):
        variance = _window_means(plane.astype(np.float64) ** 2) - _window_means(plane) ** 2
        features.append(np.log(np.sqrt(np.maximum(variance, 0)) + 0.1))
    return np.stack(features, axis=-1)


def standardize(sets: Sequence[np.ndarray], reference: np.ndarray) -> list[np.ndarray]:
    """Standardize sets (n, features) by the mean and deviation of a reference set (m, features)."""
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    return [(x - mean) / np.maximum(deviation, 1e-9) for x in sets]


def _window_means(plane: np.ndarray) -> np.ndarray:
    """Means of the whole windows of a plane, (windows,) float64."""
    rows, columns = plane.shape[0] // WINDOW, plane.shape[1] // WINDOW
    cropped = plane[: rows * WINDOW, : columns * WINDOW].astype(np.float64)
    return cropped.reshape(rows, WINDOW, columns, WINDOW).mean(axis=(1, 3)).ravel()
