"""What frames are written to: the protocol of writers, and the choice of one."""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Protocol

from anime_tf.data.films import Frame
from anime_tf.video.codecs import DEFAULT_CODING, Coding
from anime_tf.video.sources import Source
from anime_tf.video.writer import FilmWriter

if TYPE_CHECKING:
    import av


class Writer(Protocol):
    """Takes frames and packets; a context manager.

    What it writes appears under its name when the block ends without an exception, whole; else
    nothing stays.

    Attributes:
        path: Of the file or folder.
    """

    path: Path

    def write_frame(self, frame: Frame) -> None:
        """Writes a frame; times in the source's ticks."""

    def write_packet(self, packet: av.Packet) -> None:
        """Writes a packet as the source gave it; does nothing where there is no place for it."""

    def __enter__(self) -> Writer:
        """Itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Finishes what is written, or removes it."""


def check_target(target: str | os.PathLike[str], coding: Coding = DEFAULT_CODING) -> None:
    """Finds what is wrong with a target's kind at once; touches no file.

    Args:
        target: As of `open_writer`.
        coding: Likewise.

    Raises:
        ValueError: A kind that is not written, or that does not hold the codec.
    """
    coding.of(Path(target))


def open_writer(
    target: str | os.PathLike[str], source: Source, coding: Coding = DEFAULT_CODING
) -> Writer:
    """Opens what a film shall be written to.

    Args:
        target: A film, with a suffix of `codecs.CONTAINERS`; an animation, ``.gif`` or ``.webp``;
            or a folder for numbered pictures (named with a slash at its end), or their pattern
            (``out/%05d.png``). Missing folders are made.
        source: What frames and packets come from.
        coding: How pictures are coded; of no meaning for animations and pictures.

    Returns:
        The writer, to be used as a context manager.

    Raises:
        ValueError: A kind that is not written, or that does not hold the codec.
    """
    check_target(target, coding)
    return FilmWriter(target, source, coding)
