"""How far an export may be from the network that it was made from, and how it is found out."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anime_tf.inference.engines.engine import Engine
from anime_tf.io.pixels import to_pm1
from anime_tf.metrics.similarity import psnr

PROBE_SIZES = ((256, 256), (150, 203))
"""Height and width of the test pictures: one that no network has to pad, one that all do."""

PROBE_BATCHES = (1, 2)
"""Pictures in a batch of test pictures."""

TIMED_RUNS = 3
"""Runs whose median is the time; they follow the runs that were compared, so all is warm."""


@dataclass(frozen=True)
class Limit:
    """How far an export may be from its network.

    Attributes:
        largest: Of one value, in [-1, 1].
        psnr: The least peak signal-to-noise ratio, dB.
    """

    largest: float = math.inf
    psnr: float = 0.0


@dataclass(frozen=True)
class Measured:
    """How far an export is from its network, and how fast it is.

    Attributes:
        largest: The largest difference of one value, in [-1, 1]; NaN where a value is none.
        psnr: The least peak signal-to-noise ratio of a batch, dB; infinite where all is equal.
        milliseconds: For one picture, median.
        timed_hw: Height and width of that picture, pixels.
    """

    largest: float
    psnr: float
    milliseconds: float
    timed_hw: tuple[int, int]

    def beyond(self, limit: Limit) -> str:
        """What passes the limit, in words; empty where nothing does."""
        words = []
        # Put so that a NaN does not pass.
        if not self.largest <= limit.largest:
            words.append(f"differs by {self.largest:.2g}, expected no more than {limit.largest:g}")
        if not self.psnr >= limit.psnr:
            words.append(f"PSNR is {self.psnr:.1f} dB, expected at least {limit.psnr:g} dB")
        return "; ".join(words)


def probes_pm1(sizes: Sequence[tuple[int, int]] = PROBE_SIZES) -> list[np.ndarray]:
    """Test pictures: waves of colour with hard edges.

    Args:
        sizes: Heights and widths, pixels.

    Returns:
        Batches (n, height, width, 3), float32 RGB in [-1, 1], one for each size and each of
        `PROBE_BATCHES`; the same at every call.
    """
    return [to_pm1(_probe(n, *size)) for size in sizes for n in PROBE_BATCHES]


def _probe(n: int, height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    waves = [np.sin(x * a + y * b) for a, b in ((0.11, 0.05), (0.03, 0.17), (0.07, -0.09))]
    picture = np.stack(waves, axis=-1) * 90 + 127
    picture[height // 4 : height // 2, width // 3 : width // 2] = (230, 40, 60)
    return np.stack([np.roll(picture, 7 * i, axis=1) for i in range(n)]).astype(np.uint8)


def measure(
    engine: Engine, reference: Engine, sizes: Sequence[tuple[int, int]] = PROBE_SIZES
) -> Measured:
    """Runs an export and its network on test pictures, in each size and each batch.

    Args:
        engine: The export, loaded as for stylising.
        reference: The network.
        sizes: Heights and widths that the export takes.

    Returns:
        How far it is from the network, and its time.

    Raises:
        ValueError: It gives pictures of another shape.
    """
    probes = probes_pm1(sizes)
    largest, ratio = [], []
    for photos in probes:
        actual, expected = engine(photos), reference(photos)
        if actual.shape != expected.shape:
            raise ValueError(
                f"gives pictures of shape {actual.shape}, expected {expected.shape}; "
                "please report this"
            )
        largest.append(np.abs(actual - expected).max())
        ratio.append(psnr(actual, expected, data_range=2))
    # By numpy: Python's max and min pass over a NaN.
    milliseconds = _milliseconds(engine, probes[0])
    return Measured(float(np.max(largest)), float(np.min(ratio)), milliseconds, sizes[0])


def _milliseconds(engine: Engine, photo_pm1: np.ndarray) -> float:
    times = []
    for _ in range(TIMED_RUNS):
        begun_at = time.perf_counter()
        engine(photo_pm1)
        times.append(time.perf_counter() - begun_at)
    return 1000 * statistics.median(times)
