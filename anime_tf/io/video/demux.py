"""Films as they are read: upright RGB frames with exact times, and the packets of their sound."""

from __future__ import annotations

import contextlib
import heapq
import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np

from anime_tf.io import pictures
from anime_tf.io.closeable import Closeable

if TYPE_CHECKING:
    import av
    from av.container.core import Chapter
    from av.subtitles.stream import SubtitleStream

HD_HEIGHT = 720
"""From this height on, a film that does not say so is taken to be in BT.709, below in BT.601."""

# FFmpeg's numbers (AVColorSpace, AVColorRange), for which older releases of PyAV have no names.
_BT709, _UNSPECIFIED, _BT601 = 1, 2, 6
_LIMITED_RANGE, _FULL_RANGE = 1, 2
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_TIMES_START_ANYWHERE = 0x200  # AVFMT_TS_DISCONT

# AVColorSpace -> PyAV's name of the matrix, for those that can be written as well.
_MATRICES = {_BT709: "ITU709", 5: "ITU601", _BT601: "ITU601", 9: "BT2020"}

EXACT_CHROMA = 0x4 | 0x2000 | 0x4000 | 0x40000
"""Flags of FFmpeg's scaler for conversions between RGB and YUV at one size.

SWS_BICUBIC, SWS_FULL_CHR_H_INT, SWS_FULL_CHR_H_INP, SWS_ACCURATE_RND. Without them it repeats
chroma where it should interpolate, and cuts off where it should round: on a smooth picture there
and back, the mean error is then 3.4 levels and the picture darker by 1.2; with them 1.0 and 0.0.
"""

_SOUND_AHEAD = Fraction(1)  # in seconds, by which sound may lie before or behind its pictures

_SHORTFALL = 0.05  # of its length that a film may lack unnoticed: sound often outlasts pictures


@dataclass(frozen=True)
class Frame:
    """A frame of a film.

    Attributes:
        rgb_u8: (height, width, 3) uint8 RGB, upright, with square pixels.
        pts: When it is shown, in ticks of the film's time base; more than that of the frame before.
        duration: For how long by what the film says, in the same ticks; 0 where it does not say.
            MP4 and MOV mix up the durations of unlike frames: the next frame's time is the truth.
    """

    rgb_u8: np.ndarray
    pts: int
    duration: int


@dataclass(frozen=True)
class Colours:
    """How a film encodes colours; numbers are FFmpeg's, as in ITU-T H.273.

    Attributes:
        matrix: PyAV's name of the matrix between RGB and YUV: ITU709, ITU601, or BT2020.
        matrix_number: The number of that matrix.
        range_number: 1 limited (16..235), 2 full (0..255).
        primaries: As the film says; 2 where it does not.
        transfer: As the film says; 2 where it does not.
    """

    matrix: str
    matrix_number: int
    range_number: int
    primaries: int
    transfer: int


