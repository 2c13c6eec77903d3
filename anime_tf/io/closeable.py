"""Base class of context managers that own a resource."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Self


class Closeable(abc.ABC):
    """Context manager that returns itself and closes at the end of its block."""

    @abc.abstractmethod
    def close(self) -> None:
        """Release the resource; may be called more than once."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()
