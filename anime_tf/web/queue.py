"""Admission queue bounded by number and bytes."""

from __future__ import annotations

import threading


class AdmissionQueue:
    """Admits work up to a number of items and a number of bytes; thread-safe.

    Args:
        max_items: Largest number of admitted items.
        max_bytes: Largest sum of their bytes.
    """

    def __init__(self, max_items: int, max_bytes: int) -> None:
        self._max_items, self._max_bytes = max_items, max_bytes
        self._lock = threading.Lock()
        self._items = self._bytes = 0

    def admit(self, size: int) -> Slot | None:
        """Return a slot for an item of at most `size` bytes; None if the queue is full."""
        with self._lock:
            if self._items >= self._max_items or self._bytes + size > self._max_bytes:
                return None
            self._items += 1
            self._bytes += size
        return Slot(self, size)

    def __len__(self) -> int:
        return self._items

    def _release(self, size: int) -> None:
        with self._lock:
            self._items -= 1
            self._bytes -= size


class Slot:
    """Slot of an admitted item."""

    def __init__(self, queue: AdmissionQueue, size: int) -> None:
        self._queue: AdmissionQueue | None = queue
        self._size = size
        self._lock = threading.Lock()

    def release(self) -> None:
        """Free the slot; further calls do nothing."""
        with self._lock:
            queue, self._queue = self._queue, None
        if queue is not None:
            queue._release(self._size)
