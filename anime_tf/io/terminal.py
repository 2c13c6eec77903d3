"""Progress of long tasks, and lines of text beside it."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

from absl import logging
from tqdm import tqdm

from anime_tf.errors import printable
from anime_tf.io.closeable import Closeable

INTERVAL = 30.0  # seconds between progress lines where stderr is no terminal

_Item = TypeVar("_Item")


def is_terminal() -> bool:
    """Return whether stderr is a terminal."""
    return sys.stderr.isatty()


class Progress(Closeable):
    """A progress bar on a terminal, a log line every 30 seconds elsewhere; a context manager.

    Args:
        total: Number of items; None if unknown.
        unit: Name of the items, such as "pictures".
        description: Text in front.
        done: Number of items done before.
        clock: Returns seconds.
    """

    def __init__(
        self,
        total: int | None,
        unit: str,
        description: str = "",
        *,
        done: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._total, self._unit, self._description = total, unit, description
        self._done = self._done_before = done
        self._postfix, self._clock = "", clock
        self._start = self._last = clock()
        self._bar: Any = tqdm(
            total=total,
            initial=done,
            desc=description or None,
            unit=f" {unit}",
            disable=not is_terminal(),
            file=sys.stderr,
        )

    def update(self, postfix: str = "") -> None:
        """Count one more item, and show a text behind the count."""
        self._done += 1
        if not self._bar.disable:
            self._bar.set_postfix_str(postfix, refresh=False)
            self._bar.update()
            return
        now = self._clock()
        if now - self._last >= INTERVAL:
            self._last = now
            rate = (self._done - self._done_before) / (now - self._start)
            count = f"{self._done} of {self._total}" if self._total else str(self._done)
            parts = (f"{count} {self._unit}", f"{rate:.3g}/s", postfix)
            prefix = f"{self._description}: " if self._description else ""
            logging.info("%s%s", prefix, ", ".join(filter(None, parts)))

    def track(self, items: Iterable[_Item]) -> Iterator[_Item]:
        """Yield items, count them, and end the bar after the last one."""
        with self:
            for item in items:
                yield item
                self.update()

    def close(self) -> None:
        """End the bar."""
        self._bar.close()


def write_line(line: str) -> None:
    """Write a line to stderr without tearing a progress bar."""
    tqdm.write(printable(line), file=sys.stderr)


def bar_cleared() -> AbstractContextManager[None]:
    """Clear a progress bar while the block writes to stderr."""
    return tqdm.external_write_mode(file=sys.stderr)
