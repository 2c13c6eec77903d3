"""Pickles, read without executing anything that they ask for."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import IO, Any

Known = Mapping[tuple[str, str], Any]
"""(module, name) that a pickle may ask for -> the class or function of ours that stands for it."""


class InertUnpickler(pickle.Unpickler):
    """Reads a pickle whose names resolve to inert stand-ins; all others are refused by name.

    Nothing that the file asks for is ever looked up, imported or called.

    Args:
        file: The pickle.
        known: What it may ask for.
        stored: What stands for objects that the pickle refers to outside of itself, given their
            id; without it such a reference is refused.
        encoding: Of strings of Python 2.
    """

    def __init__(
        self,
        file: IO[bytes],
        known: Known,
        stored: Callable[[Any], Any] | None = None,
        encoding: str = "latin1",
    ) -> None:
        super().__init__(file, encoding=encoding)
        self._known = known
        self._stored = stored

    def find_class(self, module: str, name: str) -> Any:
        """The stand-in; raises `pickle.UnpicklingError` where there is none."""
        if (module, name) not in self._known:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not array data")
        return self._known[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """The stand-in of an object outside; raises `pickle.UnpicklingError` where none may be."""
        if self._stored is None:
            raise pickle.UnpicklingError("it refers to an object outside the file")
        return self._stored(pid)
