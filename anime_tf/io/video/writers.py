"""What frames are written to: the protocol of writers, and the choice of one."""

from __future__ import annotations

import os
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from absl import logging

from anime_tf.io.video.codecs import CONTAINERS, DEFAULT_CODING, Coding
from anime_tf.io.video.demux import Frame
from anime_tf.io.video.file_writer import FilmWriter
from anime_tf.io.video.readers import Source

if TYPE_CHECKING:
    import av


class Writer(AbstractContextManager["Writer", None], Protocol):
    """Takes frames and packets; a context manager.

    What it writes appears under its name when the block ends without an exception, whole; else
    nothing stays.

    Attributes:
        path: Of the file or folder. That of a file may be changed, to another name in its folder,
            until the block ends.
    """

    path: Path

    def write_frame(self, frame: Frame) -> None:
        """Writes a frame; times in the source's ticks."""

    def write_packet(self, packet: av.Packet) -> None:
        """Writes a packet as the source gave it; does nothing where there is no place for it."""


ANIMATIONS = (".gif", ".webp")
"""Suffixes of animations that are written."""


def check_target(target: str | os.PathLike[str], coding: Coding = DEFAULT_CODING) -> None:
    """Finds what is wrong with a target's kind at once; touches no file.

    Args:
        target: As of `open_writer`.
        coding: Likewise.

    Raises:
        ValueError: A kind that is not written, or that does not hold the codec.
    """
    from anime_tf.io.video.sequence import check_sequence_target, is_sequence

    path = Path(target)
    if is_sequence(target):
        check_sequence_target(target)
    elif path.suffix.lower() not in ANIMATIONS:
        if path.suffix.lower() not in CONTAINERS:
            raise ValueError(
                f"{path}: films are written as {', '.join(CONTAINERS)}, animations as "
                f"{', '.join(ANIMATIONS)}, pictures into a folder (with a slash at its end); "
                "name one of these"
            )
        coding.of(path)
        return
    if coding.codec is not None or coding.crf is not None:
        raise ValueError(f"{target}: codec and crf are for films, of which this is none")


def open_writer(
    target: str | os.PathLike[str],
    source: Source,
    coding: Coding = DEFAULT_CODING,
    *,
    preview: bool | None = False,
) -> Writer:
    """Opens what a film shall be written to.

    Args:
        target: A film, with a suffix of `codecs.CONTAINERS`; an animation, ``.gif`` or ``.webp``;
            or a folder for numbered pictures (named with a slash at its end), or their pattern
            (``out/%05d.png``). Missing folders are made.
        source: What frames and packets come from.
        coding: How pictures are coded; of no meaning for animations and pictures.
        preview: Show what is written in a window. None: only of a camera, and where there is a
            display.

    Returns:
        The writer, to be used as a context manager.

    Raises:
        ValueError: A kind that is not written, or that does not hold the codec; or a window is
            asked for where none can be shown.
    """
    # They inherit from what is above, or bring OpenCV's readers with them.
    from anime_tf.io.video.animation import AnimationWriter
    from anime_tf.io.video.sequence import SequenceWriter, is_sequence

    check_target(target, coding)
    writer: Writer
    if is_sequence(target):
        writer = SequenceWriter(target, source)
    elif Path(target).suffix.lower() in ANIMATIONS:
        writer = AnimationWriter(target, source)
    else:
        writer = FilmWriter(target, source, coding)
    return with_preview(writer, source, preview)


def with_preview(writer: Writer, source: Source, preview: bool | None) -> Writer:
    """A writer that shows what it writes, where that is wanted; arguments as of `open_writer`."""
    from anime_tf.io.video.camera import Camera, Preview, why_no_window

    if preview is None:
        preview = isinstance(source, Camera) and why_no_window() is None
    elif preview and (why := why_no_window()) is not None:
        raise ValueError(f"no window to show a preview in: {why}; use --nopreview")
    return Preview(writer, source) if preview else writer


def report_what_is_left_out(source: Source, kind: str) -> None:
    """Says in the log which streams of a source have no place in a target.

    Args:
        source: The source.
        kind: The kind of target, in words.
    """
    names = {
        "sound": len(source.sound),
        "subtitles": len(source.subtitles),
        "attachments": len(source.attachments),
    }
    there = ", ".join(f"{name} ({count})" for name, count in names.items() if count)
    if there:
        logging.info("%s: %s holds pictures alone, left out: %s", source.path, kind, there)
