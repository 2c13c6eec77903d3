"""Pickle reading that executes nothing."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from typing import IO, Any


class InertUnpickler(pickle.Unpickler):
    """Unpickler that resolves names to inert stand-ins and refuses all others.

    Nothing that the file refers to is ever looked up, imported or called.

    Args:
        file: The pickle.
        stand_ins: (module, name) that the pickle may refer to -> class or function in its place.
        load_external: Maps the id of an object outside the pickle to its stand-in; without it
            such ids are refused.
    """

    def __init__(
        self,
        file: IO[bytes],
        stand_ins: Mapping[tuple[str, str], Any],
        load_external: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(file, encoding="latin1")  # strings of Python 2
        self._stand_ins = stand_ins
        self._load_external = load_external

    def find_class(self, module: str, name: str) -> Any:
        """Return the stand-in; raises `pickle.UnpicklingError` for any other name."""
        if (module, name) not in self._stand_ins:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which is not array data")
        return self._stand_ins[module, name]

    def persistent_load(self, pid: Any) -> Any:
        """Return an external object's stand-in; raises `pickle.UnpicklingError` if not allowed."""
        if self._load_external is None:
            raise pickle.UnpicklingError("it refers to an object outside the file")
        return self._load_external(pid)
