"""Pictures flattened on the CPU: superpixels, L0 smoothing and denoising, the targets of DTGAN."""

from __future__ import annotations

import cv2
import numpy as np

SCALE, SIGMA = 5.0, 0.8  # of AnimeGANv3: how much regions may differ, and the blur before

L0_LAMBDA = 0.005
L0_MAX_BETA = 1e5  # the last round of L0 smoothing has a beta below this

_CHUNK = 1 << 14  # edges between two removals of edges within a region


def superpixels(picture_u8: np.ndarray, min_size: int) -> np.ndarray:
    """Fill each region of `felzenszwalb` with its mean color, rounded down; uint8 (h, w, 3)."""
    labels = felzenszwalb(picture_u8, min_size).ravel()
    sizes = np.bincount(labels)
    pixels = picture_u8.reshape(-1, 3)
    means = [np.bincount(labels, pixels[:, channel]) / sizes for channel in range(3)]
    return np.stack(means, -1).astype(np.uint8)[labels].reshape(picture_u8.shape)


def felzenszwalb(
    picture_u8: np.ndarray, min_size: int, scale: float = SCALE, sigma: float = SIGMA
) -> np.ndarray:
    """Segment a picture, uint8 RGB (h, w, 3), into regions of similar color.

    Two regions join if the edge between them costs less than either's largest inner edge plus
    (scale / 255) / its size; then regions below `min_size` join their nearest neighbor. Labels are
    those of scikit-image, in the order of each region's first pixel; int64 (h, w).

    Reference: Felzenszwalb, Huttenlocher, Efficient Graph-Based Image Segmentation, IJCV 2004.
    """
    height, width = picture_u8.shape[:2]
    blurred = _blur(picture_u8 / 255.0, sigma)
    index = np.arange(height * width).reshape(height, width)
    begins, ends, costs = [], [], []
    for rows, columns in (
        ((slice(None), slice(None)), (slice(None, -1), slice(1, None))),  # right
        ((slice(None, -1), slice(1, None)), (slice(None), slice(None))),  # down
        ((slice(None, -1), slice(1, None)), (slice(None, -1), slice(1, None))),  # down, right
        ((slice(1, None), slice(None, -1)), (slice(None, -1), slice(1, None))),  # up, right
    ):
        begins.append(index[rows[0], columns[0]].ravel())
        ends.append(index[rows[1], columns[1]].ravel())
        difference = blurred[rows[1], columns[1]] - blurred[rows[0], columns[0]]
        costs.append(np.sqrt(np.sum(difference**2, axis=-1)).ravel())
    order = np.argsort(np.concatenate(costs), kind="stable")
    edges = np.stack([np.concatenate(begins)[order], np.concatenate(ends)[order]])
    sorted_costs = np.concatenate(costs)[order]

    roots = list(range(height * width))
    sizes = [1] * len(roots)
    inner = [0.0] * len(roots)
    tau = scale / 255

    def find(i: int) -> int:
        while roots[i] != i:
            roots[i] = i = roots[roots[i]]
        return i

    for joins_by_cost in (True, False):
        for first in range(0, len(order), _CHUNK):
            chunk = slice(first, first + _CHUNK)
            # Most edges lie within a region, and numpy finds them faster than a loop.
            flat = _flatten(np.array(roots))
            between = flat[edges[:, chunk]]
            kept = between[0] != between[1]
            for a, b, cost in zip(
                *between[:, kept].tolist(), sorted_costs[chunk][kept].tolist(), strict=True
            ):
                a, b = find(a), find(b)
                if a == b:
                    continue
                if joins_by_cost:
                    if cost >= min(inner[a] + tau / sizes[a], inner[b] + tau / sizes[b]):
                        continue
                elif sizes[a] >= min_size and sizes[b] >= min_size:
                    continue
                a, b = min(a, b), max(a, b)
                roots[b] = a
                sizes[a] += sizes[b]
                inner[a] = cost
    labels = np.unique(_flatten(np.array(roots)), return_inverse=True)[1]
    return labels.reshape(height, width)


def _flatten(roots: np.ndarray) -> np.ndarray:
    """Replace each parent by its root."""
    while True:
        parents = roots[roots]
        if np.array_equal(parents, roots):
            return roots
        roots = parents


def _blur(picture: np.ndarray, sigma: float) -> np.ndarray:
    """Blur height and width as scipy's `gaussian_filter` does, to the last bit."""
    radius = int(4.0 * sigma + 0.5)
    weights = np.exp(-0.5 / (sigma * sigma) * np.arange(-radius, radius + 1) ** 2)
    weights = weights / weights.sum()
    for axis in (0, 1):
        side = picture.shape[axis]
        pads = [(radius, radius) if i == axis else (0, 0) for i in range(3)]
        padded = np.pad(picture, pads, mode="symmetric")

        def shifted(by: int, padded: np.ndarray = padded, axis: int = axis) -> np.ndarray:
            return np.take(padded, np.arange(radius + by, radius + by + side), axis)  # noqa: B023

        picture = picture * weights[radius]
        for by in range(radius, 0, -1):
            picture = picture + (shifted(-by) + shifted(by)) * weights[radius - by]
    return picture


def l0_smooth(picture: np.ndarray, weight: float = L0_LAMBDA) -> np.ndarray:
    """Smooth a picture, float64 (h, w, 3) in [0, 1], to few and sharp edges, circularly.

    Reference: Xu et al., Image Smoothing via L0 Gradient Minimization, SIGGRAPH Asia 2011.
    """
    fy, fx = (np.fft.fftfreq(side) for side in picture.shape[:2])
    laplacian = (2 - 2 * np.cos(2 * np.pi * fy))[:, None] + (2 - 2 * np.cos(2 * np.pi * fx))[None]
    spectrum = np.fft.fft2(picture, axes=(0, 1))
    smooth, beta = picture, 2 * weight
    while beta < L0_MAX_BETA:
        h, v = (np.roll(smooth, -1, axis) - smooth for axis in (1, 0))
        flat = np.sum(h**2 + v**2, axis=-1) < weight / beta
        h[flat] = v[flat] = 0
        divergence = np.roll(h, 1, 1) - h + np.roll(v, 1, 0) - v
        numerator = spectrum + beta * np.fft.fft2(divergence, axes=(0, 1))
        smooth = np.fft.ifft2(numerator / (1 + beta * laplacian)[..., None], axes=(0, 1)).real
        beta *= 2
    return smooth


def denoise(picture_u8: np.ndarray, luma: int, chroma: int, template: int = 5) -> np.ndarray:
    """Denoise by non-local means with a search window of 7 pixels; uint8 RGB (h, w, 3).

    As in AnimeGANv3, OpenCV takes red for blue here: luma and chroma are those of BGR.
    """
    return cv2.fastNlMeansDenoisingColored(picture_u8, None, luma, chroma, template, 7)


def revise(picture_u8: np.ndarray, luma: int, chroma: int, template: int = 5) -> np.ndarray:
    """Denoise and smooth a picture: the target of the main tail, float32 (h, w, 3) in [-1, 1]."""
    smooth = l0_smooth(denoise(picture_u8, luma, chroma, template) / 255.0)
    return np.clip(2 * smooth - 1, -1, 1).astype(np.float32)
