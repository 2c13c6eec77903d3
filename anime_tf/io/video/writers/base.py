"""Protocol of video writers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from absl import logging

from anime_tf.io.video.frames import Frame, ffmpeg_errors
from anime_tf.io.video.readers.base import VideoReader

if TYPE_CHECKING:
    import av


class VideoWriter(AbstractContextManager["VideoWriter", None], Protocol):
    """Writes frames and packets; the output appears whole at the end of the block, or not at all.

    Attributes:
        path: File or folder. A file's name may be changed within its folder until the block ends.
    """

    path: Path

    def write_frame(self, frame: Frame) -> None:
        """Write a frame; times are in the reader's ticks."""

    def write_packet(self, packet: av.Packet) -> None:
        """Write a packet of the reader; ignored if the format has no place for it."""


def fit(frame: Frame, size_hw: tuple[int, int], reader: VideoReader) -> Frame:
    """Return the frame in the size of the first one, with one warning if that changes it."""
    if frame.rgb_u8.shape[:2] == size_hw:
        return frame
    if not reader.changes_size:
        reader.changes_size = True
        text = "%s: frames change their size; all are fitted into %dx%d, that of the first"
        logging.warning(text, reader.path, size_hw[1], size_hw[0])
    return frame.fitted(size_hw)


def log_dropped_streams(reader: VideoReader, target: str) -> None:
    """Log the streams of a reader that a target for frames alone drops."""
    kinds = ("audio", "subtitles", "attachments")
    counts = {kind: len(getattr(reader, kind)) for kind in kinds}
    dropped = ", ".join(f"{kind} ({count})" for kind, count in counts.items() if count)
    if dropped:
        logging.info("%s: %s holds frames only, dropped: %s", reader.path, target, dropped)


@contextlib.contextmanager
def ffmpeg_errors_naming(path: Path, streams: str) -> Iterator[None]:
    """Re-raise errors of FFmpeg as ValueError, and those of the system as OSError, about `path`.

    `streams` describes what is written, such as "stream 0 (video, libx264)".
    """
    remedy = "choose another --codec or format"
    with ffmpeg_errors(f"{path}: {streams}", "cannot write it", remedy):
        try:
            yield
        except OSError as error:  # includes PyAV's errors that have an errno
            raise OSError(error.errno, error.strerror, str(path)) from error


def discard(container: av.container.OutputContainer, *paths: Path) -> None:
    """Close an unfinished container and remove its files; committed ones are gone already."""
    import av

    # Removed first, because closing would write an index and move all data behind it.
    for path in paths:
        with contextlib.suppress(OSError):
            path.unlink(missing_ok=True)
    with contextlib.suppress(av.FFmpegError, OSError):
        container.close()
    # Again, for systems that cannot remove open files.
    for path in paths:
        path.unlink(missing_ok=True)
