"""Films as they are read: upright RGB frames with exact times, and the packets of their sound."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from anime_tf.data import pictures

if TYPE_CHECKING:
    import av

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


class FilmReader:
    """Reads a film once, from its first frame to its last; a context manager.

        with FilmReader("film.mkv") as film:
            for frame in film.frames():
                ...

    Frames are turned as the film's metadata asks, and stretched in width where its pixels are not
    square. A film that is damaged or breaks off gives what it has; then `damage` says so.

    Args:
        path: A film in any format that FFmpeg reads.
        sound: Give out the packets of its sound as well.

    Attributes:
        path: As given.
        container: PyAV's container.
        sound: PyAV's sound streams, empty unless they were asked for.
        left_out: How many streams there are besides (other pictures, subtitles), without data.
        time_base: What a tick is, in seconds.
        rate: Frames a second, on average.
        frames_expected: How many frames the film is said to have, or should have by its length;
            None where there is no telling.
        colours: How it encodes colours.
        count: How many frames it has given so far.
        damage: What went wrong, one line that begins with the path; None for a whole film.

    Raises:
        FileNotFoundError: There is no such film.
        ValueError: It is no film, or holds no moving pictures.
    """

    def __init__(self, path: str | os.PathLike[str], *, sound: bool = False) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            found = "a folder" if self.path.is_dir() else "nothing"
            raise FileNotFoundError(f"{self.path}: expected a film, found {found}")
        # PyAV brings all of FFmpeg with it, which nothing else needs.
        import av

        try:
            self.container = av.open(str(self.path))
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
        if sound:
            self.sound = tuple(s for s in streams.audio if s.codec_context is not None)
        # Data streams are the shadows of chapters and time codes, or of no use to a player.
        shown = sum(other.type != "data" for other in streams)
        self.left_out = shown - 1 - len(self.sound)
        self.time_base: Fraction = stream.time_base
        self.rate: Fraction = stream.average_rate or stream.guessed_rate or Fraction(25)
        self.colours = _colours(stream)
        self.count = 0
        self.damage: str | None = None
        self._origin = self._first_time()
        self._last_pts: int | None = None

    def __enter__(self) -> FilmReader:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
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
    def chapters(self) -> list[Any]:
        """Its chapters, as PyAV tells them."""
        return list(self.container.chapters())

    @property
    def frames_expected(self) -> int | None:
        """How many frames there should be."""
        if self._stream.frames:
            return self._stream.frames
        return round(self._seconds() * self.rate) or None

    def frames(self) -> Iterator[Frame]:
        """Yields the frames alone; see `items`."""
        for item in self.items():
            if isinstance(item, Frame):
                yield item

    def items(self) -> Iterator[Frame | av.Packet]:
        """Yields frames, and packets of `sound`, in the order in which they lie in the file.

        Times count from 0 in formats that may start at any time, such as MPEG-TS; in others they
        are the film's own.

        Raises:
            ValueError: Not one frame can be decoded; told after the last item.
        """
        import av

        seconds = 0.0
        packets = self.container.demux(self._stream, *self.sound)
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
                if packet.size:
                    yield self._from_origin(packet)
                continue
            try:
                for frame in self._stream.decode(packet):
                    seconds = frame.time or seconds
                    made = self._frame(frame)
                    self.count += 1
                    yield made
            except av.FFmpegError as error:
                self.note_damage(f"damaged after {self.count} frames ({error.strerror})")
        if self.count == 0:
            raise ValueError(
                f"{self.path}: expected a film, found no frame that can be decoded in it"
            )
        expected = self._seconds()
        if seconds < expected - max(1.0, _SHORTFALL * expected):
            self.note_damage(f"breaks off after {seconds:.1f} of {expected:.1f} seconds")

    def note_damage(self, what: str) -> None:
        """Sets `damage`, unless something went wrong before."""
        self.damage = self.damage or f"{self.path}: {what}"

    def _frame(self, frame: av.VideoFrame) -> Frame:
        last = self._last_pts
        if frame.pts is not None:
            pts = frame.pts - round(self._origin / self.time_base)
        elif last is None:
            pts = 0
        else:
            pts = last + max(1, round(1 / (self.rate * self.time_base)))
        if last is not None:
            # Two frames at one time: both are kept, a tick apart.
            pts = max(pts, last + 1)
        self._last_pts = pts
        return Frame(_upright(frame, self._stream.sample_aspect_ratio), pts, frame.duration or 0)

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
