"""Features of pictures that distances between sets are taken in."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

WINDOW = 64
"""Side of the windows that are described, pixels at that size."""

SCALES = (1, 2, 4)
"""Standard deviations of the Gaussians whose gradients are taken, pixels."""

DIRECTIONS = 4
"""Directions, 45 degrees apart, that the gradients are taken in."""

FEATURES = len(SCALES) * (DIRECTIONS + 1) + 4 + 3
"""Numbers a window."""


def describe(lab: np.ndarray) -> np.ndarray:
    """Describes a picture by what a drawing differs in from a photo; the same everywhere.

    A fixed descriptor, which needs no weights. The picture is taken in CIE Lab in windows side by
    side. Of each: at three scales the log energy of the gradient of lightness in four directions,
    and how sparse it is (mean by root mean square); the shares of pixels with a gradient below 0.5
    and 2; the log strength of thin dark and thin bright lines; the log deviation of L, a and b.
    Colours themselves are left out, since they tell more of what is in a picture than of how it is
    drawn.

    Args:
        lab: What `look.lab_of` makes of it, (height, width, 3), each side at least `WINDOW`.

    Returns:
        (windows, `FEATURES`) float64.

    Raises:
        ValueError: The picture is too small.
    """
    if min(lab.shape[:2]) < WINDOW:
        raise ValueError(
            f"pictures of at least {WINDOW}x{WINDOW} pixels can be described, received one of "
            f"{lab.shape[0]}x{lab.shape[1]}"
        )
    lightness = np.ascontiguousarray(lab[..., 0])
    features: list[np.ndarray] = []
    for scale in SCALES:
        smooth = cv2.GaussianBlur(lightness, (0, 0), scale)
        along, across = (cv2.Sobel(smooth, cv2.CV_32F, *d, scale=scale / 8) for d in _AXES)
        for k in range(DIRECTIONS):
            angle = k * np.pi / DIRECTIONS
            energy = np.square(along * np.cos(angle) + across * np.sin(angle))
            features.append(np.log(_means(energy) + 0.01))
        strength = np.hypot(along, across)
        features.append(_means(strength) / np.sqrt(_means(strength**2) + 1e-4))
        if scale == 1:
            features += [_means((strength < limit).astype(np.float32)) for limit in (0.5, 2)]
    lines = cv2.GaussianBlur(lightness, (0, 0), 2) - cv2.GaussianBlur(lightness, (0, 0), 0.7)
    features += [np.log(_means(np.maximum(line, 0)) + 0.01) for line in (lines, -lines)]
    for plane in np.moveaxis(lab, -1, 0):
        mean = _means(plane)
        deviation = np.sqrt(np.maximum(_means(plane.astype(np.float64) ** 2) - mean**2, 0))
        features.append(np.log(deviation + 0.1))
    return np.stack(features, axis=-1)


def standardised(sets: Sequence[np.ndarray], reference: np.ndarray) -> list[np.ndarray]:
    """Sets of features in units of a reference set's deviation, from its mean.

    Args:
        sets: (n, features) each.
        reference: (m, features).

    Returns:
        The sets.
    """
    mean, deviation = reference.mean(axis=0), reference.std(axis=0)
    return [(x - mean) / np.maximum(deviation, 1e-9) for x in sets]


_AXES = ((1, 0), (0, 1))


def _means(plane: np.ndarray) -> np.ndarray:
    """Means of a plane's windows, (windows,) float64; what does not fill a window is left out."""
    rows, columns = plane.shape[0] // WINDOW, plane.shape[1] // WINDOW
    cut = plane[: rows * WINDOW, : columns * WINDOW].astype(np.float64)
    return cut.reshape(rows, WINDOW, columns, WINDOW).mean(axis=(1, 3)).ravel()
