"""A video resampled to a constant frame rate."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from typing import TYPE_CHECKING

from anime_tf.io.video.frames import Frame
from anime_tf.io.video.readers.base import VideoReader

if TYPE_CHECKING:
    import av


class ConstantRateReader(VideoReader):
    """Yields the nearest frame of another reader at each tick; repeats share their array."""

    def __init__(self, reader: VideoReader, rate: Fraction) -> None:
        super().__init__(reader.path)
        self._reader = reader
        self.time_base, self.rate = 1 / rate, rate
        self.colors, self.background = reader.colors, reader.background
        self.is_still = reader.is_still
        self.audio, self.subtitles = reader.audio, reader.subtitles
        self.attachments, self.chapters = reader.attachments, reader.chapters
        self.metadata, self.video_metadata = reader.metadata, reader.video_metadata

    @property
    def expected_frames(self) -> int | None:
        """Number of frames at the constant rate; None if unknown."""
        expected = self._reader.expected_frames
        return None if expected is None else max(1, round(expected * self.rate / self._reader.rate))

    def items(self) -> Iterator[Frame | av.Packet]:
        """Yield frames one tick apart, and the other reader's packets."""
        last: Frame | None = None
        tick = Fraction(0)
        for item in self._reader.items():
            self.damage = self._reader.damage or self.damage
            if not isinstance(item, Frame):
                yield item
                continue
            now = item.pts * self._reader.time_base * self.rate
            if last is None:
                tick = Fraction(round(now))
            else:
                middle = (last.pts * self._reader.time_base * self.rate + now) / 2
                while tick < middle:
                    yield self._at(last, tick)
                    tick += 1
            last = item
        self.damage = self._reader.damage or self.damage
        if last is not None:
            shown = last.duration * self._reader.time_base or 1 / self._reader.rate
            end = (last.pts * self._reader.time_base + shown) * self.rate
            # The last frame appears at least once, however short it is.
            while tick < end - Fraction(1, 2) or self.count == 0:
                yield self._at(last, tick)
                tick += 1

    def _at(self, frame: Frame, tick: Fraction) -> Frame:
        self.count += 1
        return replace(frame, pts=int(tick), duration=1)

    def close(self) -> None:
        """Close the other reader."""
        self._reader.close()
