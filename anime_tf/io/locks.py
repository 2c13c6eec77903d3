"""Locks against a second process on one run directory or one output."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

_CONTENT_BYTES = 20  # largest content: a process number and the end of the line


@contextlib.contextmanager
def locked(lock: Path, path: str | os.PathLike[str], verb: str = "writes") -> Iterator[None]:
    """Hold a lock file, which names this process, until the block ends.

    The operating system releases the lock when its process ends, however it ends; a file that a
    killed process left is taken over.

    Args:
        lock: The lock file; its folder must exist.
        path: The locked run directory or output, for the error.
        verb: What the other process does there.

    Raises:
        BlockingIOError: Another process holds the lock; names `path` and that process.
    """
    try:
        import fcntl
    except ImportError:  # Windows
        yield
        return
    while True:
        descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            owner = os.pread(descriptor, _CONTENT_BYTES, 0).decode("ascii", "replace").strip()
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
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, b"%d\n" % os.getpid(), 0)
        yield
    finally:
        lock.unlink(missing_ok=True)
        os.close(descriptor)


@contextlib.contextmanager
def locked_output(output: str | os.PathLike[str]) -> Iterator[None]:
    """Lock an output, a file or a folder, which need not exist, against this user's processes."""
    import platformdirs  # not for start-ups that only write files

    name = hashlib.sha256(os.fsencode(os.path.realpath(output))).hexdigest()[:32]
    try:
        folder = platformdirs.user_cache_path("anime_tf", appauthor=False, opinion=False) / "locks"
        folder.mkdir(parents=True, exist_ok=True)
        if not os.access(folder, os.W_OK):
            raise PermissionError
    except OSError:  # no place for locks
        yield
        return
    with locked(folder / f"{name}.lock", output):
        yield
