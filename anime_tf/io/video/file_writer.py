"""`FilmWriter`: RGB frames and packets of sound become a film."""

from __future__ import annotations

import contextlib
import io
import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast

import numpy as np
from absl import logging

from anime_tf.io import pictures
from anime_tf.io.atomic import AtomicWriter, replace_file, temporary_path
from anime_tf.io.video.codecs import CODECS, DEFAULT_CODING, Coding, Container, available_encoder
from anime_tf.io.video.demux import EXACT_CHROMA, Frame
from anime_tf.io.video.readers import Source

if TYPE_CHECKING:
    import av
    from av.subtitles.stream import SubtitleStream

_BITS_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}  # other numbers are mixed to stereo
_SOUND_NAMES = {"aac": "AAC", "libopus": "Opus"}

# What describes the source's file and not its content, and what players take for a turn that the
# frames have already made.
_NOT_COPIED = {
    *("major_brand", "minor_version", "compatible_brands", "encoder", "rotate", "duration"),
    *("bps", "number_of_frames", "number_of_bytes", "vendor_id"),
}


class FilmWriter(AtomicWriter):
    """Writes a film in 4:2:0 beside what else its source holds; a context manager.

    The file appears under its name when the block ends without an exception, whole; else nothing
    stays. Colours, rate and metadata are those of the source. Sound and subtitles are copied packet
    by packet where the container takes them, else encoded again. 4:2:0 needs an even height and
    width: frames of odd ones get one pixel more, their last row or column once again.

    Args:
        path: The file, with a suffix of `CONTAINERS`; missing folders are made.
        source: The film that frames and sound come from.
        coding: How its pictures are coded.

    Attributes:
        path: As given; may be changed to another name in the same folder until the block ends.

    Raises:
        ValueError: Another suffix, or a codec or quality that does not fit it.
    """

    def __init__(
        self, path: str | os.PathLike[str], source: Source, coding: Coding = DEFAULT_CODING
    ) -> None:
        self.path = Path(path)
        self._kind, self._codec, self._crf = coding.of(self.path)
        self._source = source
        self._temporary = temporary_path(self.path)
        self._container: av.container.OutputContainer | None = None
        self._others: dict[int, _Stream] = {}
        self._waiting: list[av.Packet] = []

    def write_frame(self, frame: Frame) -> None:
        """Writes a frame.

        Args:
            frame: Any size; all others are brought to that of the first. Times in the source's
                ticks.

        Raises:
            ValueError: FFmpeg cannot encode it.
            OSError: The file cannot be written; names `path`.
        """
        import av

        with told_of(self.path):
            if self._container is None:
                self._open(frame.rgb_u8.shape[0], frame.rgb_u8.shape[1])
            picture = av.VideoFrame.from_ndarray(self._fitted(frame.rgb_u8), format="rgb24")
            colours = self._source.colours
            picture = picture.reformat(
                format="yuv420p",
                dst_colorspace=colours.matrix,
                dst_color_range=colours.range_number,
                interpolation=EXACT_CHROMA,
            )
            picture.pts = self._next_pts(frame)
            picture.time_base = self._time_base
            self._mux_pictures(picture)

    def write_packet(self, packet: av.Packet) -> None:
        """Writes a packet that the source gave.

        Args:
            packet: As the source gave it.

        Raises:
            ValueError: It fits into no file of this kind.
            OSError: The file cannot be written; names `path`.
        """
        if self._container is None:  # the size of the frames is not known yet
            self._waiting.append(packet)
            return
        with told_of(self.path):
            self._mux_other(packet)

    def _open(self, height: int, width: int) -> None:

        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._size = (height, width)
        self._time_base = self._kind.tick or self._source.time_base
        self._shown: tuple[int, int] | None = None
        self._last_pts: int | None = None
        self._first_dts: int | None = None
        self._durations: dict[int, int] = {}
        self._container = self._opened()
        for packet in self._waiting:
            self._mux_other(packet)
        self._waiting.clear()

    def _opened(self) -> av.container.OutputContainer:
        """A file with its header written, and `_pictures` and `_others` for it."""
        import av

        source, (height, width) = self._source, self._size
        container = av.open(
            str(self._temporary),
            "w",
            format=self._kind.format_name,
            container_options=dict(self._kind.options),
        )
        try:
            container.metadata.update(_kept(source.metadata))
            container.set_chapters(source.chapters)
            encoder = available_encoder(self._codec)
            options = CODECS[self._codec].options.get(encoder, {})
            pictures_stream = cast(
                "av.VideoStream",
                container.add_stream(
                    encoder, rate=source.rate, options={**options, "crf": str(self._crf)}
                ),
            )
            pictures_stream.width, pictures_stream.height = width + width % 2, height + height % 2
            pictures_stream.pix_fmt = "yuv420p"
            pictures_stream.metadata.update(_kept(source.picture_metadata))
            context = pictures_stream.codec_context
            if self._codec in self._kind.tags:
                context.codec_tag = self._kind.tags[self._codec]
            context.time_base = self._time_base
            context.sample_aspect_ratio = Fraction(1)
            context.colorspace = source.colours.matrix_number
            context.color_range = source.colours.range_number
            context.color_primaries = source.colours.primaries
            context.color_trc = source.colours.transfer
            self._pictures = pictures_stream
            self._others = {}
            for stream in (*source.sound, *source.subtitles):
                other = _other(container, stream, self._kind)
                if other is not None:
                    self._others[stream.index] = other
            self._attach(container)
            container.start_encoding()
        except BaseException:
            _discard(container, self._temporary)
            raise
        return container

    def _attach(self, container: av.container.OutputContainer) -> None:
        files = self._source.attachments
        if self._kind.attachments:
            for name, mime, data in files:
                container.add_attachment(name, mime, data)
        elif files:
            logging.info(
                "%s: %s holds no attachments, left out: %s",
                self._source.path,
                container.format.name,
                ", ".join(name for name, _, _ in files),
            )

    def _fitted(self, rgb_u8: np.ndarray) -> np.ndarray:
        height, width = self._size
        if rgb_u8.shape[:2] != self._size:
            logging.log_first_n(
                logging.WARNING,
                "%s: frames change their size; all are brought to %dx%d, that of the first",
                1,
                self._source.path,
                width,
                height,
            )
            rgb_u8 = pictures.resize(rgb_u8, self._size)
        if height % 2 or width % 2:
            return np.pad(rgb_u8, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
        return np.ascontiguousarray(rgb_u8)

    def _next_pts(self, frame: Frame) -> int:
        """A frame's time in the file's ticks; later than the last even where they are coarser."""
        to_ticks = self._source.time_base / self._time_base
        pts = round(frame.pts * to_ticks)
        duration = round(frame.duration * to_ticks)
        if self._last_pts is not None:
            pts = max(pts, self._last_pts + 1)
            # Not what the source says: MP4 and MOV tell durations in the order of decoding.
            self._durations[self._last_pts] = pts - self._last_pts
            duration = duration or pts - self._last_pts
        self._shown = (pts if self._shown is None else self._shown[0], pts + duration)
        self._durations[pts] = duration
        self._last_pts = pts
        return pts

    def _mux_pictures(self, picture: av.VideoFrame | None) -> None:
        for packet in self._pictures.encode(picture):
            self._mux_picture(packet)

    def _mux_picture(self, packet: av.Packet) -> None:
        # The encoder does not hand durations on, and without one the last frame's is a guess.
        duration = 0 if packet.pts is None else self._durations.pop(packet.pts, 0)
        if duration:
            packet.duration = duration
        if self._first_dts is None:
            self._first_dts = packet.dts
        self._mux(packet)

    def _mux_last_pictures(self) -> None:
        """The pictures that the encoder still holds.

        MP4 and MOV count the length of the film in the order of decoding, from the first packet to
        the end of the last one. Where the frame rate varies that is another length than in the
        order of showing, unless the last packet makes up for it.
        """
        packets = self._pictures.encode(None)
        for packet in packets[:-1]:
            self._mux_picture(packet)
        for packet in packets[-1:]:
            if (
                self._kind.tick is None
                and self._shown is not None
                and self._first_dts is not None
                and packet.pts is not None
                and packet.dts is not None
            ):
                start, end = self._shown
                before = packet.dts - self._first_dts
                self._durations[packet.pts] = max(1, end - start - before)
            self._mux_picture(packet)

    def _mux_other(self, packet: av.Packet) -> None:
        import av

        kind = packet.stream.type
        other = self._others.get(packet.stream_index)
        if other is None:
            return
        try:
            packets = other.packets(packet)
        except av.FFmpegError as error:  # only decoding, of one packet
            what = "sound" if kind == "audio" else "subtitles"
            self._source.note_damage(f"{what} damaged ({error.strerror})")
            return
        for made in packets:
            self._mux(made)

    def _mux(self, packet: av.Packet) -> None:
        if self._container is not None:
            self._container.mux(packet)

    def commit(self) -> None:
        """Writes what is left to write, and brings the file under its name."""
        if self._container is None:
            return
        with told_of(self.path):
            self._mux_rest()
            self._container.close()
            replace_file(self._temporary, self.path)

    def close(self) -> None:
        """Closes the file; it is gone where it has not been finished."""
        container, self._container = self._container, None
        if container is not None:
            _discard(container, self._temporary)

    def _mux_rest(self) -> None:
        self._mux_last_pictures()
        for other in self._others.values():
            for packet in other.rest():
                self._mux(packet)


@contextlib.contextmanager
def told_of(path: Path) -> Iterator[None]:
    """FFmpeg's errors, and those of a temporary file, told of the file that is known.

    Args:
        path: That file.

    Raises:
        ValueError: FFmpeg cannot write it.
        OSError: The system cannot.
    """
    import av

    try:
        yield
    except OSError as error:  # PyAV's errors with a number of the system's are OSErrors too
        raise OSError(error.errno, error.strerror, str(path)) from error
    except av.FFmpegError as error:
        raise ValueError(f"{path}: FFmpeg cannot write it ({error.strerror})") from error


class _Stream(Protocol):
    """What becomes of the packets of a stream that is no picture's."""

    def packets(self, packet: av.Packet) -> list[av.Packet]:
        """What one of them becomes."""

    def rest(self) -> list[av.Packet]:
        """What is held back, at the end."""


class _Copied:
    """Sound or subtitles as they are, packet by packet."""

    def __init__(self, target: av.AudioStream | SubtitleStream) -> None:
        self._target = target
        self._last_dts: int | None = None
        self._end = 0

    def packets(self, packet: av.Packet) -> list[av.Packet]:
        """The packet for the file: the same bytes; times mended where they go back."""
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None:
            dts = self._end
        if self._last_dts is not None:
            dts = max(dts, self._last_dts + 1)
        pts = dts if packet.pts is None else max(packet.pts, dts)
        packet.dts, packet.pts = dts, pts
        self._last_dts, self._end = dts, dts + (packet.duration or 0)
        packet.stream = self._target
        return [packet]

    def rest(self) -> list[av.Packet]:
        """Nothing is held back."""
        return []


class _EncodedSound:
    """Sound of a kind that the container does not take, encoded again."""

    def __init__(self, target: av.AudioStream) -> None:
        self._target = target

    def packets(self, packet: av.Packet) -> list[av.Packet]:
        """What the encoder has ready."""
        frames: list[Any] = packet.decode()
        return [made for frame in frames for made in self._target.encode(frame)]

    def rest(self) -> list[av.Packet]:
        """What the encoder still holds."""
        return list(self._target.encode(None))


class _EncodedSubtitles:
    """Subtitles of text of a kind that the container does not take, encoded again."""

    def __init__(self, source: SubtitleStream, target: SubtitleStream) -> None:
        self._source, self._target = source, target
        self._last: int | None = None

    def packets(self, packet: av.Packet) -> list[av.Packet]:
        """The same words at the same time; nothing for a packet without words."""
        words = self._source.codec_context.decode2(packet)
        first = packet.pts if packet.pts is not None else packet.dts
        if words is None or not len(words) or first is None:
            return []
        made = self._target.codec_context.encode_subtitle(words)
        # One that begins with the one before it is shown a tick later, for the order of times.
        first = first if self._last is None else max(first, self._last + 1)
        self._last = first
        made.pts = made.dts = first
        made.duration, made.time_base = packet.duration or 0, packet.time_base
        made.stream = self._target
        return [made]

    def rest(self) -> list[av.Packet]:
        """Nothing is held back."""
        return []


def _other(
    container: av.container.OutputContainer,
    source: av.AudioStream | SubtitleStream,
    kind: Container,
) -> _Stream | None:
    """A stream for sound or subtitles: copied where the container takes its kind, else encoded.

    Returns:
        The stream; None for subtitles that can be neither, which the log names.
    """
    if _takes(container.format.name, source):
        target = container.add_stream_from_template(source)
        _describe(target, source)
        return _Copied(target)
    if source.type == "audio":
        return _encoded_sound(container, cast("av.AudioStream", source), kind)
    return _encoded_subtitles(container, source, kind)


def _encoded_sound(
    container: av.container.OutputContainer, source: av.AudioStream, kind: Container
) -> _EncodedSound:
    context = source.codec_context
    logging.info(
        "sound %d: %s does not go into %s, encoded again as %s",
        source.index,
        context.name,
        container.format.name,
        _SOUND_NAMES[kind.sound_encoder],
    )
    encoded = cast(
        "av.AudioStream",
        container.add_stream(
            kind.sound_encoder, rate=_nearest_rate(kind.sound_encoder, context.sample_rate)
        ),
    )
    encoded.layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
    encoded.bit_rate = _BITS_PER_CHANNEL * encoded.layout.nb_channels
    _describe(encoded, source)
    return _EncodedSound(encoded)


def _encoded_subtitles(
    container: av.container.OutputContainer, source: SubtitleStream, kind: Container
) -> _EncodedSubtitles | None:
    name, context = source.codec_context.name, source.codec_context
    # Decoders of text make a header when they open; those of pictures have none. Older releases of
    # PyAV encode no subtitles.
    context.open(strict=False)
    header = getattr(context, "subtitle_header", None)
    if not header or not hasattr(context, "encode_subtitle"):
        logging.info(
            "subtitles %d: %s does not go into %s, left out",
            source.index,
            name,
            container.format.name,
        )
        return None
    logging.info(
        "subtitles %d: %s does not go into %s, encoded again as %s",
        source.index,
        name,
        container.format.name,
        kind.subtitles,
    )
    target = cast("SubtitleStream", container.add_stream(kind.subtitles))
    target.codec_context.subtitle_header = header
    target.codec_context.time_base = Fraction(1, 1000)
    _describe(target, source)
    return _EncodedSubtitles(source, target)


def _takes(format_name: str, source: av.AudioStream | SubtitleStream) -> bool:
    """Whether a kind of container takes a stream as it is.

    Some kinds pass FFmpeg's question for the codec, and are refused when the header is written
    (FLAC and Opus in MOV): so one is written, to memory.
    """
    import av

    try:
        with av.open(io.BytesIO(), "w", format=format_name) as trial:
            trial.add_stream_from_template(source)
            trial.start_encoding()
    except (ValueError, av.FFmpegError):  # PyAV's own ValueError: "format does not support codec"
        return False
    return True


def _nearest_rate(encoder: str, rate: int) -> int:
    """The nearest sampling rate that an encoder has."""
    import av

    rates = av.Codec(encoder, "w").audio_rates or [48_000]
    return min(rates, key=lambda known: abs(known - rate))


def _describe(
    target: av.AudioStream | SubtitleStream, source: av.AudioStream | SubtitleStream
) -> None:
    target.metadata.update(_kept(source.metadata))
    target.disposition = source.disposition


def _kept(metadata: dict[str, str]) -> dict[str, str]:
    """What of a source's metadata holds for its stylised film too."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower().partition("-")[0] not in _NOT_COPIED and not key.startswith("_STATISTICS")
    }


def _discard(container: av.container.OutputContainer, path: Path) -> None:
    """Closes a file that nobody shall see, and removes it."""
    import av

    # First, for closing would write an index, and put it in front by moving all that is there.
    with contextlib.suppress(OSError):
        path.unlink(missing_ok=True)
    with contextlib.suppress(av.FFmpegError, OSError):
        container.close()
    # Again, for systems that do not remove open files.
    path.unlink(missing_ok=True)
