"""Detection of a discriminator that no longer teaches the generator anything."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

# GAN type -> D's lead over guessing as a function of d/real and d/fake: 0 if its logits are the
# same for every picture, 1 if it is always right. The Wasserstein types have no such bounds.
LEADS: dict[str, Callable[[float, float], float]] = {
    "lsgan": lambda real, fake: 1.0 - (math.sqrt(real) + math.sqrt(fake)),
    # AnimeGANv3's targets are 0.9 and 0.1
    "double_tail": lambda real, fake: 1.0 - (math.sqrt(real) + math.sqrt(fake)) / 0.8,
    "hinge": lambda real, fake: 1.0 - (real + fake) / 2.0,
    "gan": lambda real, fake: math.exp(-real) + math.exp(-fake) - 1.0,
    "dragan": lambda real, fake: math.exp(-real) + math.exp(-fake) - 1.0,
}

# D has won above this lead: G's term is at its ceiling and its gradient vanishes or no longer
# depends on the picture. D has lost below that lead: it guesses.
WON, LOST = 0.95, 0.02
MINIMUM_UPDATES = 300  # of D before a verdict: epochs of small data sets end before D can learn

# Verdict -> diagnosis and remedies.
ADVICE = {
    "won": "D tells all generated pictures apart, and G no longer learns from it; raise "
    "--training_rate or lower --d_learning_rate and --resume, or start a new run with "
    "--discriminator_dropout=0.3, --augment_resize or more style pictures",
    "lost": "D tells no pictures apart, and G does not learn from it; raise --d_learning_rate or "
    "lower --g_learning_rate or --training_rate, and --resume",
}


class CollapseDetector:
    """Watches D's terms over epochs.

    D has collapsed if the lead (`LEADS`) of the mean terms of each of `epochs` consecutive epochs
    is above `WON`, or below `LOST`, with at least `MINIMUM_UPDATES` updates of D among them.

    Args:
        gan_type: A key of `losses.adversarial.GAN_TYPES`, or "double_tail" for AnimeGANv3.
        epochs: Number of epochs; 0 switches the detection off.

    Attributes:
        lead: Lead of the last epoch; None if there is none.
    """

    def __init__(self, gan_type: str, epochs: int) -> None:
        self.lead: float | None = None
        self._lead = LEADS.get(gan_type)
        self._epochs = epochs
        self._rows: list[tuple[float, float]] = []
        self._verdict: str | None = None
        self._streak, self._updates = 0, 0

    def add(self, losses: Mapping[str, float]) -> None:
        """Add a step's losses; steps without d/real and d/fake are ignored."""
        if "d/real" in losses and "d/fake" in losses:
            self._rows.append((losses["d/real"], losses["d/fake"]))

    def end_epoch(self) -> str | None:
        """End an epoch; return a key of `ADVICE` if D has collapsed, else None."""
        rows, self._rows = self._rows, []
        self.lead = None
        if rows and self._lead is not None:
            real, fake = (sum(column) / len(rows) for column in zip(*rows, strict=True))
            self.lead = self._lead(real, fake)
        verdict = None
        if self.lead is not None:
            verdict = "won" if self.lead > WON else "lost" if self.lead < LOST else None
        if verdict != self._verdict:
            self._verdict, self._streak, self._updates = verdict, 0, 0
        self._streak += 1
        self._updates += len(rows)
        is_over = 0 < self._epochs <= self._streak and self._updates >= MINIMUM_UPDATES
        return verdict if is_over else None
