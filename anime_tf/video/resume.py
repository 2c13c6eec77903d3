"""Interrupted videos: a partial file, a record of what it was made from, and its continuation.

An interruption of ``anime.mp4`` leaves ``anime.partial.mp4``, which plays, and
``anime.partial.mp4.json``. A resumed run copies the coded frames of the partial file and encodes
the rest with the same settings from a key frame on; all else comes from the source.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from anime_tf.io.atomic import write_bytes
from anime_tf.io.closeable import Closeable
from anime_tf.io.plain_file import read_plain_file
from anime_tf.io.video.codecs import CONTAINERS, VideoEncoding
from anime_tf.io.video.ffmpeg import open_input
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.paths import is_sequence, sequence_folder
from anime_tf.io.video.readers.base import VideoReader
from anime_tf.io.video.readers.video_file import has_alpha_mode
from anime_tf.io.video.writers.base import VideoWriter, ffmpeg_errors_naming
from anime_tf.io.video.writers.image_sequence import ImageSequenceWriter
from anime_tf.io.video.writers.video_file import VideoFileWriter

if TYPE_CHECKING:
    import av

# Largest reordering delay of x264 and x265 in frames, with a pyramid of B-frames; it determines
# decoding times. The other encoders return one packet per frame, in order.
_REORDER_DELAY = {"h264": 2, "hevc": 2}

# NAL unit types of the parameter sets: SPS and PPS; VPS, SPS and PPS.
_PARAMETER_SETS = {"h264": {7, 8}, "hevc": {32, 33, 34}}
_START_CODE = re.compile(b"\x00?\x00\x00\x01")

_REMEDY = "remove --resume to start anew"


@dataclasses.dataclass(frozen=True)
class ResumeRecord:
    """Record of an interrupted video; a resumed run has the same settings and source."""

    settings: dict[str, str]
    source: dict[str, int]  # as of `source_identity`
    frames: int  # written
    seconds: float  # time of the last one
    height: int  # of a frame, before padding to an even one
    width: int
    size: int  # bytes of the partial file; 0 for numbered pictures


def partial_path(target: str | os.PathLike[str]) -> Path:
    """Return ``anime.partial.mp4`` for ``anime.mp4``, and the folder for numbered pictures."""
    if is_sequence(target):
        return sequence_folder(target)
    target = Path(target)
    return target.with_name(f"{target.stem}.partial{target.suffix}")


def record_path(target: str | os.PathLike[str]) -> Path:
    """Return the path of a target's `ResumeRecord`."""
    partial = partial_path(target)
    if is_sequence(target):
        return partial / "partial.json"
    return partial.with_name(f"{partial.name}.json")


def can_resume(target: str | os.PathLike[str]) -> bool:
    """Tell whether an interrupted target can be resumed: videos and pictures, not animations."""
    return is_sequence(target) or Path(target).suffix.lower() in CONTAINERS


def source_identity(path: Path) -> dict[str, int]:
    """Return `bytes`, and `changed`, the latest change in nanoseconds, of a file or folder."""
    files = [entry for entry in path.iterdir() if entry.is_file()] if path.is_dir() else [path]
    found = [file.stat() for file in files if file.exists()]
    return {
        "bytes": sum(each.st_size for each in found),
        "changed": max((each.st_mtime_ns for each in found), default=0),
    }


def write_record(target: str | os.PathLike[str], record: ResumeRecord) -> None:
    """Write the record of an interrupted target."""
    text = json.dumps(dataclasses.asdict(record), indent=2) + "\n"
    write_bytes(record_path(target), text.encode())


def discard(target: str | os.PathLike[str]) -> None:
    """Remove the partial file and the record of a target; numbered pictures stay."""
    record_path(target).unlink(missing_ok=True)
    if not is_sequence(target):
        partial_path(target).unlink(missing_ok=True)


def find_record(
    target: str | os.PathLike[str], source: Path, settings: Mapping[str, str]
) -> ResumeRecord | None:
    """Read the record of an interrupted target; None if there is nothing to resume.

    Raises:
        ValueError: Settings, source or partial file differ from the record.
    """
    if not can_resume(target):
        raise ValueError(
            f"{target}: expected a video ({', '.join(CONTAINERS)}) or numbered pictures to resume; "
            f"{_REMEDY}"
        )
    partial, path = partial_path(target), record_path(target)
    if not (path if is_sequence(target) else partial).exists():
        return None
    expected = f"{path}: expected the record of {partial.name}"
    try:
        record = ResumeRecord(**json.loads(read_plain_file(path, "a record")))
        old_settings, old_source = dict(record.settings), dict(record.source)
    except FileNotFoundError:
        raise ValueError(f"{expected}, got no such file; {_REMEDY}") from None
    except Exception as error:
        raise ValueError(f"{expected}, got something else ({error}); {_REMEDY}") from error
    for name in sorted({*old_settings, *settings}):
        if old_settings.get(name) != settings.get(name):
            raise ValueError(
                f"{partial}: expected {name}={old_settings.get(name)} as before, got "
                f"{settings.get(name)}; change it, or {_REMEDY}"
            )
    if old_source != source_identity(source):
        raise ValueError(
            f"{partial}: expected the source that it was made from, got another {source} (size or "
            f"time of change differ); {_REMEDY}"
        )
    size = record.size if is_sequence(target) else partial.stat().st_size
    if size != record.size:
        raise ValueError(f"{partial}: expected {record.size} bytes, got {size}; {_REMEDY}")
    return record


