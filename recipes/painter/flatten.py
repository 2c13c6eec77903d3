"""Filters that flatten: brush strokes, flat regions, and the removal of small islands."""

from __future__ import annotations

import math

import cv2
import numba
import numpy as np

from recipes.painter.color import lerp, step
from recipes.painter.structure import structure_tensor, tangents

F32 = np.float32

_SECTORS = 8


def kuwahara(picture: np.ndarray, radius: np.ndarray) -> np.ndarray:
    """Paint with brush strokes: the anisotropic Kuwahara filter with polynomial sectors.

    Every pixel takes the mean of the calmest of eight sectors of an ellipse along the border. It
    turns leaves into clusters with the shape of a brush, and keeps borders crisp.

    Args:
        picture: RGB, float32 (h, w, 3).
        radius: Radii in pixels (h, w); below 1 the pixel stays.

    Reference: Kyprianidis, Kang, Doellner, "Image and Video Abstraction by Anisotropic Kuwahara
    Filtering", Pacific Graphics 2009; Kyprianidis et al., "Anisotropic Kuwahara Filtering with
    Polynomial Weighting Functions", TPCG 2010.
    """
    tangent, anisotropy = tangents(structure_tensor(picture, 2.0))
    return _kuwahara(
        np.ascontiguousarray(picture), tangent, anisotropy, np.ascontiguousarray(radius, F32)
    )


@numba.njit(fastmath=True, cache=True)
def _add_sectors(
    sums: np.ndarray, weights: np.ndarray, turn: int, r: float, g: float, b: float
) -> None:
    for k in range(8):
        weight = weights[(k + turn) & 7]
        sums[0, k] += weight
        sums[1, k] += r * weight
        sums[2, k] += g * weight
        sums[3, k] += b * weight
        sums[4, k] += r * r * weight
        sums[5, k] += g * g * weight
        sums[6, k] += b * b * weight


