"""Video files read with FFmpeg: upright RGB frames with exact times, and packets to copy."""

from __future__ import annotations

import contextlib
import heapq
import os
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

from anime_tf.errors import counted
from anime_tf.io.video.decoding import DEFAULT_DECODING, VideoDecoding
from anime_tf.io.video.ffmpeg import open_input
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.readers.base import VideoReader
from anime_tf.io.video.readers.deinterlacer import Deinterlacer
from anime_tf.io.video.readers.frame_converter import FrameConverter

if TYPE_CHECKING:
    import av
    from av.container.core import Chapter

# FFmpeg's flags, for which older releases of PyAV have no names.
_ATTACHED_PICTURE = 0x400  # AV_DISPOSITION_ATTACHED_PIC
_TIMES_START_ANYWHERE = 0x200  # AVFMT_TS_DISCONT

_AUDIO_LEAD = Fraction(1)  # seconds by which audio may precede or follow its frames in the file

# A corrupt packet so shortly before a key frame is where another recording begins (joined MPEG-TS).
_SPLICE_PACKETS, _SPLICE_SECONDS = 3, 0.3

_SHORTFALL = 0.05  # share of its length that a video may lack: audio often outlasts frames


class VideoFileReader(VideoReader):
    """Reads a video file with FFmpeg.

    Frames are turned and mirrored as the metadata asks, and stretched in width if pixels are not
    square. A damaged or truncated file yields what it has; then `damage` says so.

    Args:
        path: A video in a format of `ffmpeg.DEMUXERS`.
        audio: Also yield the packets of audio and subtitles.
        start: Start in seconds; all times count from here.
        end: End in seconds; None for the end of the video.
        replace_broken: Repeat the last good frame in place of a broken one, instead of dropping it.
        decoding: Conversion of the frames.
        container_format: FFmpeg's name of the only format to accept ("mov", "matroska"); None for
            any of them.

    Attributes:
        container: PyAV's container.
        dropped_streams: Kind -> number of the streams that are not read.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no video, or holds no frames.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        audio: bool = False,
        start: Fraction = Fraction(0),
        end: Fraction | None = None,
        replace_broken: bool = False,
        decoding: VideoDecoding = DEFAULT_DECODING,
        container_format: str | None = None,
    ) -> None:
        super().__init__(Path(path))
        self.container = open_input(self.path, container_format)
        import av

        try:
            stream = self.container.streams.best("video")
            # The cover of a song is a video stream too.
            if not isinstance(stream, av.VideoStream) or stream.disposition & _ATTACHED_PICTURE:
                raise ValueError(f"{self.path}: expected a video, got a file without one")
            if stream.codec_context is None or stream.time_base is None:
                raise ValueError(
                    f"{self.path}: stream {stream.index} (video): expected a codec that FFmpeg "
                    "decodes, got an unknown one; convert it to MP4 with another program first"
                )
        except BaseException:
            self.container.close()
            raise
        stream.thread_type = "AUTO"
        self._stream = stream
        streams = self.container.streams
        if audio:
            self.audio = tuple(s for s in streams.audio if s.codec_context is not None)
            self.subtitles = tuple(s for s in streams.subtitles if s.codec_context is not None)
            self.attachments = [
                (str(file.name), str(file.mimetype), bytes(file.data or b""))
                for file in streams.attachments
            ]
        read = {s.index for s in (stream, *self.audio, *self.subtitles)}
        read |= {s.index for s in streams.attachments} if audio else set()
        self.is_still = _is_still(self.container)
        self.dropped_streams = Counter(_kind(s) for s in streams if s.index not in read)
        self.time_base = stream.time_base
        # Short animated PNGs claim 100,000 frames per second, which encoders reject.
        rates = (stream.average_rate, stream.guessed_rate)
        self.rate = next((rate for rate in rates if rate and rate <= 1000), Fraction(25))
        self._context = _decoder(stream)
        self._convert = FrameConverter(self.path, stream, decoding)
        self._deinterlacer = Deinterlacer(self._convert.name, decoding.deinterlace, stream)
        self._clock = _BestEffortClock(self.container.format.name)
        self.colors, self.background = self._convert.colors, decoding.background_rgb
        self.metadata = dict(self.container.metadata)
        self.video_metadata = dict(stream.metadata)
        self._start, self._end = start, end
        self._origin = self._first_time() + start
        self.chapters = self._chapters()
        # In ticks after the origin, 0 if unknown; no frame lasts longer.
        self._container_end = 0
        if self.container.duration is not None:
            seconds = Fraction(self.container.duration, av.time_base) - self._start
            if self._origin == start:  # its clock begins at 0
                seconds += Fraction(self.container.start_time or 0, av.time_base)
            self._container_end = round(seconds / self.time_base)
        self._last: Frame | None = None
        # Times of packets whose frames are still to come; those of broken ones never come.
        self._due: list[int] = []
        self._broken = 0
        self._doubts: list[tuple[float, int]] = []  # time of a corrupt packet, frames before it
        self._splices: list[float] = []
        self._since_corrupt = _SPLICE_PACKETS  # packets of the video
        self._replaces = replace_broken

    def close(self) -> None:
        """Close the file."""
        self.container.close()

    def _chapters(self) -> list[Chapter]:
        """Return the chapters of the span."""
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
    def expected_frames(self) -> int | None:
        """Number of frames in the span; None if unknown."""
        whole = self._seconds()
        frames = self._stream.frames or round(whole * self.rate)
        if self._start or self._end is not None:
            if not whole:
                return None
            end = whole if self._end is None else min(whole, float(self._end))
            frames = round(frames * max(0.0, end - float(self._start)) / whole)
        return frames or None

    def items(self) -> Iterator[Frame | av.Packet]:
        """Yield frames, and packets to copy, in file order.

        Times count from `start`; without one from 0 in formats that may start at any time, such as
        MPEG-TS, and otherwise they are the file's own. A packet belongs to the span in which it
        begins. A frame that replaces a broken one has the broken one's time.

        Raises:
            ValueError: No frame can be decoded; raised after the last item.
        """
        if self._start:
            self._seek()
        over = False
        for packet in self._demux():
            self._note_corrupt(packet)
            # packet.stream_index is 0 in the empty packets at the end.
            if packet.stream.index != self._stream.index:
                if packet.size and self._in_span(packet):
                    yield self._from_origin(packet)
                continue
            if over:
                if self._is_past(packet):
                    break
                continue
            for frame in self._decoded(packet):
                if self._is_after_end(frame):
                    over = True
                    break
                self.count += 1
                yield frame
        if not over:
            for frame in (*self._shown(self._deinterlacer.push(None)), *self._replacements(None)):
                if not self._is_after_end(frame):
                    self.count += 1
                    yield frame
        if self.count == 0:
            self._raise_no_frames()
        for seconds, count in self._doubts:
            if all(abs(seconds - splice) > _SPLICE_SECONDS for splice in self._splices):
                self._note_damaged("a packet is not whole", count)
        if self.replaced:
            # Replaces the message about the first of them.
            self.damage = (
                f"{self.path}: {self.replaced} of {self.count} frames are broken, each replaced by "
                "the previous one"
            )
        expected, seconds = self._seconds(), 0.0
        if self._last is not None:
            seconds = float(self._last.pts * self.time_base + self._origin)
        if not over and seconds < expected - max(1.0, _SHORTFALL * expected):
            self.note_damage(f"ends after {seconds:.1f} of {expected:.1f} seconds")

    def _is_after_end(self, frame: Frame) -> bool:
        return self._end is not None and frame.pts * self.time_base >= self._end - self._start

    def _note_corrupt(self, packet: av.Packet) -> None:
        """Remember a packet that is not whole."""
        seconds = float((packet.dts or packet.pts or 0) * packet.time_base)
        if packet.stream.index == self._stream.index:
            self._since_corrupt = 0 if packet.is_corrupt else self._since_corrupt + 1
            if packet.is_keyframe and 0 < self._since_corrupt <= _SPLICE_PACKETS:
                self._splices.append(seconds)
        if packet.is_corrupt:
            self._doubts.append((seconds, self.count))

    def _demux(self) -> Iterator[av.Packet]:
        import av

        try:
            yield from self.container.demux(self._stream, *self.audio, *self.subtitles)
        except av.FFmpegError as error:
            self._note_damaged(error.strerror)

    def _decoded(self, packet: av.Packet) -> Iterator[Frame]:
        """Yield the frames of a packet, after those that replace broken ones."""
        import av

        if packet.pts is not None and packet.size and not packet.is_discard:
            heapq.heappush(self._due, packet.pts)
        try:
            frames = self._context.decode(packet)
        except av.FFmpegError as error:
            self._note_broken(error.strerror)
            return
        for frame in frames:
            if frame.is_corrupt and self._last is not None:
                self._note_broken("a frame is not whole")
                continue
            frame.pts = self._clock(frame)
            yield from self._shown(self._deinterlacer.push(frame))

    def _shown(self, frames: list[av.VideoFrame]) -> Iterator[Frame]:
        for frame in frames:
            yield from self._replacements(frame.pts)
            origin = round(self._origin / self.time_base)
            if self._start and frame.pts is not None and frame.pts < origin:
                continue
            self._last = self._to_frame(frame)
            yield self._last

    def _note_broken(self, reason: str | None) -> None:
        self._broken += 1
        self._note_damaged(reason)

    def _note_damaged(self, reason: str | None, count: int | None = None) -> None:
        count = self.count if count is None else count
        self.note_damage(
            f"damaged after {counted(count, 'frame')} (stream {self._stream.index}, "
            f"{self._context.name}: "
            f"{reason}); its whole frames are kept, another copy may have all"
        )

    def _replacements(self, before: int | None) -> Iterator[Frame]:
        """Yield the last good frame at the times of broken ones before `before` (None: the end).

        Only as many as errors were seen: a packet need not have a frame of its own.
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
            self._last = replace(self._last, pts=shown, duration=0)
            yield self._last

    def _to_frame(self, frame: av.VideoFrame) -> Frame:
        last = self._last
        if frame.pts is not None:
            pts = frame.pts - round(self._origin / self.time_base)
        elif last is None:
            pts = 0
        else:
            pts = last.pts + max(1, round(1 / (self.rate * self.time_base)))
        if last is not None:
            # Of two frames at one time both are kept, a tick apart.
            pts = max(pts, last.pts + 1)
        duration = frame.duration or 0
        if pts < self._container_end < pts + duration:
            duration = self._container_end - pts
        rgb_u8, alpha_u8 = self._convert(frame)
        return Frame(rgb_u8, pts, duration, alpha_u8)

    def _raise_no_frames(self) -> None:
        if self._start and self.damage is None:
            raise ValueError(
                f"{self.path}: expected frames after {float(self._start):g} s, got a video of "
                f"{self._seconds():.1f} s"
            )
        raise ValueError(
            f"{self.path}: expected a video, got no frame that can be decoded from stream "
            f"{self._stream.index} ({self._context.name}); copy or download it again"
        )

    def _seek(self) -> None:
        """Seek to a key frame early enough before the start that no audio is missed."""
        import av

        seconds = max(Fraction(0), self._origin - _AUDIO_LEAD)
        # Formats that cannot seek are read from the beginning.
        with contextlib.suppress(av.FFmpegError):
            self.container.seek(round(seconds / self.time_base), stream=self._stream)

    def _in_span(self, packet: av.Packet) -> bool:
        """Tell whether a packet of audio or subtitles begins within the span."""
        if not self._start and self._end is None:
            return True
        first = packet.dts if packet.pts is None else packet.pts
        if first is None:
            return False
        seconds = first * packet.time_base - self._origin
        return seconds >= 0 and (self._end is None or seconds < self._end - self._start)

    def _is_past(self, packet: av.Packet) -> bool:
        """Tell whether no audio of the span can follow a packet."""
        if self._end is None or packet.dts is None:
            return packet.size == 0
        seconds = packet.dts * packet.time_base - self._origin
        return seconds > self._end - self._start + _AUDIO_LEAD

    def _from_origin(self, packet: av.Packet) -> av.Packet:
        ticks = round(self._origin / packet.time_base)
        if ticks:
            packet.pts = None if packet.pts is None else packet.pts - ticks
            packet.dts = None if packet.dts is None else packet.dts - ticks
        return packet

    def _first_time(self) -> Fraction:
        """Return the start of the file's clock in seconds."""
        if not self.container.format.flags & _TIMES_START_ANYWHERE:
            return Fraction(0)
        starts = [
            stream.start_time * stream.time_base
            for stream in (self._stream, *self.audio)
            if stream.start_time is not None and stream.time_base is not None
        ]
        return min(starts, default=Fraction(0))

    def _seconds(self) -> float:
        """Return the end of the video by the file, in seconds; 0 if unknown."""
        import av

        stream = self._stream
        if stream.duration is not None:
            return float(((stream.start_time or 0) + stream.duration) * self.time_base)
        if self.container.duration is not None:
            return ((self.container.start_time or 0) + self.container.duration) / av.time_base
        return 0.0


