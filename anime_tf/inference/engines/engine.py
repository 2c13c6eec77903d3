"""Protocol of engines, which run a generator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np


class Engine(Protocol):
    """A generator ready to run; thread-safe."""

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Run the network on (n, height, width, 3) float32 RGB in [-1, 1], any size from 1x1 on.

        Returns the same shape, dtype and range.

        Raises:
            MemoryError: The device has not enough memory for pictures of this size.
            ValueError: The runtime cannot run pictures of this number and size.
        """


@dataclass(frozen=True)
class EngineConfig:
    """Runtime, a key of `factory.ENGINES`, and number type of a network."""

    engine: str
    precision: str = "float32"

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"
