"""Distances between two sets of feature vectors."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def frechet_distance(x: np.ndarray, y: np.ndarray) -> float:
    """Frechet distance of (n, features) and (m, features), each modeled as a normal distribution.

        |mean_x - mean_y|^2 + trace(C_x + C_y - 2 (C_x C_y)^(1/2))

    With Inception features this is FID. It is biased: smaller sets give larger values, so compare
    only sets of the same size. A set with fewer vectors than features has a singular covariance.

    Raises:
        ValueError: Sets of other shapes, or of less than 2 vectors.

    Reference: Heusel et al., GANs Trained by a Two Time-Scale Update Rule, NeurIPS 2017.
    """
    x, y = _check(x, y)
    difference = x.mean(0) - y.mean(0)
    c_x, c_y = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    # trace((C_x C_y)^(1/2)) = trace((r C_y r)^(1/2)) with r = C_x^(1/2), which is symmetric.
    values, vectors = np.linalg.eigh(c_x)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    shared = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ c_y @ root), 0)).sum()
    distance = difference @ difference + np.trace(c_x) + np.trace(c_y) - 2 * shared
    return float(max(distance, 0.0))


def cubic_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """(a b / features + 1)^3 for each a in x and b in y: KID's kernel."""
    return (x @ y.T / x.shape[1] + 1) ** 3


def gaussian_kernel(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """exp(-|a - b|^2 / (2 features)) for each a in x and b in y, for features of deviation 1.

    Less sensitive to outliers than `cubic_kernel`.
    """
    squares = (x * x).sum(1)[:, None] + (y * y).sum(1) - 2 * x @ y.T
    return np.exp(-np.maximum(squares, 0) / (2 * x.shape[1]))


def kernel_distance(
    x: np.ndarray,
    y: np.ndarray,
    kernel: Callable[[np.ndarray, np.ndarray], np.ndarray] = cubic_kernel,
) -> float:
    """Unbiased estimate of the squared maximum mean discrepancy of (n, features) and (m, features).

    With Inception features and the cubic kernel this is KID. Its expectation does not depend on the
    size of the sets, so it suits small ones; it is 0 for sets of one distribution, so an estimate
    can be negative.

    Raises:
        ValueError: Sets of other shapes, or of less than 2 vectors.

    Reference: Binkowski et al., Demystifying MMD GANs, ICLR 2018.
    """
    x, y = _check(x, y)
    within = 0.0
    for z in (x, y):
        values = kernel(z, z)
        within += (values.sum() - np.trace(values)) / (len(z) * (len(z) - 1))
    return float(within - 2 * kernel(x, y).mean())


def _check(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(
            "expected two sets of at least 2 feature vectors of one length, got shapes "
            f"{x.shape} and {y.shape}"
        )
    return x, y
