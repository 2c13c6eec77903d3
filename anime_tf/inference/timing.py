"""Measurement of durations."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

RUNS = 3


def median_seconds(run: Callable[[], object]) -> float:
    """Return the median duration of `RUNS` calls; the first call of a size is slow, so warm up."""
    times = []
    for _ in range(RUNS):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)
