"""A process for each way to run a network, held open while all are asked in turns.

In one process the thread pools of TensorFlow, PyTorch, ONNX Runtime and OpenVINO would disturb each
other: idle threads of one spin while another computes, and memory could not be told apart.
"""

from __future__ import annotations

import contextlib
import dataclasses
import multiprocessing
import os
import sys
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from anime_tf.errors import first_line
from benchmarks.timing import peak_memory_gib

ENOUGH_SECONDS = 0.2
"""A turn of calls lasts about so long, for quick ones: the first finds the caches cold."""

MOST_CALLS = 5
"""Calls of a turn, at most."""


@dataclasses.dataclass(frozen=True)
class Answer:
    """What a worker tells of a turn.

    Attributes:
        seconds: By the clock, of a call: the median of those of the turn.
        cpu_seconds: Of all threads of the process, of a call: their mean.
        peak_gib: The most memory that the process has held so far; None where that is unknown.
        result: The picture of the last call, where it was asked for.
    """

    seconds: float
    cpu_seconds: float
    peak_gib: float | None
    result: np.ndarray | None = None


class Worker:
    """A process that opens something that runs pictures, and is then asked to.

    Args:
        opener: Called in the process with `arguments`; returns what maps a picture to a picture.
            To be found by its name, as are the arguments' types.
        arguments: For it.
    """

    def __init__(self, opener: Callable[..., Any], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, opener, arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def opened(self) -> float:
        """Waits until it is open; returns the seconds that opening took.

        Raises:
            ValueError: It cannot be opened; the message says why.
        """
        return self._received()

    def ask(self, picture_pm1: np.ndarray, calls: int = 1, result: bool = False) -> Answer:
        """Runs a picture.

        Raises:
            ValueError: It cannot be run, or the process has ended.
        """
        with contextlib.suppress(OSError):
            self._connection.send((picture_pm1, calls, result))
        return self._received()

    def close(self) -> None:
        """Ends the process."""
        self._connection.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _received(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(5)
            raise ValueError(
                f"its process ended by itself, exit code {self._process.exitcode}: out of memory?"
            ) from None
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer


def calls_of(seconds: float) -> int:
    """How many calls a turn has, of so many seconds each."""
    return max(1, min(MOST_CALLS, round(ENOUGH_SECONDS / max(seconds, 1e-6))))


def _serve(connection: Connection, opener: Callable[..., Any], arguments: Any) -> None:
    """What the process does, until the other end is closed."""
    # The figures alone go to standard output.
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno() if _has_file(sys.stderr) else 2, 1)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        # Whatever a library raises is told to the other process, which goes on without this one.
        try:
            begun_at = time.perf_counter()
            run = opener(*arguments)
            connection.send(time.perf_counter() - begun_at)
        except Exception as error:
            connection.send(f"{type(error).__name__}: {first_line(error)}")
            return
        while True:
            picture_pm1, calls, wanted = connection.recv()
            try:
                connection.send(_timed(run, picture_pm1, calls, wanted))
            except Exception as error:
                connection.send(f"{type(error).__name__}: {first_line(error)}")
                return


def _timed(run: Any, picture_pm1: np.ndarray, calls: int, wanted: bool) -> Answer:
    seconds = []
    cpu_at = time.process_time()
    for _ in range(calls):
        begun_at = time.perf_counter()
        result = run(picture_pm1)
        seconds.append(time.perf_counter() - begun_at)
    cpu_seconds = (time.process_time() - cpu_at) / calls
    median = float(np.median(seconds))
    return Answer(median, cpu_seconds, peak_memory_gib(), result if wanted else None)


def _has_file(stream: Any) -> bool:
    try:
        return stream.fileno() >= 0
    except (AttributeError, OSError, ValueError):
        return False
