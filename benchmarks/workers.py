"""Worker processes: one for each way to run a network.

In one process the thread pools of TensorFlow, PyTorch, ONNX Runtime and OpenVINO would disturb each
other: idle threads of one spin while another computes, and their memory could not be told apart.
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
from benchmarks.machine import peak_memory_gib

ROUND_SECONDS = 0.2
"""Duration of a round of fast calls: the first one starts with cold caches."""

MAX_CALLS = 5
"""Most calls of a round."""


@dataclasses.dataclass(frozen=True)
class Timing:
    """Timing of a round.

    Attributes:
        seconds: Median wall-clock time of a call.
        cpu_seconds: Mean CPU time of a call, of all threads.
        peak_gib: Peak memory of the process so far; None if unknown.
        result: Result of the last call, if requested.
    """

    seconds: float
    cpu_seconds: float
    peak_gib: float | None
    result: np.ndarray | None = None


class Worker:
    """A process that creates a function of a picture and runs it on request.

    Args:
        factory: Called in the process with `arguments`; returns the function. Importable by name.
        arguments: Picklable.
    """

    def __init__(self, factory: Callable[..., Any], *arguments: Any) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, factory, arguments), daemon=True
        )
        self._process.start()
        theirs.close()

    def wait_until_open(self) -> float:
        """Wait for the function and return the seconds that the factory took.

        Raises:
            ValueError: The factory failed.
        """
        return self._receive()

    def run(self, picture_pm1: np.ndarray, calls: int = 1, result: bool = False) -> Timing:
        """Run a picture several times.

        Raises:
            ValueError: The function failed, or the process has ended.
        """
        with contextlib.suppress(OSError):
            self._connection.send((picture_pm1, calls, result))
        return self._receive()

    def close(self) -> None:
        """End the process."""
        self._connection.close()
        self._process.join(5)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()

    def _receive(self) -> Any:
        try:
            answer = self._connection.recv()
        except (EOFError, OSError):
            self._process.join(5)
            raise ValueError(
                f"the process ended with exit code {self._process.exitcode}: out of memory?"
            ) from None
        if isinstance(answer, str):
            raise ValueError(answer)
        return answer


def calls_per_round(seconds: float) -> int:
    """Return the number of calls in a round if each takes so many seconds."""
    return max(1, min(MAX_CALLS, round(ROUND_SECONDS / max(seconds, 1e-6))))


def _serve(connection: Connection, factory: Callable[..., Any], arguments: Any) -> None:
    """Serve requests until the other end is closed."""
    # Standard output is for the figures alone.
    sys.stdout.flush()
    os.dup2(sys.stderr.fileno() if _has_file(sys.stderr) else 2, 1)
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with contextlib.suppress(EOFError, OSError, KeyboardInterrupt):
        # Any error of a library is reported to the other process, which continues without this one.
        try:
            start = time.perf_counter()
            run = factory(*arguments)
            connection.send(time.perf_counter() - start)
            while True:
                request = connection.recv()
                connection.send(_time(run, *request))
        except Exception as error:  # fails again, silently, if the other end is closed
            connection.send(f"{type(error).__name__}: {first_line(error)}")


def _time(run: Any, picture_pm1: np.ndarray, calls: int, wanted: bool) -> Timing:
    seconds = []
    cpu_start = time.process_time()
    for _ in range(calls):
        start = time.perf_counter()
        result = run(picture_pm1)
        seconds.append(time.perf_counter() - start)
    cpu_seconds = (time.process_time() - cpu_start) / calls
    median = float(np.median(seconds))
    return Timing(median, cpu_seconds, peak_memory_gib(), result if wanted else None)


def _has_file(stream: Any) -> bool:
    try:
        return stream.fileno() >= 0
    except (AttributeError, OSError, ValueError):
        return False
