"""What films are made from: the protocol of sources, and the choice of one."""

from __future__ import annotations

import abc
import os
from collections.abc import Iterator
from contextlib import AbstractContextManager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from absl import logging

from anime_tf.io.closeable import Closeable
from anime_tf.io.video.demux import Colours, FilmReader, Frame
from anime_tf.io.video.span import WHOLE, Span

if TYPE_CHECKING:
    import av


class Source(AbstractContextManager["Source", None], Protocol):
    """Gives frames with their times, and packets to be copied; a context manager, read once.

    Attributes:
        path: Of the file or folder; for messages.
        time_base: What a tick is, in seconds.
        rate: Frames a second, on average.
        colours: How colours are encoded, and shall be in a film of it.
        sound: PyAV's streams of sound whose packets it gives.
        subtitles: PyAV's streams of subtitles, likewise.
        attachments: (name, MIME type, bytes) of the files in it.
        count: How many frames it has given so far.
        damage: What went wrong, one line that begins with the path; None where nothing did.
    """

    path: Path
    time_base: Fraction
    rate: Fraction
    colours: Colours
    sound: tuple[Any, ...]
    subtitles: tuple[Any, ...]
    attachments: list[tuple[str, str, bytes]]
    count: int

    @property
    def damage(self) -> str | None:
        """See above."""

    @property
    def frames_expected(self) -> int | None:
        """How many frames there should be; None where there is no telling."""

    @property
    def metadata(self) -> dict[str, str]:
        """What it says about itself."""

    @property
    def picture_metadata(self) -> dict[str, str]:
        """What its stream of pictures says about itself."""

    @property
    def chapters(self) -> list[Any]:
        """Its chapters, as PyAV tells them."""

    def items(self) -> Iterator[Frame | av.Packet]:
        """Yields frames, and packets to be copied, in the order in which they lie in the file."""

    def note_damage(self, what: str) -> None:
        """Sets `damage`, unless something went wrong before."""

    def close(self) -> None:
        """Lets go of what it reads."""


SRGB = Colours("ITU709", 1, 1, 1, 1)
"""How pictures that are no film's are encoded in one: BT.709 in limited range, and named so."""


class PictureSource(Closeable):
    """What sources without sound have in common: pictures one after the other, each with its time.

    Those who inherit set `time_base` and `rate`, and give pictures in `_pictures`.

    Args:
        path: Of the file or folder; for messages.
        span: What of it is wanted; its rate is left to the one who inherits.
    """

    def __init__(self, path: Path, span: Span) -> None:
        self.path = path
        self.time_base = Fraction(1, 1000)
        self.rate = Fraction(25)
        self.colours = SRGB
        self.sound: tuple[Any, ...] = ()
        self.subtitles: tuple[Any, ...] = ()
        self.attachments: list[tuple[str, str, bytes]] = []
        self.count = 0
        self.damage: str | None = None
        self._span = span

    @abc.abstractmethod
    def _pictures(self) -> Iterator[Frame]:
        """Yields pictures with their times from the beginning, in ticks, growing."""

    @abc.abstractmethod
    def _length(self) -> tuple[int, Fraction] | None:
        """How many pictures there are in all, and how many seconds long; None for no telling."""

    @property
    def metadata(self) -> dict[str, str]:
        """None."""
        return {}

    @property
    def picture_metadata(self) -> dict[str, str]:
        """None."""
        return {}

    @property
    def chapters(self) -> list[Any]:
        """None."""
        return []

    @property
    def frames_expected(self) -> int | None:
        """How many frames there should be."""
        length = self._length()
        if length is None:
            return None
        count, seconds = length
        end = seconds if self._span.end is None else min(seconds, self._span.end)
        if not seconds or (self._span.start == 0 and end == seconds):
            return count
        return max(0, round(count * (end - self._span.start) / seconds)) or None

    def items(self) -> Iterator[Frame]:
        """Yields frames; their times count from the span's start.

        Raises:
            ValueError: There is none; told at the end.
        """
        start = round(self._span.start / self.time_base)
        for frame in self._pictures():
            seconds = frame.pts * self.time_base
            if seconds < self._span.start:
                continue
            if self._span.end is not None and seconds >= self._span.end:
                break
            self.count += 1
            yield Frame(frame.rgb_u8, frame.pts - start, frame.duration)
        if self.count == 0:
            raise ValueError(f"{self.path}: expected frames, found none between start and end")

    def note_damage(self, what: str) -> None:
        """Sets `damage`, unless something went wrong before."""
        self.damage = self.damage or f"{self.path}: {what}"

    def close(self) -> None:  # noqa: B027, for most have nothing to let go of
        """Lets go of what it reads."""


