"""TensorFlow, imported without its chatter."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator


def import_tensorflow() -> None:
    """Imports TensorFlow; its C++ side is silent if the process has set its log level to 3.

    While it is loaded, that side writes to stderr before it reads its log level,
    TF_CPP_MIN_LOG_LEVEL, so the file descriptor is set aside meanwhile; what was written is given
    out after all if the import fails. The verbs set the level, a program that uses this package
    as a library may.
    """
    if "tensorflow" in sys.modules or os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        importlib.import_module("tensorflow")
        return
    with _stderr_set_aside():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _stderr_set_aside() -> Iterator[None]:
    """Holds back what is written to file descriptor 2; gives it out if the block raises."""
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        try:
            aside = stack.enter_context(tempfile.TemporaryFile())
            kept = os.dup(2)
        except OSError:  # no room for temporary files, or no stderr: nothing is held back
            yield
            return
        os.dup2(aside.fileno(), 2)
        try:
            yield
        except BaseException:
            _restore(kept)
            aside.seek(0)
            os.write(2, aside.read())
            raise
        _restore(kept)


def _restore(descriptor: int) -> None:
    sys.stderr.flush()
    os.dup2(descriptor, 2)
    os.close(descriptor)
