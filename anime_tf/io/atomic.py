"""Atomic writing: a file or a folder appears under its name whole, or not at all.

Everything is written to a hidden name beside the final one, flushed to the disk and renamed. All
such names come from `temporary_path`.
"""

from __future__ import annotations

import abc
import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

from anime_tf.io.closeable import Closeable
from anime_tf.io.leftovers import OLD, sweep_once, temporary_name


class AtomicWriter(Closeable):
    """Commits the output if its block ends without an exception; always closes."""

    @abc.abstractmethod
    def commit(self) -> None:
        """Move what was written, if anything, to its final name."""

    def __exit__(self, *error: object) -> None:
        try:
            if error[0] is None:
                self.commit()
        finally:
            self.close()


def temporary_path(path: str | os.PathLike[str], suffix: str = ".tmp") -> Path:
    """Return a hidden name beside `path` that nothing has; removes what killed processes left."""
    path = Path(path)
    sweep_once(path.parent)
    # In the same folder, because os.replace works only within one file system.
    return path.with_name(temporary_name(path.name, suffix))


def replace_file(temporary: Path, path: str | os.PathLike[str], *, durable: bool = True) -> None:
    """Rename a finished file; an existing `path` is replaced.

    Args:
        temporary: The file, in the same folder.
        path: Its final name.
        durable: Flush file and folder to the disk, so that a power loss leaves the old file or the
            new one. It takes 10 ms; results that a second run makes again go without.
    """
    if durable:
        sync(temporary)
    os.replace(temporary, path)
    if durable:
        sync(Path(path).parent)


def write_bytes(path: str | os.PathLike[str], data: bytes, *, durable: bool = True) -> None:
    """Write a file atomically; see `atomic_file`."""
    with atomic_file(path, durable=durable) as temporary, open(temporary, "xb") as file:
        file.write(data)


@contextlib.contextmanager
def atomic_file(
    path: str | os.PathLike[str], suffix: str = ".tmp", *, durable: bool = True
) -> Iterator[Path]:
    """Yield a temporary name to write a file to, and rename it when the block ends.

    Nothing appears if the block raises, or if it removes the temporary file itself.

    Args:
        path: The file; an existing one is replaced. Its folder must exist.
        suffix: Suffix of the temporary name, for writers that insist on one.
        durable: As of `replace_file`.

    Raises:
        OSError: As the block raises it (disk full, no permission), but naming `path`.
    """
    temporary = temporary_path(path, suffix)
    with errors_naming(path, temporary):
        try:
            yield temporary
            if temporary.exists():
                replace_file(temporary, path, durable=durable)
        finally:
            temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def atomic_folder(
    path: str | os.PathLike[str], *, replace: bool = False, durable: bool = True
) -> Iterator[Path]:
    """Yield a new temporary folder, and rename it when the block ends.

    Nothing appears if the block raises, or if it removes the temporary folder itself.

    Args:
        path: The folder; missing parents are made.
        replace: Replace an existing folder, even if it holds something.
        durable: As of `replace_file`, for every file in it.

    Raises:
        OSError: `path` holds something and `replace` is not set; or as of `atomic_file`.
    """
    path = Path(path)
    final = path.resolve()  # a link keeps pointing at the folder
    temporary = temporary_path(final)
    with errors_naming(path, temporary):
        try:
            temporary.mkdir(parents=True)
            yield temporary
            if temporary.exists():
                _replace_folder(temporary, final, replace, durable)
        finally:
            shutil.rmtree(temporary, ignore_errors=True)


def _replace_folder(temporary: Path, final: Path, replace: bool, durable: bool) -> None:
    for parent, _, files in os.walk(temporary, topdown=False) if durable else ():
        for name in files:
            sync(Path(parent, name))
        sync(Path(parent))
    previous = None
    if replace and final.exists():
        previous = temporary_path(final, OLD)
        os.rename(final, previous)
    try:
        os.rename(temporary, final)
    except BaseException:
        if previous is not None:
            os.rename(previous, final)
        raise
    if durable:
        sync(final.parent)
    if previous is not None:
        shutil.rmtree(previous, ignore_errors=True)


@contextlib.contextmanager
def errors_naming(path: str | os.PathLike[str], temporary: Path) -> Iterator[None]:
    """Re-raise an `OSError` about a temporary name, or about no name, as one about `path`."""
    try:
        yield
    except OSError as error:
        name = os.fspath(path)
        told = str(temporary) if error.filename is None else os.fsdecode(error.filename)
        if str(temporary) not in told:
            raise
        if error.errno is None:
            raise OSError(f"{name}: {str(error).replace(str(temporary), name)}") from error
        reason = error.strerror or str(error)
        raise OSError(error.errno, reason, told.replace(str(temporary), name)) from error


def sync(path: Path) -> None:
    """Flush a file or a folder to the disk; a no-op for folders on Windows."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY if os.name != "nt" else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
