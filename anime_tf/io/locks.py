"""Locks against a second process on one run directory, output or download."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import time
from collections.abc import Iterator
from pathlib import Path

from anime_tf.io.paths import cache_folder

_CONTENT_BYTES = 20  # largest content: a process number and the end of the line
_PAUSE = 0.1  # seconds between two tries to lock
_LOCKED_BYTE = 1 << 20  # on Windows, where locked bytes cannot be read: behind the content
_FLAGS = (
    os.O_RDWR
    | os.O_CREAT
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_BINARY", 0)
)


@contextlib.contextmanager
def locked(
    lock: Path, path: str | os.PathLike[str], verb: str = "writes", *, wait: bool = False
) -> Iterator[None]:
    """Hold a lock file, which names this process, until the block ends.

    The operating system releases the lock when its process ends, however it ends; a file that a
    killed process left is taken over.

    Args:
        lock: The lock file; its folder must exist.
        path: The locked run directory or output, for the error.
        verb: What the other process does there.
        wait: Wait for the other process.

    Raises:
        BlockingIOError: Another process holds the lock and `wait` is false; names `path` and that
            process.
    """
    while True:
        descriptor = os.open(lock, _FLAGS, 0o644)
        try:
            _acquire(descriptor)
        except BlockingIOError as error:
            if wait:
                os.close(descriptor)
                time.sleep(_PAUSE)
                continue
            os.lseek(descriptor, 0, os.SEEK_SET)
            owner = os.read(descriptor, _CONTENT_BYTES).decode("ascii", "replace").strip()
            os.close(descriptor)
            raise BlockingIOError(
                f"{os.fspath(path)}: process {owner or 'unknown'} {verb} here; wait until it ends, "
                "or choose another place"
            ) from error
        # The one before may have removed the file between our opening and locking it.
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(descriptor), os.stat(lock)):
                break
        os.close(descriptor)
    try:
        with contextlib.suppress(OSError):  # a full disk
            os.ftruncate(descriptor, 0)
            os.lseek(descriptor, 0, os.SEEK_SET)
            os.write(descriptor, b"%d\n" % os.getpid())
        yield
    finally:
        # Before closing, so that it is not the file of the next process.
        with contextlib.suppress(OSError):
            lock.unlink()
        os.close(descriptor)
        if os.name == "nt":  # only closed files can be removed; that of the next process stays
            with contextlib.suppress(OSError):
                lock.unlink()


def _acquire(descriptor: int) -> None:
    """Lock an open file; raise BlockingIOError if another process holds it."""
    try:
        import fcntl
    except ImportError:  # Windows
        import msvcrt

        os.lseek(descriptor, _LOCKED_BYTE, os.SEEK_SET)
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
        except OSError as error:
            raise BlockingIOError(errno.EAGAIN, "locked by another process") from error
    else:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextlib.contextmanager
def locked_output(output: str | os.PathLike[str]) -> Iterator[None]:
    """Lock an output, a file or a folder, which need not exist, against this user's processes."""
    name = hashlib.sha256(os.fsencode(os.path.realpath(output))).hexdigest()[:32]
    try:
        folder = cache_folder() / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError
    except OSError:  # no place for locks
        yield
        return
    with locked(folder / f"{name}.lock", output):
        yield
