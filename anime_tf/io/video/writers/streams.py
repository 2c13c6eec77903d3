"""Audio and subtitle streams copied or encoded into a video file."""

from __future__ import annotations

import io
import math
from fractions import Fraction
from typing import TYPE_CHECKING, Any, Protocol, cast

from absl import logging

from anime_tf.io.video.codecs import Container

if TYPE_CHECKING:
    import av
    from av.subtitles.stream import SubtitleStream

_BITS_PER_CHANNEL = 96_000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}  # others are mixed to stereo
_AUDIO_NAMES = {"aac": "AAC", "libopus": "Opus"}

# Metadata of the file rather than its content, and of the rotation that frames already have.
_NOT_COPIED = {
    *("major_brand", "minor_version", "compatible_brands", "encoder", "rotate", "duration"),
    *("alpha_mode", "bps", "number_of_frames", "number_of_bytes", "vendor_id"),
}


class PacketStream(Protocol):
    """Rules for copying audio and subtitle packets."""

    def convert(self, packet: av.Packet) -> list[av.Packet]:
        """Return the packets to write for a packet of the reader."""

    def flush(self) -> list[av.Packet]:
        """Return the buffered packets at the end of the stream."""
        return []


class _CopiedStream(PacketStream):
    """Audio or subtitles copied packet by packet."""

    def __init__(self, target: av.AudioStream | SubtitleStream) -> None:
        self._target = target
        self._last_dts: int | None = None
        self._end = 0

    def convert(self, packet: av.Packet) -> list[av.Packet]:
        """Return the same bytes, with times that never decrease."""
        dts = packet.dts if packet.dts is not None else packet.pts
        if dts is None:
            dts = self._end
        if self._last_dts is not None:
            # A tick of the target at least: joined recordings overlap.
            tick = self._target.time_base or packet.time_base
            dts = max(dts, self._last_dts + max(1, math.ceil(tick / packet.time_base)))
        pts = dts if packet.pts is None else max(packet.pts, dts)
        packet.dts, packet.pts = dts, pts
        self._last_dts, self._end = dts, dts + (packet.duration or 0)
        packet.stream = self._target
        return [packet]


class _EncodedAudio(PacketStream):
    """Audio that the container cannot hold, encoded again."""

    def __init__(self, target: av.AudioStream) -> None:
        self._target = target
        self._kind: tuple[str, str, int] | None = None
        self._resampler: Any = None
        self._end = -(2**62)  # of the last samples

    def convert(self, packet: av.Packet) -> list[av.Packet]:
        """Return the packets that the encoder has ready."""
        return [
            encoded
            for frame in cast("list[Any]", packet.decode())
            for part in self._resampled(frame)
            for encoded in self._target.encode(part)
        ]

    def flush(self) -> list[av.Packet]:
        """Return the packets that the encoder still holds."""
        rest = self._resampler.resample(None) if self._resampler else []
        return [encoded for part in (*rest, None) for encoded in self._target.encode(part)]

    def _resampled(self, frame: Any) -> list[Any]:
        """Return the frame as the encoder takes it; broadcasts change channels on the way."""
        import av

        parts: list[Any] = []
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind != self._kind:
            parts = self._resampler.resample(None) if self._resampler else []
            target = self._target
            self._resampler = av.AudioResampler(target.format, target.layout, target.rate)
            self._kind = kind
        return [part for part in (*parts, *self._resampler.resample(frame)) if self._is_new(part)]

    def _is_new(self, part: Any) -> bool:
        """Tell whether samples follow the last ones; joined recordings overlap."""
        if part.pts is None:
            return True
        late = self._end - part.pts
        if late >= part.samples:
            return False
        part.pts += max(0, late)
        self._end = part.pts + part.samples
        return True


class _EncodedSubtitles(PacketStream):
    """Text subtitles that the container cannot hold, encoded again."""

    def __init__(self, source: SubtitleStream, target: SubtitleStream) -> None:
        self._source, self._target = source, target
        self._last: int | None = None

    def convert(self, packet: av.Packet) -> list[av.Packet]:
        """Return the same text at the same time; nothing for a packet without text."""
        text = self._source.codec_context.decode2(packet)
        first = packet.pts if packet.pts is not None else packet.dts
        if text is None or not len(text) or first is None:
            return []
        encoded = self._target.codec_context.encode_subtitle(text)
        # Of two at one time the second is a tick later, to keep times increasing.
        first = first if self._last is None else max(first, self._last + 1)
        self._last = first
        encoded.pts = encoded.dts = first
        encoded.duration, encoded.time_base = packet.duration or 0, packet.time_base
        encoded.stream = self._target
        return [encoded]


