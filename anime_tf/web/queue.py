"""The line that pictures stand in: so many at once, and so many bytes, and no more."""

from __future__ import annotations

import threading


class Line:
    """Counts what is inside, and lets in what there is room for; for several threads.

    Args:
        places: How many may be inside at once.
        most_bytes: How much they may hold together.
    """

    def __init__(self, places: int, most_bytes: int) -> None:
        self._places, self._bytes = places, most_bytes
        self._lock = threading.Lock()
        self._inside = 0
        self._held = 0

    def enter(self, size: int) -> Place | None:
        """Takes a place.

        Args:
            size: The most bytes that it will hold.

        Returns:
            The place, to be left once; None where there is no room now.
        """
        with self._lock:
            if self._inside >= self._places or self._held + size > self._bytes:
                return None
            self._inside += 1
            self._held += size
        return Place(self, size)

    @property
    def inside(self) -> int:
        """How many are inside."""
        return self._inside

    def _leave(self, size: int) -> None:
        with self._lock:
            self._inside -= 1
            self._held -= size


class Place:
    """A place in a `Line`.

    Args:
        line: The line.
        size: The bytes that are counted for it.
    """

    def __init__(self, line: Line, size: int) -> None:
        self._line: Line | None = line
        self._size = size
        self._lock = threading.Lock()

    def leave(self) -> None:
        """Gives the place back; a second call does nothing."""
        with self._lock:
            line, self._line = self._line, None
        if line is not None:
            line._leave(self._size)
