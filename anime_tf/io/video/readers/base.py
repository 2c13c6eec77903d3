"""Base classes of video readers."""

from __future__ import annotations

import abc
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_tf.io.closeable import Closeable
from anime_tf.io.pictures import Picture, flatten_alpha
from anime_tf.io.video.decoding import DEFAULT_DECODING, VideoDecoding
from anime_tf.io.video.frames import SRGB, ColorEncoding, Frame
from anime_tf.io.video.span import Span

if TYPE_CHECKING:
    import av


class VideoReader(Closeable):
    """Reads a video once: yields frames with their times, and packets to copy.

    Attributes:
        path: File or folder; for messages.
        time_base: Seconds per tick.
        rate: Average frames per second.
        colors: Color encoding, to be kept in the output.
        background: RGB color under the transparent pixels of the frames.
        audio: PyAV's audio streams whose packets are yielded.
        subtitles: PyAV's subtitle streams whose packets are yielded.
        attachments: (name, MIME type, bytes) of attached files.
        metadata: Metadata of the container: title, date, place and so on.
        video_metadata: Metadata of the video stream.
        chapters: Chapters in PyAV's form.
        count: Frames yielded so far.
        replaced: Frames that stand for broken ones.
        changes_size: Whether a writer has met frames of different sizes.
        is_still: Whether the input is a file of a still picture.
        is_live: Whether frames come at their own pace, and are dropped while nobody reads them.
        damage: First defect found, one line that begins with the path; None if there was none.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.time_base = Fraction(1, 1000)
        self.rate = Fraction(25)
        self.colors: ColorEncoding = SRGB
        self.background = (255, 255, 255)
        self.audio: tuple[Any, ...] = ()
        self.subtitles: tuple[Any, ...] = ()
        self.attachments: list[tuple[str, str, bytes]] = []
        self.metadata: dict[str, str] = {}
        self.video_metadata: dict[str, str] = {}
        self.chapters: list[Any] = []
        self.count = self.replaced = 0
        self.changes_size = self.is_still = self.is_live = False
        self.damage: str | None = None

    @property
    @abc.abstractmethod
    def expected_frames(self) -> int | None:
        """Number of frames by the input; None if unknown."""

    @abc.abstractmethod
    def items(self) -> Iterator[Frame | av.Packet]:
        """Yield frames, and packets to copy, in file order; without a frame, raise ValueError."""

    def frames(self) -> Iterator[Frame]:
        """Yield the frames without packets; see `items`."""
        return (item for item in self.items() if isinstance(item, Frame))

    def note_damage(self, defect: str) -> None:
        """Set `damage` unless it is set."""
        self.damage = self.damage or f"{self.path}: {defect}"

    def close(self) -> None:
        """Release the input."""


class FrameReader(VideoReader):
    """Base class of readers without audio, which yield all frames in `_frames`."""

    def __init__(self, path: Path, span: Span, decoding: VideoDecoding = DEFAULT_DECODING) -> None:
        super().__init__(path)
        self._span, self._decoding = span, decoding
        self.background = decoding.background_rgb

    def _frame(self, picture: Picture, pts: int, duration: int) -> Frame:
        alpha_u8 = picture.alpha_u8 if self._decoding.background is None else None
        return Frame(flatten_alpha(picture, self.background), pts, duration, alpha_u8)

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

    def items(self) -> Iterator[Frame | av.Packet]:
        """Yield the frames of the span, with times relative to its start; see `VideoReader`."""
        start = round(self._span.start / self.time_base)
        for frame in self._frames():
            seconds = frame.pts * self.time_base
            if seconds < self._span.start:
                continue
            if self._span.end is not None and seconds >= self._span.end:
                break
            self.count += 1
            yield replace(frame, pts=frame.pts - start)
        if self.count == 0:
            raise ValueError(f"{self.path}: expected frames between start and end, got none")
