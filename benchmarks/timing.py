"""Interleaved timing: candidates run in turn, so that other load slows all of them alike.

Figures are medians over rounds; speedups are medians of the ratios within each round.
"""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence

from anime_tf.io.terminal import Progress


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median, minimum and maximum over rounds."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Return the spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    @classmethod
    def of_ratios(cls, baseline: Sequence[float], seconds: Sequence[float]) -> Spread:
        """Return the spread of speedups over a baseline, of the rounds that both have."""
        return cls.of([x / y for x, y in zip(baseline, seconds, strict=False)])

    def __str__(self) -> str:
        median, low, high = (
            f"{value:.0f}" if value >= 100 else f"{value:.3g}"
            for value in (self.median, self.low, self.high)
        )
        return f"{median} ({low} .. {high})"


@dataclasses.dataclass
class Candidate:
    """Something to time.

    Attributes:
        measure: One of `config.MEASURES`.
        labels: Properties that distinguish it: phase, and precision or fit.
        run: Does the work of a round, given its number, and returns seconds per step. Round 0 is
            the warm-up.
        seconds: Seconds per step of each round; filled by `interleave`.
    """

    measure: str
    labels: dict[str, str]
    run: Callable[[int], float]
    seconds: list[float] = dataclasses.field(default_factory=list)


def interleave(
    candidates: Sequence[Candidate], rounds: int, save: Callable[[], None] = lambda: None
) -> None:
    """Warm up all candidates, then time them one after the other, `rounds` times.

    Args:
        candidates: In the order of a round; their `seconds` are filled.
        rounds: Rounds after the warm-up, at least 1.
        save: Called after each figure.
    """
    with Progress(len(candidates) * (rounds + 1), "runs") as progress:
        for number in range(rounds + 1):
            for candidate in candidates:
                seconds = candidate.run(number)
                if number:
                    candidate.seconds.append(seconds)
                    save()
                progress.update(" ".join([candidate.measure, *candidate.labels.values()]))