class FilmReader(Closeable):
    """Reads a film once, from its first frame to its last; a context manager.

        with FilmReader("film.mkv") as film:
            for frame in film.frames():
                ...

    Frames are turned as the film's metadata asks, and stretched in width where its pixels are not
    square. A film that is damaged or breaks off gives what it has; then `damage` says so.

    Args:
        path: A film in any format that FFmpeg reads.
        sound: Give out the packets of its sound and of its subtitles as well.
        start: Where to begin, in seconds; all times that are given out count from here.
        end: Where to end, in seconds of the film; None for its end.
        replace_broken: Give the last good frame in the place of one that is broken; else there is
            none.
        container_format: FFmpeg's name of the only kind of file that it may be ("mov",
            "matroska"); None for any. Of the others some, such as playlists, name further files,
            which FFmpeg would open: a file from elsewhere must not choose them.

    Attributes:
        path: As given.
        container: PyAV's container.
        sound: PyAV's sound streams, empty unless they were asked for.
        subtitles: PyAV's subtitle streams, likewise.
        attachments: (name, MIME type, bytes) of the fonts and other files in it, likewise.
        left_out: How many streams there are besides (other pictures, covers), without data.
        time_base: What a tick is, in seconds.
        rate: Frames a second, on average.
        frames_expected: How many frames the film is said to have, or should have by its length;
            None where there is no telling.
        colours: How it encodes colours.
        count: How many frames it has given so far.
        replaced: How many of them stand for broken ones: the last good one once more.
        damage: What went wrong, one line that begins with the path; None for a whole film.

    Raises:
        FileNotFoundError: There is no such film.
        ValueError: It is no film, or holds no moving pictures.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        sound: bool = False,
        start: Fraction = Fraction(0),
        end: Fraction | None = None,
        replace_broken: bool = False,
        container_format: str | None = None,
    ) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            found = "a folder" if self.path.is_dir() else "nothing"
            raise FileNotFoundError(f"{self.path}: expected a film, found {found}")
        # PyAV brings all of FFmpeg with it, which nothing else needs.
        import av

        try:
            self.container = av.open(str(self.path), format=container_format)
        except av.FFmpegError as error:
            raise ValueError(
                f"{self.path}: expected a film that FFmpeg reads, found {error.strerror}"
            ) from error
        try:
            stream = self.container.streams.best("video")
            # The picture of a song's cover is a video stream too.
            if not isinstance(stream, av.VideoStream) or stream.disposition & _ATTACHED_PICTURE:
                raise ValueError(
                    f"{self.path}: expected a film, found a file without moving pictures"
                )
            if stream.codec_context is None or stream.time_base is None:
                raise ValueError(
                    f"{self.path}: expected a film that FFmpeg decodes, found pictures of a kind "
                    "that it does not know"
                )
        except BaseException:
            self.container.close()
            raise
        stream.thread_type = "AUTO"
        self._stream = stream
        streams = self.container.streams
        self.sound: tuple[av.AudioStream, ...] = ()
        self.subtitles: tuple[SubtitleStream, ...] = ()
        self.attachments: list[tuple[str, str, bytes]] = []
        if sound:
            self.sound = tuple(s for s in streams.audio if s.codec_context is not None)
            self.subtitles = tuple(s for s in streams.subtitles if s.codec_context is not None)
            self.attachments = [
                (str(file.name), str(file.mimetype), bytes(file.data or b""))
                for file in streams.attachments
            ]
        # Data streams are the shadows of chapters and time codes, or of no use to a player.
        shown = sum(other.type != "data" for other in streams)
        copied = len(self.sound) + len(self.subtitles) + len(self.attachments)
        self.left_out = shown - 1 - copied
        self.time_base: Fraction = stream.time_base
        self.rate: Fraction = stream.average_rate or stream.guessed_rate or Fraction(25)
        self.colours = _colours(stream)
        self.count = 0
        self.replaced = 0
        self.damage: str | None = None
        self._start, self._end = start, end
        self._origin = self._first_time() + start
        # In ticks after the origin; 0 where the file says nothing. No frame is shown for longer.
        self._container_end = 0
        if self.container.duration is not None:
            seconds = Fraction(self.container.duration, av.time_base) - self._start
            if self._origin == start:  # its clock begins at 0
                seconds += Fraction(self.container.start_time or 0, av.time_base)
            self._container_end = round(seconds / self.time_base)
        self._last: Frame | None = None
        # Of packets whose frames have not come yet; a broken one's never comes.
        self._due: list[int] = []
        self._broken = 0
        self._replaces = replace_broken

    def close(self) -> None:
        """Closes the file."""
        self.container.close()

    @property
    def metadata(self) -> dict[str, str]:
        """What the film says about itself: title, date, place and so on."""
        return dict(self.container.metadata)

    @property
    def picture_metadata(self) -> dict[str, str]:
        """What the stream of pictures says about itself."""
        return dict(self._stream.metadata)

    @property
    def chapters(self) -> list[Chapter]:
        """Its chapters, as PyAV tells them, those of the span alone."""
        kept = []
        for chapter in self.container.chapters():
            tick = Fraction(chapter["time_base"] or 1)
            first, last = round(self._origin / tick), None
            if self._end is not None:
                last = first + round((self._end - self._start) / tick)
            start = max(chapter["start"], first)
            end = chapter["end"] if last is None else min(chapter["end"], last)
            if start < end:
                shifted = {**chapter, "start": start - first, "end": end - first}
                kept.append(cast("Chapter", shifted))
        return kept

    @property
    def frames_expected(self) -> int | None:
        """How many frames there should be."""
        whole = self._seconds()
        frames = self._stream.frames or round(whole * self.rate)
        if self._start or self._end is not None:
            if not whole:
                return None
            end = whole if self._end is None else min(whole, float(self._end))
            frames = round(frames * max(0.0, end - float(self._start)) / whole)
        return frames or None

    def frames(self) -> Iterator[Frame]:
        """Yields the frames alone; see `items`."""
        for item in self.items():
            if isinstance(item, Frame):
                yield item

    def items(self) -> Iterator[Frame | av.Packet]:
        """Yields frames, and packets to be copied, in the order in which they lie in the file.

        Times count from 0 in formats that may start at any time, such as MPEG-TS, and from `start`
        where there is one; in others they are the film's own. A packet belongs to the span in which
        it begins. A frame that replaces a broken one has that one's time.

        Raises:
            ValueError: Not one frame can be decoded; told after the last item.
        """
        import av

        if self._start:
            self._seek()
        packets = self.container.demux(self._stream, *self.sound, *self.subtitles)
        over = False
        while True:
            try:
                packet = next(packets)
            except StopIteration:
                break
            except av.FFmpegError as error:
                self.note_damage(f"damaged after {self.count} frames ({error.strerror})")
                break
            if packet.is_corrupt:
                self.note_damage(f"damaged after {self.count} frames (a packet is not whole)")
            # Not its stream_index, which is 0 in the empty packets at the end.
            if packet.stream.index != self._stream.index:
                if packet.size and self._in_span(packet):
                    yield self._from_origin(packet)
                continue
            if over:
                if self._is_past(packet):
                    break
                continue
            for frame in self._decoded(packet):
                if self._end is not None and self._time(frame.pts) >= self._end - self._start:
                    over = True
                    break
                self.count += 1
                yield frame
        if not over:
            for frame in self._replacements(None):
                self.count += 1
                yield frame
        if self.count == 0:
            self._raise_for_nothing()
        if self.replaced:
            # Says more than the first of them did.
            self.damage = (
                f"{self.path}: {self.replaced} of {self.count} frames are broken, each replaced by "
                "the one before it"
            )
        expected, seconds = self._seconds(), self._reached()
        if not over and seconds < expected - max(1.0, _SHORTFALL * expected):
            self.note_damage(f"breaks off after {seconds:.1f} of {expected:.1f} seconds")

    def note_damage(self, what: str) -> None:
        """Sets `damage`, unless something went wrong before."""
        self.damage = self.damage or f"{self.path}: {what}"

    def _decoded(self, packet: av.Packet) -> Iterator[Frame]:
        """The frames that a packet brings forth, those that replace broken ones before them."""
        import av

        if packet.pts is not None and packet.size and not packet.is_discard:
            heapq.heappush(self._due, packet.pts)
        try:
            frames = self._stream.decode(packet)
        except av.FFmpegError as error:
            self._note_broken(error.strerror)
            return
        for frame in frames:
            if frame.is_corrupt and self._last is not None:
                self._note_broken("a frame is not whole")
                continue
            yield from self._replacements(frame.pts)
            if self._is_before_start(frame):
                continue
            self._last = self._made(frame)
            yield self._last

    def _note_broken(self, why: str | None) -> None:
        self._broken += 1
        self.note_damage(f"damaged after {self.count} frames ({why})")

    def _replacements(self, before: int | None) -> Iterator[Frame]:
        """The last good frame at the times of those that should have come, where some are broken.

        Without an error there are none: a packet may have no frame of its own.

        Args:
            before: When the next frame is shown, in the film's own ticks; None at the end.
        """
        while self._due and (before is None or self._due[0] <= before):
            pts = heapq.heappop(self._due)
            if pts == before or self._broken == 0:
                continue
            self._broken -= 1
            shown = pts - round(self._origin / self.time_base)
            if not self._replaces or self._last is None or shown <= self._last.pts:
                continue
            self.replaced += 1
            self._last = Frame(self._last.rgb_u8, shown, 0)
            yield self._last

    def _made(self, frame: av.VideoFrame) -> Frame:
        last = self._last
        if frame.pts is not None:
            pts = frame.pts - round(self._origin / self.time_base)
        elif last is None:
            pts = 0
        else:
            pts = last.pts + max(1, round(1 / (self.rate * self.time_base)))
        if last is not None:
            # Two frames at one time: both are kept, a tick apart.
            pts = max(pts, last.pts + 1)
        duration = frame.duration or 0
        if pts < self._container_end < pts + duration:
            duration = self._container_end - pts
        return Frame(_upright(frame, self._stream.sample_aspect_ratio), pts, duration)

    def _is_before_start(self, frame: av.VideoFrame) -> bool:
        return (
            bool(self._start)
            and frame.pts is not None
            and frame.pts < round(self._origin / self.time_base)
        )

    def _time(self, pts: int) -> Fraction:
        return pts * self.time_base

    def _reached(self) -> float:
        """Until when the film was read, on its own clock, in seconds."""
        return 0.0 if self._last is None else float(self._time(self._last.pts) + self._origin)

    def _raise_for_nothing(self) -> None:
        if self._start and self.damage is None:
            raise ValueError(
                f"{self.path}: expected frames after {float(self._start):g} s, found none: it has "
                f"{self._seconds():.1f} s"
            )
        raise ValueError(f"{self.path}: expected a film, found no frame that can be decoded in it")

    def _seek(self) -> None:
        """Goes to a key frame before the start, and so far before it that no sound is missed."""
        import av

        seconds = max(Fraction(0), self._origin - _SOUND_AHEAD)
        # Some formats cannot: then all before the start is read and dropped.
        with contextlib.suppress(av.FFmpegError):
            self.container.seek(round(seconds / self.time_base), stream=self._stream)

    def _in_span(self, packet: av.Packet) -> bool:
        """Whether a packet of sound or subtitles begins within the span."""
        if not self._start and self._end is None:
            return True
        first = packet.dts if packet.pts is None else packet.pts
        if first is None:
            return False
        seconds = first * packet.time_base - self._origin
        return seconds >= 0 and (self._end is None or seconds < self._end - self._start)

    def _is_past(self, packet: av.Packet) -> bool:
        """Whether a packet lies so far behind the end that no sound before it is still to come."""
        if self._end is None or packet.dts is None:
            return packet.size == 0
        seconds = packet.dts * packet.time_base - self._origin
        return seconds > self._end - self._start + _SOUND_AHEAD

    def _from_origin(self, packet: av.Packet) -> av.Packet:
        ticks = round(self._origin / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        return packet

    def _first_time(self) -> Fraction:
        """What is 0 on the film's clock, in seconds."""
        if not self.container.format.flags & _TIMES_START_ANYWHERE:
            return Fraction(0)
        starts = [
            stream.start_time * stream.time_base
            for stream in (self._stream, *self.sound)
            if stream.start_time is not None and stream.time_base is not None
        ]
        return min(starts, default=Fraction(0))

    def _seconds(self) -> float:
        """When the pictures end by what the file says, in seconds; 0 where it says nothing."""
        import av

        stream = self._stream
        if stream.duration is not None:
            return float(((stream.start_time or 0) + stream.duration) * self.time_base)
        if self.container.duration is not None:
            return ((self.container.start_time or 0) + self.container.duration) / av.time_base
        return 0.0


