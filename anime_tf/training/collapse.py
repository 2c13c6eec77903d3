"""When a discriminator teaches the generator nothing any more: a plain rule."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

LEADS: dict[str, Callable[[float, float], float]] = {
    "lsgan": lambda real, fake: 1.0 - (math.sqrt(real) + math.sqrt(fake)),
    "hinge": lambda real, fake: 1.0 - (real + fake) / 2.0,
    "gan": lambda real, fake: math.exp(-real) + math.exp(-fake) - 1.0,
    "dragan": lambda real, fake: math.exp(-real) + math.exp(-fake) - 1.0,
}
"""GAN type -> how far D is ahead of guessing, given d/real and d/fake: 0 where it says the same of
every picture, whatever that is, 1 where it is always right. The Wasserstein types have no such
bounds: their D is meant to be trained until it cannot do better."""

WON, LOST = 0.95, 0.02
"""A lead of more is a D that is right about everything: G's term is then at its ceiling, and its
gradient is the same whatever G draws, or none. A lead of less is a D that guesses."""

UPDATES = 300
"""Updates of D that a verdict needs at least: epochs of small data sets are over before D can have
learnt anything."""

ADVICE = {
    "won": "D tells all generated pictures apart, and G learns nothing from it any more; raise "
    "--training_rate or lower --d_learning_rate and --resume, or begin anew with "
    "--discriminator_dropout=0.3, --augment_resize or more style pictures",
    "lost": "D tells nothing apart, and G learns nothing from it; raise --d_learning_rate or "
    "lower --g_learning_rate or --training_rate, and --resume",
}
"""What can be done."""


class CollapseWatch:
    """Looks at D's terms, epoch by epoch.

    The rule: the lead (`LEADS`) of an epoch's mean terms was above `WON` in each of so many
    epochs, one after the other, or below `LOST` in each, and D was updated `UPDATES` times in them.

    Args:
        gan_type: A key of `losses.adversarial.GAN_TYPES`.
        epochs: How many; 0 for never.

    Attributes:
        lead: That of the epoch that ended last; None where there is none.
    """

    def __init__(self, gan_type: str, epochs: int) -> None:
        self.lead: float | None = None
        self._lead_of = LEADS.get(gan_type)
        self._epochs = epochs
        self._rows: list[tuple[float, float]] = []
        self._verdict: str | None = None
        self._streak, self._updates = 0, 0

    def add(self, losses: Mapping[str, float]) -> None:
        """Takes a step's losses; a step without d/real and d/fake counts for nothing."""
        if "d/real" in losses and "d/fake" in losses:
            self._rows.append((losses["d/real"], losses["d/fake"]))

    def end_epoch(self) -> str | None:
        """Ends an epoch.

        Returns:
            A key of `ADVICE` if D has collapsed by now, else None.
        """
        rows, self._rows = self._rows, []
        self.lead = None
        if rows and self._lead_of is not None:
            real, fake = (sum(column) / len(rows) for column in zip(*rows, strict=True))
            self.lead = self._lead_of(real, fake)
        verdict = None
        if self.lead is not None:
            verdict = "won" if self.lead > WON else "lost" if self.lead < LOST else None
        if verdict != self._verdict:
            self._verdict, self._streak, self._updates = verdict, 0, 0
        self._streak += 1
        self._updates += len(rows)
        is_over = 0 < self._epochs <= self._streak and self._updates >= UPDATES
        return verdict if is_over else None