@numba.njit(fastmath=True, cache=True, parallel=True)
def _kuwahara(
    picture: np.ndarray, tangent: np.ndarray, anisotropy: np.ndarray, radius: np.ndarray
) -> np.ndarray:
    height, width, _ = picture.shape
    out = np.empty_like(picture)
    zeta = F32(0.1)
    gamma = 1.5 * np.pi / 8
    eta = F32((0.1 + np.cos(gamma)) / np.sin(gamma) ** 2)
    half = F32(np.sqrt(0.5))
    # exp(-3.125 d2) for d2 in [0, 1].
    falloff = np.empty(257, np.float32)
    for k in range(257):
        falloff[k] = np.exp(-3.125 * k / 256)
    for y in numba.prange(height):
        sums = np.empty((7, 8), np.float32)
        weights = np.empty(8, np.float32)
        for x in range(width):
            size = radius[y, x]
            if size < F32(1.0):
                for c in range(3):
                    out[y, x, c] = picture[y, x, c]
                continue
            stretch = min(max(F32(1.0) + anisotropy[y, x], F32(0.5)), F32(2.0))
            major, minor = size * stretch, size / stretch
            cos, sin = tangent[y, x, 0], tangent[y, x, 1]
            reach_x = int(np.sqrt((major * cos) ** 2 + (minor * sin) ** 2))
            reach_y = int(np.sqrt((major * sin) ** 2 + (minor * cos) ** 2))
            sums[:] = F32(0.0)
            # The centre belongs to all sectors alike. Of a pixel and its mirror image the weights
            # are the same, four sectors on: half of the ellipse yields both.
            for k in range(8):
                weights[k] = F32(0.125)
            _add_sectors(sums, weights, 0, picture[y, x, 0], picture[y, x, 1], picture[y, x, 2])
            for j in range(reach_y + 1):
                below, above = min(y + j, height - 1), max(y - j, 0)
                for i in range(-reach_x, reach_x + 1):
                    if j == 0 and i <= 0:
                        continue
                    vx = (cos * i + sin * j) / major
                    vy = (cos * j - sin * i) / minor
                    distance = vx * vx + vy * vy
                    if distance > F32(1.0):
                        continue
                    ex, ey = zeta - eta * vx * vx, zeta - eta * vy * vy
                    weights[0] = max(F32(0.0), vy + ex)
                    weights[2] = max(F32(0.0), ey - vx)
                    weights[4] = max(F32(0.0), ex - vy)
                    weights[6] = max(F32(0.0), vx + ey)
                    ux, uy = half * (vx - vy), half * (vx + vy)
                    ex, ey = zeta - eta * ux * ux, zeta - eta * uy * uy
                    weights[1] = max(F32(0.0), uy + ex)
                    weights[3] = max(F32(0.0), ey - ux)
                    weights[5] = max(F32(0.0), ex - uy)
                    weights[7] = max(F32(0.0), ux + ey)
                    total = F32(1e-9)
                    for k in range(8):
                        weights[k] *= weights[k]
                        total += weights[k]
                    share = falloff[int(distance * F32(256.0))] / total
                    for k in range(8):
                        weights[k] *= share
                    right, left = min(max(x + i, 0), width - 1), min(max(x - i, 0), width - 1)
                    _add_sectors(
                        sums,
                        weights,
                        0,
                        picture[below, right, 0],
                        picture[below, right, 1],
                        picture[below, right, 2],
                    )
                    _add_sectors(
                        sums,
                        weights,
                        4,
                        picture[above, left, 0],
                        picture[above, left, 1],
                        picture[above, left, 2],
                    )
            red = green = blue = weight = F32(0.0)
            for k in range(8):
                n = sums[0, k] + F32(1e-9)
                r, g, b = sums[1, k] / n, sums[2, k] / n, sums[3, k] / n
                variance = (
                    abs(sums[4, k] / n - r * r)
                    + abs(sums[5, k] / n - g * g)
                    + abs(sums[6, k] / n - b * b)
                )
                square = (F32(65025.0) * variance) ** 2
                sector = F32(1.0) / (F32(1.0) + F32(1e-3) * square * square)
                red += r * sector
                green += g * sector
                blue += b * sector
                weight += sector
            out[y, x, 0], out[y, x, 1], out[y, x, 2] = red / weight, green / weight, blue / weight
    return out


def l0_smooth(
    picture: np.ndarray,
    smoothing: np.ndarray | float,
    *,
    growth: float = 2.0,
    end: float = 3e3,
) -> np.ndarray:
    """Flatten into regions with crisp borders: L0 gradient minimization.

    Args:
        picture: RGB, float32 (h, w, 3).
        smoothing: The paper's lambda, a number or a plane (h, w); larger removes more borders.
        growth: The paper's kappa.
        end: The last beta; 1e5 in the paper, but from here on steps are below half a level.

    Reference: Xu, Lu, Xu, Jia, "Image Smoothing via L0 Gradient Minimization", SIGGRAPH Asia 2011,
    algorithm 1.
    """
    height, width = picture.shape[:2]
    margin = 8
    rows = cv2.getOptimalDFTSize(height + 2 * margin)
    columns = cv2.getOptimalDFTSize(width + 2 * margin)
    pad = (margin, rows - height - margin, margin, columns - width - margin)
    padded = cv2.copyMakeBorder(picture, *pad, cv2.BORDER_REFLECT).transpose(2, 0, 1)
    flat = np.ascontiguousarray(padded)
    plane = np.broadcast_to(np.asarray(smoothing, F32), (height, width)).copy()
    plane = cv2.copyMakeBorder(plane, *pad, cv2.BORDER_REFLECT)
    laplacian = _packed_laplacian(rows, columns)
    spectrum = np.stack([cv2.dft(channel) for channel in flat])
    divergence = np.empty_like(flat)
    beta = 2.0 * float(plane.max())
    while beta < end:
        _divergence_of_kept(flat, plane, F32(1 / beta), divergence)
        for channel in range(3):
            cv2.dft(divergence[channel], divergence[channel])
        _solve(divergence, spectrum, laplacian, F32(beta))
        for channel in range(3):
            cv2.dft(divergence[channel], flat[channel], cv2.DFT_INVERSE | cv2.DFT_SCALE)
        beta *= growth
    inner = flat[:, margin : margin + height, margin : margin + width]
    return np.ascontiguousarray(inner.transpose(1, 2, 0))