def add_stream(
    container: av.container.OutputContainer,
    source: av.AudioStream | SubtitleStream,
    kind: Container,
) -> PacketStream | None:
    """Add a stream for audio or subtitles: copied if the container can hold it, else encoded.

    Subtitles that can be neither are logged and give None.
    """
    if _can_copy(container.format.name, source) and _is_played(source, kind):
        target = container.add_stream_from_template(source)
        _describe(target, source)
        return _CopiedStream(target)
    if source.type == "audio":
        return _encode_audio(container, cast("av.AudioStream", source), kind)
    return _encode_subtitles(container, source, kind)


def _encode_audio(
    container: av.container.OutputContainer, source: av.AudioStream, kind: Container
) -> _EncodedAudio:
    import av

    context = source.codec_context
    reason = "cannot be stored" if _is_played(source, kind) else "is not decoded by all players"
    _log(source, container, reason, f"encoded as {_AUDIO_NAMES[kind.audio_encoder]}")
    rates = av.Codec(kind.audio_encoder, "w").audio_rates or [48_000]
    rate = min(rates, key=lambda known: abs(known - context.sample_rate))
    encoded = cast("av.AudioStream", container.add_stream(kind.audio_encoder, rate=rate))
    encoded.layout = _LAYOUTS.get(context.layout.nb_channels, "stereo")
    encoded.bit_rate = _BITS_PER_CHANNEL * encoded.layout.nb_channels
    _describe(encoded, source)
    return _EncodedAudio(encoded)


def _encode_subtitles(
    container: av.container.OutputContainer, source: SubtitleStream, kind: Container
) -> _EncodedSubtitles | None:
    context = source.codec_context
    # Text decoders make a header when they open; picture subtitles have none. Older releases of
    # PyAV do not encode subtitles.
    context.open(strict=False)
    header = getattr(context, "subtitle_header", None)
    if not header or not hasattr(context, "encode_subtitle"):
        _log(source, container, "cannot be stored", "dropped")
        return None
    _log(source, container, "cannot be stored", f"encoded as {kind.subtitles}")
    target = cast("SubtitleStream", container.add_stream(kind.subtitles))
    target.codec_context.subtitle_header = header
    target.codec_context.time_base = Fraction(1, 1000)
    _describe(target, source)
    return _EncodedSubtitles(source, target)


def _is_played(source: av.AudioStream | SubtitleStream, kind: Container) -> bool:
    if source.type != "audio" or kind.audio_codecs is None:
        return True
    return source.codec_context.codec.canonical_name in kind.audio_codecs


def _can_copy(format_name: str, source: av.AudioStream | SubtitleStream) -> bool:
    """Tell whether a container format holds a stream as it is.

    A header is written to memory, because FFmpeg rejects some codecs only then (FLAC and Opus in
    MOV).
    """
    import av

    try:
        with av.open(io.BytesIO(), "w", format=format_name) as trial:
            trial.add_stream_from_template(source)
            trial.start_encoding()
    except (ValueError, av.FFmpegError):
        return False
    return True


def _log(
    source: av.AudioStream | SubtitleStream,
    container: av.container.OutputContainer,
    reason: str,
    outcome: str,
) -> None:
    kind = "audio" if source.type == "audio" else "subtitles"
    name, target = source.codec_context.name, container.format.name
    logging.info("%s %d: %s %s in %s, %s", kind, source.index, name, reason, target, outcome)


def _describe(
    target: av.AudioStream | SubtitleStream, source: av.AudioStream | SubtitleStream
) -> None:
    target.metadata.update(copied_metadata(source.metadata))
    target.disposition = source.disposition


def copied_metadata(metadata: dict[str, str]) -> dict[str, str]:
    """Return the metadata that also describes the stylized video."""
    return {
        key: value
        for key, value in metadata.items()
        if key.lower().partition("-")[0] not in _NOT_COPIED and not key.startswith("_STATISTICS")
    }
