"""Dark and light strokes: wires, folds, features, contours."""

from __future__ import annotations

import cv2
import numba
import numpy as np

from recipes.painter.color import step
from recipes.painter.structure import (
    average_along,
    difference_across,
    gauss,
    structure_tensor,
    tangents,
)

F32 = np.float32


def stroke_response(lightness: np.ndarray, sigma: float) -> tuple[np.ndarray, np.ndarray]:
    """Compute the flow-based difference of Gaussians for dark and for light strokes.

    Args:
        lightness: L, float32 (h, w).
        sigma: Half width of a stroke.

    Returns:
        The response to dark and to light strokes, (h, w) each, weakened where borders within 5 px
        run all ways.

    Reference: Kang, Lee, Chui, "Coherent Line Drawing", NPAR 2007.
    """
    smooth = gauss(lightness, 0.6)
    tangent, _ = tangents(structure_tensor(smooth, 2.0))
    across = difference_across(smooth, tangent, sigma)
    both = np.stack([np.maximum(across, -0.03), np.maximum(-across, -0.03)], axis=2)
    both = average_along(both, tangent, 4.0)
    _, coherence = tangents(structure_tensor(smooth, 5.0))
    both *= (0.45 + 0.55 * step(coherence, 0.15, 0.6))[..., None]
    return np.ascontiguousarray(both[..., 0]), np.ascontiguousarray(both[..., 1])


def strokes(response: np.ndarray, low: float, high: float, length: float) -> np.ndarray:
    """Turn a response into opacities: hysteresis, then removal of short strokes.

    Args:
        response: Of `stroke_response`.
        low: A stroke continues down to here,
        high: and begins above here.
        length: Shortest diagonal of a stroke's bounding box; 40 % of it where it is strong.

    Returns:
        Opacity in [0, 1], antialiased.
    """
    weak = (response > low).astype(np.uint8)
    count, labels, stats, _ = cv2.connectedComponentsWithStats(weak, connectivity=8)
    total, peak = _totals(labels, response, count)
    diagonal = np.hypot(stats[:, cv2.CC_STAT_WIDTH], stats[:, cv2.CC_STAT_HEIGHT])
    mean = total / np.maximum(stats[:, cv2.CC_STAT_AREA], 1)
    shortest = length * (1 - 0.6 * step(mean.astype(F32), 1.5 * high, 3.5 * high))
    is_stroke = (peak > high) & (diagonal >= shortest)
    is_stroke[0] = False
    kept = gauss(is_stroke[labels].astype(F32), 0.6)
    return np.minimum(1, 1.6 * kept) * step(response, 0.6 * low, high)


@numba.njit(cache=True)
def _totals(labels: np.ndarray, values: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray]:
    total = np.zeros(count, np.float32)
    peak = np.full(count, -1.0, np.float32)
    height, width = labels.shape
    for y in range(height):
        for x in range(width):
            label, value = labels[y, x], values[y, x]
            total[label] += value
            peak[label] = max(peak[label], value)
    return total, peak


def calm_share(lightness: np.ndarray, foliage: np.ndarray, dark: np.ndarray) -> np.ndarray:
    """Weaken strokes where they would be scribble: in foliage, and where dense and incoherent.

    Args:
        lightness: L that the strokes were found in.
        foliage: From `masks.foliage_mask`.
        dark: The dark strokes.

    Returns:
        Factor on all strokes, (h, w) in [0, 1].
    """
    smooth = gauss(lightness, 0.6)
    _, coherence5 = tangents(structure_tensor(smooth, 5.0))
    _, coherence10 = tangents(structure_tensor(smooth, 10.0))
    factor = 1 - 0.85 * foliage * (1 - step(coherence5, 0.5, 0.85))
    dense = step(gauss(dark, 8.0), 0.10, 0.28) * (1 - step(coherence10, 0.6, 0.9))
    return factor * (1 - 0.7 * dense)