def _packed_laplacian(rows: int, columns: int) -> np.ndarray:
    """Compute the periodic Laplacian's spectrum in the packed layout of `cv2.dft`."""
    column, row = np.arange(columns), np.arange(rows)
    fx = np.broadcast_to((column + 1) // 2, (rows, columns))
    fy = np.repeat(row[:, None], columns, 1)
    fy[:, 0] = (row + 1) // 2
    if columns % 2 == 0:
        fy[:, -1] = (row + 1) // 2
    cos_x, cos_y = np.cos(2 * math.pi * fx / columns), np.cos(2 * math.pi * fy / rows)
    return (4 - 2 * cos_x - 2 * cos_y).astype(F32)


@numba.njit(fastmath=True, cache=True, parallel=True)
def _solve(solved: np.ndarray, spectrum: np.ndarray, laplacian: np.ndarray, beta: float) -> None:
    _, height, width = solved.shape
    for y in numba.prange(height):
        for x in range(width):
            inverse = F32(1.0) / (F32(1.0) + beta * laplacian[y, x])
            for c in range(3):
                solved[c, y, x] = (spectrum[c, y, x] + beta * solved[c, y, x]) * inverse


@numba.njit(fastmath=True, cache=True, parallel=True)
def _divergence_of_kept(
    flat: np.ndarray, plane: np.ndarray, inverse_beta: float, out: np.ndarray
) -> None:
    """Write minus the divergence of those gradients whose square exceeds lambda / beta."""
    _, height, width = flat.shape
    for y in numba.prange(height):
        below, above = (y + 1) % height, (y - 1) % height
        for x in range(width):
            right, left = x + 1, x - 1
            if right == width:
                right = 0
            if left < 0:
                left = width - 1
            here = at_left = at_above = F32(0.0)
            for c in range(3):
                value = flat[c, y, x]
                here += (flat[c, y, right] - value) ** 2 + (flat[c, below, x] - value) ** 2
                value = flat[c, y, left]
                at_left += (flat[c, y, x] - value) ** 2 + (flat[c, below, left] - value) ** 2
                value = flat[c, above, x]
                at_above += (flat[c, above, right] - value) ** 2 + (flat[c, y, x] - value) ** 2
            keep = F32(here >= plane[y, x] * inverse_beta)
            keep_left = F32(at_left >= plane[y, left] * inverse_beta)
            keep_above = F32(at_above >= plane[above, x] * inverse_beta)
            for c in range(3):
                value = flat[c, y, x]
                out[c, y, x] = (
                    keep_left * (value - flat[c, y, left])
                    - keep * (flat[c, y, right] - value)
                    + keep_above * (value - flat[c, above, x])
                    - keep * (flat[c, below, x] - value)
                )


def drop_islands(
    picture: np.ndarray, size: int, low: float, high: float, share: np.ndarray | float = 1.0
) -> np.ndarray:
    """Remove small weak islands: move towards a median where it changes little.

    Args:
        picture: RGB, float32 (h, w, 3).
        size: Side of the median's window.
        low: Full effect where the largest channel changes by less.
        high: No effect where it changes by more.
        share: Of the effect, a number or a plane.
    """
    picture_u8 = np.rint(np.clip(picture, 0, 1) * 255).astype(np.uint8)
    median = cv2.medianBlur(picture_u8, size).astype(F32) / F32(255)
    change = np.abs(median - picture).max(axis=2)
    return lerp(picture, median, (1 - step(change, low, high)) * F32(share))
