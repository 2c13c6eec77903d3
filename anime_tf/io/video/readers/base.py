"""Protocol of video readers, and the base class of those that yield frames alone."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from anime_tf.io.closeable import Closeable
from anime_tf.io.video.frames import SRGB, ColorEncoding, Frame
from anime_tf.io.video.span import Span

if TYPE_CHECKING:
    import av


class VideoReader(AbstractContextManager["VideoReader", None], Protocol):
    """Reads a video once: yields frames with their times, and packets to copy.

    Attributes:
        path: File or folder; for messages.
        time_base: Seconds per tick.
        rate: Average frames per second.
        colors: Color encoding, to be kept in the output.
        audio: PyAV's audio streams whose packets are yielded.
        subtitles: PyAV's subtitle streams whose packets are yielded.
        attachments: (name, MIME type, bytes) of attached files.
        count: Frames yielded so far.
        damage: First defect found, one line that begins with the path; None if there was none.
    """

    path: Path
    time_base: Fraction
    rate: Fraction
    colors: ColorEncoding
    audio: tuple[Any, ...]
    subtitles: tuple[Any, ...]
    attachments: list[tuple[str, str, bytes]]
    count: int

    @property
    def damage(self) -> str | None:
        """First defect found."""

    @property
    def expected_frames(self) -> int | None:
        """Number of frames by the file; None if unknown."""

    @property
    def metadata(self) -> dict[str, str]:
        """Metadata of the container."""

    @property
    def video_metadata(self) -> dict[str, str]:
        """Metadata of the video stream."""

    @property
    def chapters(self) -> list[Any]:
        """Chapters in PyAV's form."""

    def items(self) -> Iterator[Frame | av.Packet]:
        """Yield frames, and packets to copy, in file order."""

    def note_damage(self, defect: str) -> None:
        """Set `damage` unless it is set."""

    def close(self) -> None:
        """Release the input."""


class FrameReader(Closeable):
    """Base class of readers without audio.

    Subclasses set `time_base` and `rate`, and yield frames in `_frames`.

    Args:
        path: File or folder; for messages.
        span: Part to read; its rate is left to the subclass.
    """

    def __init__(self, path: Path, span: Span) -> None:
        self.path = path
        self.time_base = Fraction(1, 1000)
        self.rate = Fraction(25)
        self.colors = SRGB
        self.audio: tuple[Any, ...] = ()
        self.subtitles: tuple[Any, ...] = ()
        self.attachments: list[tuple[str, str, bytes]] = []
        self.metadata: dict[str, str] = {}
        self.video_metadata: dict[str, str] = {}
        self.chapters: list[Any] = []
        self.count = 0
        self.damage: str | None = None
        self._span = span

    @abc.abstractmethod
    def _frames(self) -> Iterator[Frame]:
        """Yield all frames with increasing times."""

    @abc.abstractmethod
    def _length(self) -> tuple[int, Fraction] | None:
        """Return the number of frames and their duration in seconds; None if unknown."""

    @property
    def expected_frames(self) -> int | None:
        """Number of frames in the span; None if unknown."""
        length = self._length()
        if length is None:
            return None
        count, seconds = length
        end = seconds if self._span.end is None else min(seconds, self._span.end)
        if not seconds or (self._span.start == 0 and end == seconds):
            return count
        return max(0, round(count * (end - self._span.start) / seconds)) or None

    def items(self) -> Iterator[Frame]:
        """Yield the frames of the span, with times relative to its start.

        Raises:
            ValueError: There is none; raised at the end.
        """
        start = round(self._span.start / self.time_base)
        for frame in self._frames():
            seconds = frame.pts * self.time_base
            if seconds < self._span.start:
                continue
            if self._span.end is not None and seconds >= self._span.end:
                break
            self.count += 1
            yield Frame(frame.rgb_u8, frame.pts - start, frame.duration)
        if self.count == 0:
            raise ValueError(f"{self.path}: expected frames between start and end, got none")

    def note_damage(self, defect: str) -> None:
        """Set `damage` unless it is set."""
        self.damage = self.damage or f"{self.path}: {defect}"

    def close(self) -> None:  # noqa: B027, most subclasses hold nothing open
        """Release the input."""
