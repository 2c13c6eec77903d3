"""Progress of long tasks, and lines of text beside it."""

from __future__ import annotations

import sys
import time
from typing import Any

from absl import logging
from tqdm import tqdm

INTERVAL = 30.0
"""Seconds between progress lines where stderr is no terminal."""


def is_terminal() -> bool:
    """Returns whether a person reads stderr."""
    return sys.stderr.isatty()


class Progress:
    """A progress bar on a terminal, a log line every 30 seconds elsewhere; a context manager.

    Args:
        total: Number of items; None if unknown.
        unit: Name of the items, such as "pictures".
        description: Text in front.
        done: Items done before.
    """

    def __init__(
        self, total: int | None, unit: str, description: str = "", *, done: int = 0
    ) -> None:
        self._total, self._unit, self._description = total, unit, description
        self._done = self._begun_with = done
        self._start = self._last = time.monotonic()
        self._bar = tqdm(
            total=total,
            initial=done,
            desc=description or None,
            unit=f" {unit}",
            disable=not is_terminal(),
            file=sys.stderr,
        )

    def update(self, count: int = 1) -> None:
        """Counts items that are done."""
        self._bar.update(count)
        self._done += count
        now = time.monotonic()
        if self._bar.disable and now - self._last >= INTERVAL:
            self._last = now
            rate = (self._done - self._begun_with) / (now - self._start)
            logging.info(
                "%s%d%s %s, %.3g/s",
                f"{self._description}: " if self._description else "",
                self._done,
                f" of {self._total}" if self._total else "",
                self._unit,
                rate,
            )

    def set_postfix(self, **values: Any) -> None:
        """Shows values behind the bar."""
        self._bar.set_postfix(values, refresh=False)

    def close(self) -> None:
        """Ends the bar."""
        self._bar.close()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()


def write_line(line: str) -> None:
    """Writes a line to stderr without tearing a progress bar."""
    tqdm.write(line, file=sys.stderr)
