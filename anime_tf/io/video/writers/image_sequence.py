"""A video written as numbered pictures."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from anime_tf.io.atomic import AtomicWriter, errors_naming, replace_file, temporary_path
from anime_tf.io.pictures import ALPHA_SUFFIXES, WRITABLE_SUFFIXES, Picture, write_picture
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.paths import numbered_name, sequence_folder, sequence_pattern
from anime_tf.io.video.readers.base import VideoReader
from anime_tf.io.video.writers.base import log_dropped_streams

if TYPE_CHECKING:
    import av
    import numpy as np


class ImageSequenceWriter(AtomicWriter):
    """Writes frames as pictures numbered from 1, replacing pictures of these names.

    They appear together when the block ends without an exception. The first `done` frames are
    skipped, because their pictures exist.
    """

    def __init__(self, place: str | os.PathLike[str], reader: VideoReader, done: int = 0) -> None:
        check_sequence_target(place)
        self.path = Path(place)
        self._folder, self._pattern = sequence_folder(place), sequence_pattern(place)
        self._suffix = Path(self._pattern).suffix
        self._reader = reader
        self._temporary = temporary_path(self._folder / "frames")
        self._made_folder = False
        self._count, self._done = 0, done
        for number in range(1, done + 1):
            if not self._final_path(number).is_file():
                raise ValueError(f"{self._final_path(number)}: expected a picture, got none")

    def write_frame(self, frame: Frame) -> None:
        """Write a frame of any size."""
        self._count += 1
        if self._count <= self._done:
            return
        if self._count == self._done + 1:
            log_dropped_streams(self._reader, "a folder of pictures")
            self._made_folder = not self._folder.exists()
            with errors_naming(self.path, self._temporary):
                self._temporary.mkdir(parents=True)
        picture: Picture | np.ndarray = frame.rgb_u8
        if self._suffix.lower() in ALPHA_SUFFIXES:
            picture = frame.straight(self._reader.background)
        with errors_naming(self.path, self._temporary):
            write_picture(self._temporary_path(self._count), picture)

    def write_packet(self, packet: av.Packet) -> None:
        """Ignore the packet."""

    def commit(self) -> None:
        """Move the pictures to their final names."""
        for number in range(self._done + 1, self._count + 1):
            replace_file(self._temporary_path(number), self._final_path(number), durable=False)

    def close(self) -> None:
        """Remove what was not committed."""
        if self._count <= self._done:
            return
        shutil.rmtree(self._temporary, ignore_errors=True)
        if self._made_folder:
            with contextlib.suppress(OSError):  # it is not empty
                self._folder.rmdir()

    def _temporary_path(self, number: int) -> Path:
        return self._temporary / f"{number}{self._suffix}"

    def _final_path(self, number: int) -> Path:
        return self._folder / numbered_name(self._pattern, number)


def check_sequence_target(place: str | os.PathLike[str]) -> None:
    """Check the suffix of numbered pictures without touching a file."""
    if Path(sequence_pattern(place)).suffix.lower() not in WRITABLE_SUFFIXES:
        raise ValueError(f"{place}: expected pictures as {', '.join(WRITABLE_SUFFIXES)}")
