"""Video files written with FFmpeg."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from absl import logging

from anime_tf.io.atomic import AtomicWriter, replace_file, temporary_path
from anime_tf.io.marks import MARK
from anime_tf.io.video.codecs import CODECS, DEFAULT_ENCODING, VideoEncoding, available_encoder
from anime_tf.io.video.ffmpeg import open_output, usual_priority
from anime_tf.io.video.frames import EXACT_CHROMA, Frame
from anime_tf.io.video.readers.base import VideoReader
from anime_tf.io.video.writers.base import discard, ffmpeg_errors_naming, fit
from anime_tf.io.video.writers.streams import PacketStream, add_stream, copied_metadata

if TYPE_CHECKING:
    import av


class VideoFileWriter(AtomicWriter):
    """Writes a 4:2:0 video file with the audio, subtitles and metadata of its reader.

    The file appears whole when the block ends without an exception. Audio and subtitles are copied
    packet by packet if the container takes them, else encoded. 4:2:0 needs even sides: an odd last
    row or column is repeated.

    Raises:
        ValueError: The suffix is not of `CONTAINERS`, or codec or quality do not fit it.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        reader: VideoReader,
        encoding: VideoEncoding = DEFAULT_ENCODING,
    ) -> None:
        self.path = Path(path)
        self._format, self._codec, self._crf = encoding.resolve(self.path)
        self._reader = reader
        self._temporary = temporary_path(self.path)
        self._container: av.container.OutputContainer | None = None
        self._streams: dict[int, PacketStream] = {}
        self._waiting: list[av.Packet] = []
        self._alpha = False
        self._video_name = f"stream 0 (video, {self._codec})"

    def write_frame(self, frame: Frame) -> None:
        """Write a frame, resized to the first one's size."""
        if self._container is None:
            holds = self._codec == "vp9" and self._format.alpha
            self._alpha = holds and frame.is_transparent
            with ffmpeg_errors_naming(self.path, f"header of {self._all_streams}"):
                self._open(frame.rgb_u8.shape[0], frame.rgb_u8.shape[1])
        with ffmpeg_errors_naming(self.path, self._video_name):
            picture = self._picture(frame)
            colors = self._reader.colors
            picture = picture.reformat(
                format=self._video.pix_fmt,
                dst_colorspace=colors.matrix,
                dst_color_range=colors.range_number,
                interpolation=EXACT_CHROMA,
            )
            picture.pts = self._next_pts(frame)
            picture.time_base = self._time_base
            for packet in self._video.encode(picture):
                self._mux_video(packet)

    def write_packet(self, packet: av.Packet) -> None:
        """Write a packet of the reader."""
        if self._container is None:  # waits for the size of the first frame
            self._waiting.append(packet)
            return
        self._mux_stream(packet)

    @property
    def _all_streams(self) -> str:
        copied = map(_name, (*self._reader.audio, *self._reader.subtitles))
        return ", ".join((self._video_name, *copied))

    def _open(self, height: int, width: int) -> None:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._size = (height, width)
        self._time_base = self._format.tick or self._reader.time_base
        self._shown: tuple[int, int] | None = None
        self._last_pts: int | None = None
        self._first_dts: int | None = None
        self._durations: dict[int, int] = {}
        self._container = self._start_container()
        for packet in self._waiting:
            self._mux_stream(packet)
        self._waiting.clear()

    def _start_container(self) -> av.container.OutputContainer:
        """Write the header, and set `_video` and `_streams`."""
        reader, (height, width) = self._reader, self._size
        container = open_output(self._temporary, self._format.format_name, self._format.options)
        try:
            container.metadata.update(copied_metadata(reader.metadata))
            container.set_chapters(reader.chapters)
            encoder = available_encoder(self._codec)
            options = CODECS[self._codec].options.get(encoder, {})
            video = cast(
                "av.VideoStream",
                container.add_stream(
                    encoder, rate=reader.rate, options={**options, "crf": str(self._crf)}
                ),
            )
            video.width, video.height = width + width % 2, height + height % 2
            video.pix_fmt = "yuva420p" if self._alpha else "yuv420p"
            video.metadata.update(copied_metadata(reader.video_metadata))
            video.metadata["encoder"] = MARK
            context = video.codec_context
            if self._codec in self._format.tags:
                context.codec_tag = self._format.tags[self._codec]
            context.time_base = self._time_base
            context.sample_aspect_ratio = Fraction(1)
            context.colorspace = reader.colors.matrix_number
            context.color_range = reader.colors.range_number
            context.color_primaries = reader.colors.primaries
            context.color_trc = reader.colors.transfer
            self._video = video
            self._streams = {}
            for stream in (*reader.audio, *reader.subtitles):
                added = add_stream(container, stream, self._format)
                if added is not None:
                    self._streams[stream.index] = added
            self._attach(container)
            with usual_priority():
                container.start_encoding()
        except BaseException:
            discard(container, self._temporary)
            raise
        return container

    def _attach(self, container: av.container.OutputContainer) -> None:
        files = self._reader.attachments
        if self._format.attachments:
            for name, mime, data in files:
                container.add_attachment(name, mime, data)
        elif files:
            logging.info(
                "%s: %s holds no attachments, dropped: %s",
                self._reader.path,
                container.format.name,
                ", ".join(name for name, _, _ in files),
            )

    def _picture(self, frame: Frame) -> av.VideoFrame:
        """Return a frame in the video's size, padded to even sides."""
        import av

        frame = fit(frame, self._size, self._reader)
        array_u8 = frame.rgb_u8
        if self._alpha:
            array_u8 = frame.straight(self._reader.background).array_u8
            if array_u8.shape[2] == 3:
                array_u8 = np.dstack([array_u8, np.full(self._size, 255, np.uint8)])
        height, width = self._size
        array_u8 = np.pad(array_u8, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        return av.VideoFrame.from_ndarray(array_u8, format="rgba" if self._alpha else "rgb24")

    def _next_pts(self, frame: Frame) -> int:
        """Return a frame's time in the file's ticks, always later than the last."""
        to_ticks = self._reader.time_base / self._time_base
        pts = round(frame.pts * to_ticks)
        duration = round(frame.duration * to_ticks)
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
            # Not the reader's duration: MP4 and MOV store durations in decoding order.
            self._durations[self._last_pts] = pts - self._last_pts
            duration = duration or pts - self._last_pts
        self._shown = (pts if self._shown is None else self._shown[0], pts + duration)
        self._durations[pts] = duration
        self._last_pts = pts
        return pts

    def _mux_video(self, packet: av.Packet) -> None:
        # Encoders drop durations, and the muxer would guess the last one.
        duration = 0 if packet.pts is None else self._durations.pop(packet.pts, 0)
        if duration:
            packet.duration = duration
        if self._first_dts is None:
            self._first_dts = packet.dts
        self._mux(packet)

    def _flush_video(self) -> None:
        """Write the frames that the encoder still holds.

        MP4 and MOV measure the video in decoding order, from the first packet to the end of the
        last one. With a variable frame rate the last packet corrects that length.
        """
        packets = self._video.encode(None)
        for packet in packets[:-1]:
            self._mux_video(packet)
        for packet in packets[-1:]:
            if (
                self._format.tick is None
                and self._shown is not None
                and self._first_dts is not None
                and packet.pts is not None
                and packet.dts is not None
            ):
                start, end = self._shown
                before = packet.dts - self._first_dts
                self._durations[packet.pts] = max(1, end - start - before)
            self._mux_video(packet)

    def _mux_stream(self, packet: av.Packet) -> None:
        import av

        stream = self._streams.get(packet.stream_index)
        if stream is None:
            return
        name = _name(packet.stream)
        with ffmpeg_errors_naming(self.path, name):
            try:
                packets = stream.convert(packet)
            except av.FFmpegError as error:  # decoding of one packet
                self._reader.note_damage(f"{name} is damaged ({error.strerror}); the rest is kept")
                return
            self._mux(*packets)

    def _mux(self, *packets: av.Packet) -> None:
        if self._container is not None:
            self._container.mux(packets)

    def commit(self) -> None:
        """Finish the file and move it to its final name."""
        if self._container is None:
            return
        with ffmpeg_errors_naming(self.path, f"end of {self._all_streams}"):
            self._flush()
            self._container.close()
            replace_file(self._temporary, self.path)

    def close(self) -> None:
        """Close the file; remove it if it was not committed."""
        container, self._container = self._container, None
        if container is not None:
            discard(container, self._temporary)

    def _flush(self) -> None:
        self._flush_video()
        for stream in self._streams.values():
            self._mux(*stream.flush())


def _name(source: Any) -> str:
    """Describe a stream of the reader."""
    kind = "subtitles" if source.type == "subtitle" else source.type
    return f"stream {source.index} ({kind}, {source.codec_context.name})"
