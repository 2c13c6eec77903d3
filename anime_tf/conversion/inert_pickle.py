"""Pickle reading that executes nothing."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable, Mapping
from typing import IO, Any


class _Bounded:
    """File that refuses to read more bytes than are left, before memory is taken for them."""

    def __init__(self, file: IO[bytes]) -> None:
        place = file.tell()
        self._left = file.seek(0, os.SEEK_END) - place
        file.seek(place)
        self._file = file

    def read(self, count: int = -1) -> bytes:
        if count > self._left:
            raise EOFError("cut off")
        data = self._file.read(count)
        self._left -= len(data)
        return data

    def readline(self) -> bytes:
        data = self._file.readline()
        self._left -= len(data)
        return data


# The unpickler in Python: that in C takes memory for the largest index of the memo that a file
# names, 4 billion entries at once.
class InertUnpickler(pickle._Unpickler):
    """Unpickler that resolves names to inert stand-ins and refuses all others.

    Nothing that the file refers to is ever looked up, imported or called. `stand_ins` maps a
    (module, name) that the pickle may refer to, to the class or function in its place;
    `load_external` the id of an object outside the pickle to its stand-in.
    """

    # Without the one instruction that takes memory for its declared size before it reads.
    dispatch = {  # noqa: RUF012, as in the base class
        code: function
        for code, function in pickle._Unpickler.dispatch.items()
        if code != pickle.BYTEARRAY8[0]
    }

    def __init__(
        self,
        file: IO[bytes],
        stand_ins: Mapping[tuple[str, str], Any],
        load_external: Callable[[Any], Any] | None = None,
    ) -> None:
        super().__init__(_Bounded(file), encoding="latin1")  # strings of Python 2
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
