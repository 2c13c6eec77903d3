"""SIGINT and SIGTERM as a wish to end soon, for work that leaves something to go on with."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextlib.contextmanager
def caught_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Calls `handler` on the first SIGINT or SIGTERM; a second one ends the process as usual.

    Args:
        handler: As of `signal.signal`. In other threads than the main one it is never called.
    """

    def once(number: int, frame: FrameType | None) -> None:
        for stop_signal, previous_handler in previous.items():
            signal.signal(stop_signal, previous_handler)
        handler(number, frame)

    previous = {}
    try:
        for stop_signal in STOP_SIGNALS:
            previous[stop_signal] = signal.signal(stop_signal, once)
    except ValueError:  # not in the main thread: whoever is there has the signals
        previous = {}
    try:
        yield
    finally:
        for stop_signal, previous_handler in previous.items():
            signal.signal(stop_signal, previous_handler)