class ConstantRate(Closeable):
    """Another source at a constant rate: at each of its times the frame that is nearest.

    A frame that is shown several times is one and the same array each time.

    Args:
        source: The other source, of which nothing has been read; closed with this one.
        rate: Frames a second.
    """

    def __init__(self, source: Source, rate: Fraction) -> None:
        self._source = source
        self.path = source.path
        self.time_base = 1 / rate
        self.rate = rate
        self.colours = source.colours
        self.sound, self.subtitles = source.sound, source.subtitles
        self.attachments = source.attachments
        self.count = 0

    @property
    def damage(self) -> str | None:
        """What went wrong."""
        return self._source.damage

    @property
    def metadata(self) -> dict[str, str]:
        """What the other one says about itself."""
        return self._source.metadata

    @property
    def picture_metadata(self) -> dict[str, str]:
        """What the other one's stream of pictures says about itself."""
        return self._source.picture_metadata

    @property
    def chapters(self) -> list[Any]:
        """The other one's chapters."""
        return self._source.chapters

    @property
    def frames_expected(self) -> int | None:
        """How many frames there should be."""
        expected = self._source.frames_expected
        return None if expected is None else max(1, round(expected * self.rate / self._source.rate))

    def items(self) -> Iterator[Frame | av.Packet]:
        """Yields frames a tick apart, and the other one's packets."""
        last: Frame | None = None
        tick = Fraction(0)
        for item in self._source.items():
            if not isinstance(item, Frame):
                yield item
                continue
            now = item.pts * self._source.time_base * self.rate
            if last is None:
                tick = Fraction(round(now))
            else:
                # As far as to the middle between two frames, the first one is the nearer.
                middle = (last.pts * self._source.time_base * self.rate + now) / 2
                while tick < middle:
                    yield self._at(last, tick)
                    tick += 1
            last = item
        if last is not None:
            shown = last.duration * self._source.time_base or 1 / self._source.rate
            end = (last.pts * self._source.time_base + shown) * self.rate
            # At least once, be it short as it may.
            while tick < end - Fraction(1, 2) or self.count == 0:
                yield self._at(last, tick)
                tick += 1

    def _at(self, frame: Frame, tick: Fraction) -> Frame:
        self.count += 1
        return Frame(frame.rgb_u8, int(tick), 1)

    def note_damage(self, what: str) -> None:
        """Sets the other one's `damage`, unless something went wrong before."""
        self._source.note_damage(what)

    def close(self) -> None:
        """Closes the other one."""
        self._source.close()


def open_source(place: str | os.PathLike[str], span: Span = WHOLE) -> Source:
    """Opens what a film shall be made from.

    Args:
        place: A film or an animation, in any format that FFmpeg reads, or an animated WebP; a
            folder of numbered pictures, or their pattern (``frames/%04d.png``); or the number of
            a camera.
        span: What of it is wanted.

    Returns:
        The source, with its sound, to be used as a context manager.

    Raises:
        FileNotFoundError: There is no such thing.
        ValueError: It holds no moving pictures, or cannot be read.
    """
    # They inherit from what is above.
    from anime_tf.io.video.animation import AnimatedWebP
    from anime_tf.io.video.camera import Camera
    from anime_tf.io.video.sequence import PictureSequence, is_sequence

    text = os.fspath(place)
    if text.isdecimal() and not os.path.exists(text):
        return Camera(int(text), span)
    if is_sequence(text):
        return PictureSequence(text, span)
    source: Source
    if AnimatedWebP.is_one(text):
        source = AnimatedWebP(text, span)
    else:
        source = film = FilmReader(
            place, sound=True, start=span.start, end=span.end, replace_broken=True
        )
        if film.left_out:
            logging.info("%s: covers and other pictures left out: %d", film.path, film.left_out)
    return source if span.rate is None else ConstantRate(source, span.rate)