class _BestEffortClock:
    """FFmpeg's best-effort times: presentation times, or decoding times if those are worse.

    AVI has decoding times only, and FFmpeg's guesses of the others are wrong where there are
    B-frames.
    """

    def __init__(self, format_name: str) -> None:
        self._has_decoding_times_only = format_name == "avi"
        self._last: dict[str, int] = {}
        self._faults = Counter[str]()

    def __call__(self, frame: av.VideoFrame) -> int | None:
        if self._has_decoding_times_only:
            return frame.dts
        times = {"pts": frame.pts, "dts": frame.dts}
        for name, time in times.items():
            if time is not None:
                self._faults[name] += time <= self._last.get(name, time - 1)
                self._last[name] = time
        worse = self._faults["pts"] > self._faults["dts"]
        return frame.dts if frame.pts is None or (worse and frame.dts is not None) else frame.pts


def _decoder(stream: av.VideoStream) -> av.VideoCodecContext:
    """Return the decoder of a stream; only libvpx decodes the alpha of VP8 and VP9."""
    import av

    name = {"vp8": "libvpx", "vp9": "libvpx-vp9"}.get(stream.codec_context.name)
    if name in av.codecs_available and has_alpha_mode(stream):
        return cast("av.VideoCodecContext", av.CodecContext.create(name, "r"))
    return stream.codec_context


def has_alpha_mode(stream: av.VideoStream) -> bool:
    """Tell whether a VP8 or VP9 stream has alpha."""
    return any(key.lower() == "alpha_mode" and text == "1" for key, text in stream.metadata.items())


def _is_still(container: av.container.InputContainer) -> bool:
    brand = container.metadata.get("major_brand", "")
    return container.format.name.endswith("_pipe") or brand in ("avif", "heic", "heix", "mif1")


def _kind(stream: av.stream.Stream) -> str:
    if stream.disposition & _ATTACHED_PICTURE:
        return "cover"
    return "further video" if stream.type == "video" else str(stream.type)
