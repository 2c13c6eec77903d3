"""How far an export may be from the network that it was made from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

LEVELS = 127.5
"""Grey levels of 255 in a step of 1 in [-1, 1]."""


@dataclass(frozen=True)
class Difference:
    """How far pictures are from others, in grey levels of 255.

    Attributes:
        largest: Of one value.
        mean: Over all values.
    """

    largest: float
    mean: float


@dataclass(frozen=True)
class Tolerance:
    """The most that a `Difference` may be, in grey levels of 255.

    Attributes:
        largest: Of one value.
        mean: Over all values.
    """

    largest: float
    mean: float


def probes_u8() -> list[np.ndarray]:
    """Test pictures: waves of colour with hard edges, of sizes with and without padding.

    Returns:
        Batches (n, height, width, 3) of uint8 RGB, the same at every call.
    """
    return [_probe(1, 64, 96), _probe(2, 37, 50), _probe(1, 3, 5)]


def _probe(n: int, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * a + y * b) for a, b in ((0.11, 0.05), (0.03, 0.17), (0.07, -0.09))]
    picture = np.stack(waves, axis=-1) * 90 + 127
    picture[height // 4 : height // 2, width // 3 : width // 2] = (230, 40, 60)
    return np.stack([np.roll(picture, 7 * i, axis=1) for i in range(n)]).astype(np.uint8)


def compare(
    name: str, actual: Sequence[np.ndarray], expected: Sequence[np.ndarray], tolerance: Tolerance
) -> Difference:
    """Compares pictures in [-1, 1].

    Args:
        name: What made `actual`, for the error.
        actual: Pictures.
        expected: As many of the same shapes.
        tolerance: How far they may be from each other.

    Returns:
        How far they are.

    Raises:
        ValueError: Other shapes, values that are not finite, or a larger difference.
    """
    for ours, theirs in zip(actual, expected, strict=True):
        if ours.shape != theirs.shape:
            raise ValueError(
                f"{name}: gives pictures of shape {ours.shape}, expected {theirs.shape}; "
                "please report this"
            )
    apart = np.concatenate(
        [np.abs(a - e).ravel() * LEVELS for a, e in zip(actual, expected, strict=True)]
    )
    difference = Difference(float(apart.max()), float(apart.mean()))
    # Put so that a NaN does not pass.
    if not (difference.largest <= tolerance.largest and difference.mean <= tolerance.mean):
        raise ValueError(
            f"{name}: differs from the network by {difference.largest:.3g} grey levels at most and "
            f"{difference.mean:.3g} on average, expected no more than {tolerance.largest:g} and "
            f"{tolerance.mean:g}; quantise less"
        )
    return difference
