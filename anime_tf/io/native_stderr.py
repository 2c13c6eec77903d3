"""Messages of C libraries on stderr: captured, so that they can be told with their file."""

from __future__ import annotations

import contextlib
import gc
import importlib
import os
import sys
import tempfile
import threading
from collections.abc import Iterator

_lock = threading.Lock()
_is_separate = False


def import_tensorflow() -> None:
    """Import TensorFlow, silently if TF_CPP_MIN_LOG_LEVEL is 3.

    Its C++ library writes to stderr before it reads that level; if the import fails, the messages
    are written after all. The verbs set the level; programs that use this package as a library may.
    """
    messages: list[str] = []
    is_new = "tensorflow" not in sys.modules
    is_silent = is_new and os.environ.get("TF_CPP_MIN_LOG_LEVEL") == "3"
    try:
        with _no_collection(), _redirected(messages) if is_silent else contextlib.nullcontext():
            importlib.import_module("tensorflow")
    except BaseException:
        os.write(2, "".join(f"{line}\n" for line in messages).encode())
        raise


@contextlib.contextmanager
def _no_collection() -> Iterator[None]:
    """Pause the garbage collector, a tenth of an import that makes a million objects to keep."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def separate() -> bool:
    """Give Python's stderr a descriptor of its own, as `captured` needs; return whether it is new.

    Without it, what other threads write would be captured as well.
    """
    global _is_separate
    with contextlib.suppress(AttributeError, OSError, ValueError):
        if sys.stderr.fileno() == 2:
            old = sys.stderr
            old.flush()
            sys.stderr = open(  # noqa: SIM115, open as long as the process
                os.dup(2), "w", buffering=1, encoding=old.encoding, errors=old.errors
            )
            _is_separate = True
            return True
    return False


@contextlib.contextmanager
def captured() -> Iterator[list[str]]:
    """Yield a list that has the lines of C libraries on stderr after the block.

    Empty, and the lines go to stderr, without an earlier call of `separate`. Blocks of several
    threads wait for one another.
    """
    messages: list[str] = []
    if not _is_separate:
        yield messages
        return
    with _redirected(messages):
        yield messages


@contextlib.contextmanager
def _redirected(messages: list[str]) -> Iterator[None]:
    """Add to a list what is written to file descriptor 2."""
    with _lock, contextlib.ExitStack() as stack:
        sys.stderr.flush()
        try:
            buffer = stack.enter_context(tempfile.TemporaryFile())
            stderr = os.dup(2)
        except OSError:  # no room for temporary files, or no stderr
            yield
            return
        os.dup2(buffer.fileno(), 2)
        try:
            yield
        finally:
            if not _is_separate:
                sys.stderr.flush()
            os.dup2(stderr, 2)
            os.close(stderr)
            buffer.seek(0)
            messages += buffer.read(1 << 16).decode("utf-8", "replace").splitlines()
