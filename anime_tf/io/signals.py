"""SIGINT and SIGTERM as a request to stop, for work that can be resumed."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Callable, Iterator
from types import FrameType


@contextlib.contextmanager
def caught_signals(handler: Callable[[int, FrameType | None], object]) -> Iterator[None]:
    """Call a handler on the first SIGINT or SIGTERM; a second one ends the process as usual.

    `handler` is as of `signal.signal`, and called in the main thread only.
    """

    def once(number: int, frame: FrameType | None) -> None:
        for stop_signal, previous_handler in previous.items():
            signal.signal(stop_signal, previous_handler)
        handler(number, frame)

    previous = {}
    try:
        for stop_signal in (signal.SIGINT, signal.SIGTERM):
            previous[stop_signal] = signal.signal(stop_signal, once)
    except ValueError:  # not in the main thread, which alone gets signals
        previous = {}
    try:
        yield
    finally:
        for stop_signal, previous_handler in previous.items():
            signal.signal(stop_signal, previous_handler)
