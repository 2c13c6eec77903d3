"""Whole files of a case."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path


@dataclasses.dataclass(frozen=True)
class Seed:
    """Whole files: relative name -> content; `run` gets the path of the first, and may raise."""

    files: dict[str, bytes]
    run: Callable[[Path], object]
