"""Opening of files from outside: plain files alone, without blocking, up to a size.

A named pipe would block a plain `open` for ever, a device or a sparse file would fill the memory.
"""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path
from typing import BinaryIO

MAX_PICTURE_BYTES = 1 << 31  # more than `pictures.MAX_PIXELS` need in 16-bit RGBA, uncompressed
MAX_WEIGHTS_BYTES = 1 << 32  # seven times the largest published file, VGG-19's
MAX_TEXT_BYTES = 1 << 26  # configs, records, lists

_KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


def check_plain_file(
    path: str | os.PathLike[str], expected: str, max_bytes: int | None = None
) -> None:
    """Check a file that a library opens by its name; see `open_plain_file`."""
    _check(os.fspath(path), _stat(path, expected), expected, max_bytes)


def open_plain_file(
    path: str | os.PathLike[str], expected: str, max_bytes: int | None = None
) -> BinaryIO:
    """Open a plain file for reading; links are followed.

    Args:
        path: The file.
        expected: Description of the file in errors, such as "a picture file".
        max_bytes: Largest size; None for any.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is a folder, a named pipe, a socket or a device, or too large.
        OSError: It cannot be opened: no permission, a loop of links.
    """
    check_plain_file(path, expected, max_bytes)  # before opening, which can act on devices
    flags = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags | getattr(os, "O_CLOEXEC", 0))
    try:
        # Again, because the name may mean another file by now.
        _check(os.fspath(path), os.fstat(descriptor), expected, max_bytes)
        return os.fdopen(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def read_plain_file(
    path: str | os.PathLike[str], expected: str, max_bytes: int = MAX_TEXT_BYTES
) -> bytes:
    """Read a whole plain file; see `open_plain_file`."""
    with open_plain_file(path, expected, max_bytes) as file:
        data = file.read(max_bytes + 1)
    if len(data) > max_bytes:  # it grew, or its system states no size
        raise _too_large(os.fspath(path), expected, max_bytes, f"more than {max_bytes:,}")
    return data


def _stat(path: str | os.PathLike[str], expected: str) -> os.stat_result:
    try:
        return os.stat(path)
    except OSError as error:
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            raise
        name = os.fspath(path)
        if Path(path).is_symlink():
            raise FileNotFoundError(
                f"{name}: expected {expected}, got a link to nothing"
            ) from error
        raise FileNotFoundError(f"{name}: no such file or folder; expected {expected}") from error


def _check(name: str, status: os.stat_result, expected: str, max_bytes: int | None) -> None:
    kind = stat.S_IFMT(status.st_mode)
    if kind != stat.S_IFREG:
        raise ValueError(f"{name}: expected {expected}, got {_KINDS.get(kind, 'another kind')}")
    if max_bytes is not None and status.st_size > max_bytes:
        raise _too_large(name, expected, max_bytes, f"{status.st_size:,}")


def _too_large(name: str, expected: str, max_bytes: int, found: str) -> ValueError:
    return ValueError(f"{name}: expected {expected} of at most {max_bytes:,} bytes, got {found}")
