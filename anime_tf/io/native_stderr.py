"""Import of TensorFlow without its startup messages."""

from __future__ import annotations

import contextlib
import importlib
import os
import sys
import tempfile
from collections.abc import Iterator


def import_tensorflow() -> None:
    """Import TensorFlow, silently if TF_CPP_MIN_LOG_LEVEL is 3.

    Its C++ library writes to stderr before it reads that level, so file descriptor 2 is redirected
    meanwhile; if the import fails, the messages are written after all. The verbs set the level;
    programs that use this package as a library may.
    """
    if "tensorflow" in sys.modules or os.environ.get("TF_CPP_MIN_LOG_LEVEL") != "3":
        importlib.import_module("tensorflow")
        return
    with _redirected_stderr():
        importlib.import_module("tensorflow")


@contextlib.contextmanager
def _redirected_stderr() -> Iterator[None]:
    """Discard what is written to file descriptor 2, unless the block raises."""
    sys.stderr.flush()
    with contextlib.ExitStack() as stack:
        try:
            buffer = stack.enter_context(tempfile.TemporaryFile())
            stderr = os.dup(2)
        except OSError:  # no room for temporary files, or no stderr
            yield
            return
        os.dup2(buffer.fileno(), 2)
        messages = b""
        try:
            yield
        except BaseException:
            buffer.seek(0)
            messages = buffer.read()
            raise
        finally:
            sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            os.write(2, messages)