def _colours(stream: av.VideoStream) -> Colours:
    """The colours of a stream, with the usual guesses for what it does not say."""
    context = stream.codec_context
    # Not its pix_fmt: PyAV 17 crashes on that where no frame can be decoded.
    pixels = context.format
    is_rgb = pixels is not None and pixels.is_rgb
    number = context.colorspace
    if number not in _MATRICES:
        number = _BT709 if context.height >= HD_HEIGHT else _BT601
    full = context.color_range == _FULL_RANGE and not is_rgb
    return Colours(
        matrix=_MATRICES[number],
        matrix_number=number,
        range_number=_FULL_RANGE if full else _LIMITED_RANGE,
        primaries=context.color_primaries,
        transfer=context.color_trc,
    )


def _upright(frame: av.VideoFrame, pixel_aspect: Fraction | None) -> np.ndarray:
    """A frame as RGB uint8 (height, width, 3), upright and with square pixels."""
    source = None
    if frame.colorspace == _UNSPECIFIED:
        source = "ITU709" if frame.height >= HD_HEIGHT else "ITU601"
    rgb = frame.to_ndarray(format="rgb24", src_colorspace=source, interpolation=EXACT_CHROMA)
    if pixel_aspect and pixel_aspect != 1:
        height, width = rgb.shape[:2]
        rgb = pictures.resize(rgb, (height, max(1, round(width * pixel_aspect))))
    # FFmpeg gives the angle counterclockwise, as numpy turns.
    return np.ascontiguousarray(np.rot90(rgb, round(frame.rotation / 90)))
