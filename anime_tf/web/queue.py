"""Queues that are fair between clients."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

_Result = TypeVar("_Result")


class AdmissionQueue:
    """Admits work up to a number of items and a number of bytes; thread-safe.

    Args:
        max_items: Largest number of admitted items.
        max_bytes: Largest sum of their bytes.
        shared: Whether one client may take only three quarters of both.
    """

    def __init__(self, max_items: int, max_bytes: int, *, shared: bool = False) -> None:
        self._most = (max_items, max_bytes)
        self._most_of_one = share(max_items, shared), share(max_bytes, shared)
        self._lock = threading.Lock()
        self._admitted: list[tuple[str, int]] = []

    def admit(self, client: str, size: int) -> Callable[[], None] | None:
        """Admit an item of at most `size` bytes; None if the queue is full.

        Returns:
            A function that frees its place; further calls do nothing.
        """
        item = (client, size)
        with self._lock:
            sizes = [other for _, other in self._admitted]
            own = [other for name, other in self._admitted if name == client]
            if not _fits(size, sizes, self._most) or (
                own and not _fits(size, own, self._most_of_one)
            ):
                return None
            self._admitted.append(item)
        freed = threading.Event()

        def free() -> None:
            with self._lock:
                if not freed.is_set():
                    freed.set()
                    self._admitted.remove(item)

        return free

    def __len__(self) -> int:
        return len(self._admitted)


def share(most: int, shared: bool) -> int:
    """Return the part of a limit that one client may take: all, or three quarters if shared."""
    return most - most // 4 if shared else most


def _fits(size: int, taken: list[int], most: tuple[int, int]) -> bool:
    return len(taken) < most[0] and sum(taken) + size <= most[1]


class FairExecutor:
    """Runs calls on threads; the clients with waiting calls take turns.

    Args:
        threads: Number of threads.
        name: Their name.
    """

    def __init__(self, threads: int, name: str) -> None:
        self._executor = ThreadPoolExecutor(threads, name)
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[tuple[Future[Any], Callable[[], Any]]]] = {}

    def submit(self, client: str, call: Callable[[], _Result]) -> Future[_Result]:
        """Run a call of a client in the background."""
        future: Future[_Result] = Future()
        with self._lock:
            self._waiting.setdefault(client, deque()).append((future, call))
        self._executor.submit(self._run_next)
        return future

    def shutdown(self) -> None:
        """Drop the waiting calls, and wait for the running ones."""
        with self._lock:
            waiting = [future for calls in self._waiting.values() for future, _ in calls]
            self._waiting.clear()
        for future in waiting:
            future.cancel()
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _run_next(self) -> None:
        with self._lock:
            if not self._waiting:  # dropped
                return
            client = next(iter(self._waiting))
            calls = self._waiting.pop(client)
            future, call = calls.popleft()
            if calls:
                self._waiting[client] = calls  # behind the others
        if not future.set_running_or_notify_cancel():
            return
        try:
            result = call()
        except BaseException as error:
            future.set_exception(error)
        else:
            future.set_result(result)
