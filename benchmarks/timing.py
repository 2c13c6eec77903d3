"""Timing in turns: what is compared is measured in one run, one after the other, again and again.

What else the machine does then slows all of them alike. Figures are medians over the turns, ratios
are medians of the ratios within each turn.
"""

from __future__ import annotations

import dataclasses
import statistics
import sys
from collections.abc import Callable, Sequence

from absl import logging
from tqdm import tqdm


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median and extremes of the turns."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        median, low, high = (
            f"{value:.0f}" if value >= 100 else f"{value:.3g}"
            for value in (self.median, self.low, self.high)
        )
        return f"{median} ({low} .. {high})"


@dataclasses.dataclass
class Contender:
    """Something that is timed in turns with others.

    Attributes:
        measure: One of `MEASURES`.
        labels: What tells it from the others: phase, and precision or fit.
        run: Does the work of a turn, given its number, and returns seconds a step. Turn 0 warms up.
        seconds: Seconds a step, turn by turn; `take_turns` fills it.
    """

    measure: str
    labels: dict[str, str]
    run: Callable[[int], float]
    seconds: list[float] = dataclasses.field(default_factory=list)

    def ratio_to(self, other: Contender) -> Spread:
        """Seconds of `other` over seconds of this one, turn by turn: above 1, this is faster."""
        pairs = zip(other.seconds, self.seconds, strict=True)
        return Spread.of([theirs / own for theirs, own in pairs])


def take_turns(contenders: Sequence[Contender], repeats: int) -> None:
    """Warms all contenders up, then times them one after the other, `repeats` times over.

    Args:
        contenders: In the order of a turn; their `seconds` are filled.
        repeats: Turns, at least 1.
    """
    runs = len(contenders) * (repeats + 1)
    with tqdm(total=runs, unit="run", disable=not sys.stderr.isatty()) as bar:
        for turn in range(repeats + 1):
            for contender in contenders:
                bar.set_postfix_str(" ".join([contender.measure, *contender.labels.values()]))
                seconds = contender.run(turn)
                if turn:
                    contender.seconds.append(seconds)
                bar.update()
            if bar.disable:
                logging.info(
                    "turn %d of %d done" if turn else "warm-up done, %d of %d turns", turn, repeats
                )


def peak_memory_gib() -> float | None:
    """The most memory that this process has held so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2 ** (30 if sys.platform == "darwin" else 20)