class PartialVideo(Closeable):
    """Coded frames of a partial video; `parameters` are the parameter sets of its decoder.

    `size_hw` is the coded size, padded to even sides.

    Raises:
        ValueError: It is no video, or holds another number of frames than recorded.
    """

    def __init__(self, path: Path, record: ResumeRecord) -> None:
        self.path, self.record = path, record
        self._container = open_input(path)
        try:
            self._stream = self._container.streams.video[0]
            context = self._stream.codec_context
            self.codec, self.size_hw = context.name, (context.height, context.width)
            self.has_alpha = has_alpha_mode(self._stream)
            self.parameters = bytes(context.extradata or b"")
            times = [packet.pts or 0 for packet in self._demux()]
            self._ranks = {pts: rank for rank, pts in enumerate(sorted(set(times)))}
            if len(times) != record.frames or len(self._ranks) != record.frames:
                raise ValueError(
                    f"{path}: expected {record.frames} frames, got {len(times)}; {_REMEDY}"
                )
            self._container.seek(min(times, default=0), stream=self._stream)
        except IndexError:
            self._container.close()
            raise ValueError(f"{path}: expected a video, got a file without frames") from None
        except BaseException:
            self._container.close()
            raise

    def _demux(self) -> Iterator[av.Packet]:
        return (packet for packet in self._container.demux(self._stream) if packet.size)

    def packets(self) -> Iterator[tuple[av.Packet, int]]:
        """Yield coded frames in decoding order, as an encoder returns them, with their rank."""
        import av

        length_prefixed = self.codec in _PARAMETER_SETS and self.parameters[:1] == b"\x01"
        for packet in self._demux():
            rank, is_key_frame = self._ranks[packet.pts or 0], packet.is_keyframe
            if length_prefixed:
                packet = av.Packet(_with_start_codes(bytes(packet)))
                packet.is_keyframe = is_key_frame
            yield packet, rank

    def close(self) -> None:
        """Close the file."""
        self._container.close()


class ResumedVideoWriter(VideoFileWriter):
    """Writes a video from its beginning, copying the frames of a partial one.

    Times, frame count and audio equal those of an uninterrupted video; decoding times are those
    that one encoder would have returned.
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        reader: VideoReader,
        encoding: VideoEncoding,
        partial: PartialVideo,
    ) -> None:
        super().__init__(path, reader, encoding)
        self._partial, self._alpha = partial, partial.has_alpha
        self._packets = partial.packets()
        self._next: tuple[av.Packet, int] | None = None
        self._count = 0  # packets muxed
        self._delay = _REORDER_DELAY.get(self._codec, 0)
        self._times: list[int] = []  # of all frames in presentation order

    def write_frame(self, frame: Frame) -> None:
        """Write a frame, or the partial video's coded one in its place."""
        if len(self._times) >= self._partial.record.frames:
            super().write_frame(frame)
            return
        with ffmpeg_errors_naming(self.path, self._video_name):
            if self._container is None:
                self._open(self._partial.record.height, self._partial.record.width)
                self._check_parameters()
            self._next_pts(frame)

    def _check_parameters(self) -> None:
        """Check that the new encoder's frames can follow the old one's under one header."""
        extradata = bytes(self._video.codec_context.extradata or b"")
        wanted = _PARAMETER_SETS.get(self._codec)
        if wanted is None or not extradata:
            return
        for unit in filter(None, _START_CODE.split(extradata)):
            kind = unit[0] & 31 if self._codec == "h264" else unit[0] >> 1 & 63
            if kind in wanted and unit not in self._partial.parameters:
                raise ValueError(
                    f"{self._partial.path}: expected a video of this encoder, got one of another; "
                    f"{_REMEDY}"
                )

    def _next_pts(self, frame: Frame) -> int:
        pts = super()._next_pts(frame)
        self._times.append(pts)
        self._copy(ended=False)
        return pts

    def _copy(self, *, ended: bool) -> None:
        """Mux coded frames as far as their times and durations are known."""
        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None:
                return
            packet, rank = self._next
            # A duration needs the next frame's time, the first decoding times those of the delay.
            if not ended and len(self._times) < 2 + max(rank, self._delay):
                return
            if rank >= len(self._times):
                raise ValueError(
                    f"{self._partial.path}: expected at most the {len(self._times)} frames of "
                    f"{self._reader.path}, got more; {_REMEDY}"
                )
            packet.pts = packet.dts = self._times[rank]
            packet.time_base = self._time_base
            packet.stream = self._video
            self._next = None
            self._mux_video(packet)

    def _mux_video(self, packet: av.Packet) -> None:
        if packet.pts is not None:
            packet.dts = min(self._decoding_time(self._count), packet.pts)
        self._count += 1
        super()._mux_video(packet)

    def _decoding_time(self, index: int) -> int:
        """Return the decoding time of a packet as x264 and x265 compute it."""
        times = self._times
        if index >= self._delay:
            return times[index - self._delay]
        return times[index] - (times[min(self._delay, len(times) - 1)] - times[0])

    def _flush(self) -> None:
        self._copy(ended=True)
        super()._flush()


def open_resumed_writer(
    target: str | os.PathLike[str],
    reader: VideoReader,
    encoding: VideoEncoding,
    record: ResumeRecord,
    stack: contextlib.ExitStack,
) -> VideoWriter:
    """Open a writer that takes all frames from the first on and keeps those of the record.

    `stack` closes the partial video in the end.
    """
    if is_sequence(target):
        return ImageSequenceWriter(target, reader, record.frames)
    partial = stack.enter_context(PartialVideo(partial_path(target), record))
    return ResumedVideoWriter(target, reader, encoding, partial)


def _with_start_codes(data: bytes) -> bytes:
    """Replace the lengths before NAL units by start codes, as encoders return them."""
    made, at = bytearray(), 0
    while at + 4 <= len(data):
        end = at + 4 + int.from_bytes(data[at : at + 4], "big")
        made += b"\x00\x00\x00\x01" + data[at + 4 : end]
        at = end
    return bytes(made)
