"""Comparison of an export with the network that it was made from."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anime_tf.inference.engines.engine import Engine
from anime_tf.inference.timing import median_seconds
from anime_tf.io.pixels import to_pm1
from anime_tf.metrics.similarity import psnr

PROBE_SIZES = ((256, 256), (150, 203))
"""Heights and widths of the test pictures; the second one needs padding."""

PROBE_BATCHES = (1, 2)  # batch sizes of the test pictures


@dataclass(frozen=True)
class Tolerance:
    """Allowed deviation of an export from its network: see `Measurement`."""

    largest: float = math.inf
    psnr: float = 0.0


@dataclass(frozen=True)
class Measurement:
    """Deviation of an export from its network, and the median time for one picture of `timed_hw`.

    `largest` is the largest absolute difference of a value in [-1, 1], NaN if a value is NaN;
    `psnr` the lowest peak signal-to-noise ratio of a batch in dB, infinite if all are equal.
    """

    largest: float
    psnr: float
    milliseconds: float
    timed_hw: tuple[int, int]

    def violations(self, tolerance: Tolerance) -> str:
        """Describe what exceeds the tolerance; empty if nothing does."""
        problems = []
        # Negated, because a comparison with NaN is false.
        if not self.largest <= tolerance.largest:
            problems.append(
                f"expected a difference of at most {tolerance.largest:g}, got {self.largest:.2g}"
            )
        if not self.psnr >= tolerance.psnr:
            problems.append(
                f"expected a PSNR of at least {tolerance.psnr:g} dB, got {self.psnr:.1f} dB"
            )
        return "; ".join(problems)


def make_probes(sizes: Sequence[tuple[int, int]] = PROBE_SIZES) -> list[np.ndarray]:
    """Make test pictures of colored waves and hard edges; the same in every call.

    Returns a batch (n, height, width, 3), float32 RGB in [-1, 1], for each size (height, width) and
    each of `PROBE_BATCHES`.
    """
    return [to_pm1(_make_probe(n, *size)) for size in sizes for n in PROBE_BATCHES]


def _make_probe(n: int, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * a + y * b) for a, b in ((0.11, 0.05), (0.03, 0.17), (0.07, -0.09))]
    picture = np.stack(waves, axis=-1) * 90 + 127
    picture[height // 4 : height // 2, width // 3 : width // 2] = (230, 40, 60)
    return np.stack([np.roll(picture, 7 * i, axis=1) for i in range(n)]).astype(np.uint8)


def measure(
    engine: Engine, reference: Engine, sizes: Sequence[tuple[int, int]] = PROBE_SIZES
) -> Measurement:
    """Compare an export with its network on test pictures of sizes (height, width).

    Raises:
        ValueError: The export returns another shape.
    """
    probes = make_probes(sizes)
    largest, ratios = [], []
    for photos in probes:
        actual, expected = engine(photos), reference(photos)
        if actual.shape != expected.shape:
            raise ValueError(
                f"expected pictures of shape {expected.shape}, got {actual.shape}; please report "
                "this"
            )
        largest.append(np.abs(actual - expected).max())
        ratios.append(psnr(actual, expected, data_range=2))
    milliseconds = 1000 * median_seconds(lambda: engine(probes[0]))  # of a size that has run
    # Python's max and min skip NaN.
    return Measurement(float(np.max(largest)), float(np.min(ratios)), milliseconds, sizes[0])
