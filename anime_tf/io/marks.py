"""Mark of this program's outputs. Files without it are replaced only on request."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from anime_tf.io import kinds

MARK = "anime_tf"
"""EXIF tag "Software" of pictures, tag "encoder" of videos, comment of GIF files."""

SOFTWARE = 305  # tag of TIFF and EXIF
SOFTWARE_TEXT = MARK.encode() + b"\0"  # its value, of odd length
_SEARCHED_BYTES = 4096  # at each end of a file: tags stand before the pixels, or behind them


def software_entry(order: str, offset: int) -> bytes:
    """Return the entry of a TIFF directory for `SOFTWARE_TEXT`, which stands at `offset`."""
    return struct.pack(order + "HHII", SOFTWARE, 2, len(SOFTWARE_TEXT), offset)


def exif() -> np.ndarray:
    """Return an EXIF block with the mark, uint8."""
    directory = struct.pack(">H", 1) + software_entry(">", 8 + 2 + 12 + 4) + bytes(4)
    return np.frombuffer(b"MM\0*\0\0\0\x08" + directory + SOFTWARE_TEXT, np.uint8)


def is_foreign(path: Path) -> bool:
    """Tell whether a file is a picture or a video that other programs wrote.

    False for other files, missing and empty ones included.
    """
    try:
        with open(path, "rb") as file:
            head = file.read(_SEARCHED_BYTES)
            file.seek(max(0, os.fstat(file.fileno()).st_size - _SEARCHED_BYTES))
            tail = file.read(_SEARCHED_BYTES)
    except OSError:
        return False
    if any(SOFTWARE_TEXT in part for part in (head, tail)) or not kinds.is_picture_or_video(head):
        return False
    return kinds.readable_format(head) is not None or not _is_marked_video(path)


def _is_marked_video(path: Path) -> bool:
    import av

    from anime_tf.io.video.ffmpeg import open_input

    try:
        with open_input(path) as container:
            tags = [value for one in container.streams for value in one.metadata.values()]
    except (ValueError, OSError, av.FFmpegError):
        return False
    return MARK in tags


def check_replaceable(paths: Iterable[Path]) -> None:
    """Raise FileExistsError if a picture or a video that other programs wrote has such a path."""
    foreign = [path for path in paths if path.is_file() and is_foreign(path)]
    if foreign:
        more = f" (and {len(foreign) - 1} more)" if len(foreign) > 1 else ""
        raise FileExistsError(
            f"{foreign[0]}{more}: expected a new output or an earlier one of anime-tf, got another "
            'file; put a pattern of inputs such as "*.jpg" in double quotes, or replace the file '
            "by --output="
        )
