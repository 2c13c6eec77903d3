"""Frame times in the chunks of an animated WebP, which FFmpeg neither reads nor writes whole."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from anime_tf.io.plain_file import open_plain_file

_ANIMATED = 0x02  # flag of the VP8X chunk


def is_animated_webp(path: str | os.PathLike[str]) -> bool:
    """Tell whether a file is an animated WebP; False if there is no such file."""
    try:
        with open_plain_file(path, "a video") as file:
            head = file.read(21)
    except (OSError, ValueError):
        return False
    return (
        len(head) == 21
        and head[:4] == b"RIFF"
        and head[8:16] == b"WEBPVP8X"
        and bool(head[20] & _ANIMATED)
    )


def read_frame_times(path: str | os.PathLike[str]) -> tuple[tuple[int, int], list[int]]:
    """Return the height and width, and the duration of each frame in milliseconds."""
    size_hw, durations = (1, 1), []
    with open_plain_file(path, "an animated WebP") as file:
        for name, _, head in _chunks(file):
            if name == b"VP8X" and len(head) >= 10:
                width = 1 + int.from_bytes(head[4:7], "little")
                size_hw = (1 + int.from_bytes(head[7:10], "little"), width)
            elif name == b"ANMF" and len(head) >= 15:
                durations.append(int.from_bytes(head[12:15], "little"))
    return size_hw, durations


def set_end(path: Path, end: int) -> None:
    """Set the end of the last frame, in milliseconds, which FFmpeg guesses."""
    with open(path, "r+b") as file:
        frames = [
            (offset, int.from_bytes(head[12:15], "little"))
            for name, offset, head in _chunks(file)
            if name == b"ANMF"
        ]
        if frames:  # a single frame is not stored as an animation
            start = sum(duration for _, duration in frames[:-1])
            file.seek(frames[-1][0] + 12)
            file.write(min(max(1, end - start), 2**24 - 1).to_bytes(3, "little"))


def add_chunk(path: Path, name: bytes, data: bytes) -> None:
    """Add a chunk at the end; readers ignore those whose name they do not know."""
    with open(path, "r+b") as file:
        file.seek(0, os.SEEK_END)
        file.write(name + struct.pack("<I", len(data)) + data + b"\0" * (len(data) % 2))
        end = file.tell()
        file.seek(4)
        file.write(struct.pack("<I", end - 8))


def _chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, bytes]]:
    """Yield name, offset and the first 16 bytes of each chunk."""
    offset = 12
    while True:
        file.seek(offset)
        head = file.read(24)
        if len(head) < 8:
            return
        name, size = struct.unpack("<4sI", head[:8])
        yield name, offset + 8, head[8:]
        offset += 8 + size + size % 2
