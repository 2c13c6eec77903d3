"""Films that were interrupted: what is noted of them, and how they go on.

Beside ``anime.mp4`` an interruption leaves ``anime.partial.mp4``, which plays, and
``anime.partial.mp4.json`` with what it was made from. To go on, its coded pictures are copied as
they are and a new encoder of the same settings does the rest, from a key frame on; sound,
subtitles and all else come from the source again.
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
from anime_tf.io.video.codecs import CONTAINERS, Coding
from anime_tf.io.video.demux import Frame
from anime_tf.io.video.file_writer import FilmWriter, told_of
from anime_tf.io.video.readers import Source
from anime_tf.io.video.sequence import SequenceWriter, is_sequence, sequence_folder

if TYPE_CHECKING:
    import av

    from anime_tf.io.video.writers import Writer

# How many pictures x264 and x265 put off at most, with a pyramid of B-frames: what times of
# decoding follow from. The others hand out one packet a frame, in order.
_PUT_OFF = {"h264": 2, "hevc": 2}

# Kinds of NAL units that say how all others are to be decoded: SPS and PPS; VPS, SPS and PPS.
_PARAMETERS = {"h264": {7, 8}, "hevc": {32, 33, 34}}
_START_CODE = re.compile(b"\x00?\x00\x00\x01")

_Packet = tuple[bytes, int, bool]  # data, rank of its picture in the order of showing, key frame


@dataclasses.dataclass(frozen=True)
class Notes:
    """What is noted of a film that was interrupted.

    Attributes:
        settings: What the film was made with; must be the same to go on.
        source: What tells the source from others, `source_identity`; likewise.
        frames: How many frames it holds.
        seconds: When the last of them is shown.
        height: Of a frame, before it was made even.
        width: Likewise.
        size: Of the file, bytes; of a folder of no meaning.
    """

    settings: dict[str, str]
    source: dict[str, int]
    frames: int
    seconds: float
    height: int
    width: int
    size: int


def partial_path(target: str | os.PathLike[str]) -> Path:
    """Where an interruption leaves what was done.

    Args:
        target: What is written.

    Returns:
        For ``anime.mp4``, ``anime.partial.mp4``; for numbered pictures their folder, where each of
        them stays under its own name.
    """
    if is_sequence(target):
        return sequence_folder(target)
    target = Path(target)
    return target.with_name(f"{target.stem}.partial{target.suffix}")


def notes_path(target: str | os.PathLike[str]) -> Path:
    """Where the notes about it lie."""
    partial = partial_path(target)
    if is_sequence(target):
        return partial / "partial.json"
    return partial.with_name(f"{partial.name}.json")


def can_go_on(target: str | os.PathLike[str]) -> bool:
    """Whether an interrupted target can be gone on with: films and pictures, not animations."""
    return is_sequence(target) or Path(target).suffix.lower() in CONTAINERS


def source_identity(path: Path) -> dict[str, int]:
    """What tells a source from others: of a file, or of what lies in a folder, size and time.

    Args:
        path: Of the source.

    Returns:
        `bytes` in all, and `changed`, the latest time of a change, in nanoseconds.
    """
    files = [entry for entry in path.iterdir() if entry.is_file()] if path.is_dir() else [path]
    found = [file.stat() for file in files if file.exists()]
    return {
        "bytes": sum(each.st_size for each in found),
        "changed": max((each.st_mtime_ns for each in found), default=0),
    }


def write_notes(target: str | os.PathLike[str], notes: Notes) -> None:
    """Writes the notes about a target that was interrupted."""
    text = json.dumps(dataclasses.asdict(notes), indent=2) + "\n"
    write_bytes(notes_path(target), text.encode())


def discard(target: str | os.PathLike[str]) -> None:
    """Removes what an interruption has left of a target; pictures stay."""
    notes_path(target).unlink(missing_ok=True)
    if not is_sequence(target):
        partial_path(target).unlink(missing_ok=True)


def find_notes(
    target: str | os.PathLike[str], source: Path, settings: Mapping[str, str]
) -> Notes | None:
    """Finds what an interruption has left of a target.

    Args:
        target: The film that shall be written.
        source: The path of what it is made from.
        settings: What it is made with.

    Returns:
        What is noted of it; None where nothing is left to go on with.

    Raises:
        ValueError: It was made with other settings or from another source, or is not what was
            noted of it; or the target is none that can be gone on with.
    """
    remedy = "leave out --resume to begin anew"
    if not can_go_on(target):
        raise ValueError(
            f"{target}: films ({', '.join(CONTAINERS)}) and numbered pictures can be gone on with, "
            f"animations cannot; {remedy}"
        )
    partial, beside = partial_path(target), notes_path(target)
    if not (beside if is_sequence(target) else partial).exists():
        return None
    expected = f"{beside}: expected notes about {partial.name}"
    try:
        notes = Notes(**json.loads(beside.read_text(encoding="utf-8")))
        was, source_was = dict(notes.settings), dict(notes.source)
    except FileNotFoundError:
        raise ValueError(f"{expected}, found no such file; {remedy}") from None
    except (TypeError, ValueError) as error:
        raise ValueError(f"{expected}, found something else ({error}); {remedy}") from error
    for name in sorted({*was, *settings}):
        if was.get(name) != settings.get(name):
            raise ValueError(
                f"{partial}: made with {name}={was.get(name)}, not {settings.get(name)}; give the "
                f"same as then, or {remedy}"
            )
    if source_was != source_identity(source):
        raise ValueError(
            f"{partial}: made from another film than {source} is now (size or time of change "
            f"differ); {remedy}"
        )
    size = notes.size if is_sequence(target) else partial.stat().st_size
    if size != notes.size:
        raise ValueError(f"{partial}: expected {notes.size} bytes, found {size}; {remedy}")
    return notes


class Begun(Closeable):
    """A film that was interrupted, as it is read to go on with; a context manager.

    Args:
        path: The partial film.
        notes: What is noted of it.

    Attributes:
        path: As given.
        notes: As given.
        codec: The name of its codec of pictures, as FFmpeg has it.
        parameters: What its decoder starts with: extradata.

    Raises:
        ValueError: It is no film, or holds another number of pictures than noted.
    """

    def __init__(self, path: Path, notes: Notes) -> None:
        import av

        self.path, self.notes = path, notes
        try:
            self._container = av.open(str(path))
        except av.FFmpegError as error:
            raise ValueError(f"{path}: expected a film, found {error.strerror}") from error
        try:
            self._stream = self._container.streams.video[0]
            self.codec = self._stream.codec_context.name
            self.parameters = bytes(self._stream.codec_context.extradata or b"")
            shown = [packet.pts or 0 for packet in self._demuxed()]
            self._ranks = {pts: rank for rank, pts in enumerate(sorted(set(shown)))}
            if len(shown) != notes.frames or len(self._ranks) != notes.frames:
                raise ValueError(
                    f"{path}: expected {notes.frames} pictures, found {len(shown)}; leave out "
                    "--resume to begin anew"
                )
            self._container.seek(min(shown, default=0), stream=self._stream)
        except IndexError:
            self._container.close()
            raise ValueError(f"{path}: expected a film, found no pictures in it") from None
        except BaseException:
            self._container.close()
            raise

    def _demuxed(self) -> Iterator[av.Packet]:
        return (packet for packet in self._container.demux(self._stream) if packet.size)

    def packets(self) -> Iterator[_Packet]:
        """Yields its coded pictures in the order of decoding, as an encoder gives them out."""
        counted = self.codec in _PARAMETERS and self.parameters[:1] == b"\x01"
        for packet in self._demuxed():
            data = bytes(packet)
            if counted:
                data = _with_start_codes(data)
            yield data, self._ranks[packet.pts or 0], packet.is_keyframe

    def close(self) -> None:
        """Closes the file."""
        self._container.close()


class ResumedFilmWriter(FilmWriter):
    """A `FilmWriter` that is given a film from its beginning, and copies what was done before.

    What it writes has the times, the number of frames and the sound of a film that was never
    interrupted; times of decoding are those that an encoder without an interruption gives.

    Args:
        path: As of `FilmWriter`.
        source: Likewise.
        coding: Likewise.
        begun: What was done, with the same settings and from the same source.
    """

    def __init__(
        self, path: str | os.PathLike[str], source: Source, coding: Coding, begun: Begun
    ) -> None:
        super().__init__(path, source, coding)
        self._begun = begun
        self._packets = begun.packets()
        self._next: _Packet | None = None
        self._count = 0  # of packets muxed
        self._put_off = _PUT_OFF.get(self._codec, 0)
        self._times: list[int] = []  # of all frames, in the order of showing

    @property
    def copies(self) -> bool:
        """Whether the next frame is one that was done before: it is not looked at."""
        return len(self._times) < self._begun.notes.frames

    def write_frame(self, frame: Frame) -> None:
        """Writes a frame, or what was made of it before."""
        if not self.copies:
            super().write_frame(frame)
            return
        with told_of(self.path):
            if self._container is None:
                self._open(self._begun.notes.height, self._begun.notes.width)
                self._check_parameters()
            self._next_pts(frame)

    def _check_parameters(self) -> None:
        """Whether the new encoder's pictures can follow the old one's under one header."""
        made = bytes(self._pictures.codec_context.extradata or b"")
        wanted = _PARAMETERS.get(self._codec)
        if wanted is None or not made:
            return
        for unit in filter(None, _START_CODE.split(made)):
            kind = unit[0] & 31 if self._codec == "h264" else unit[0] >> 1 & 63
            if kind in wanted and unit not in self._begun.parameters:
                raise ValueError(
                    f"{self._begun.path}: its encoder was another one than is here now; leave "
                    "out --resume to begin anew"
                )

    def _next_pts(self, frame: Frame) -> int:
        pts = super()._next_pts(frame)
        self._times.append(pts)
        self._copy(ended=False)
        return pts

    def _copy(self, *, ended: bool) -> None:
        """Muxes what was done before, as far as times and durations are known."""
        import av

        while True:
            self._next = self._next or next(self._packets, None)
            if self._next is None:
                return
            data, rank, is_key_frame = self._next
            # A frame's duration is known when the next one is, and the first times of decoding
            # when as many frames are as an encoder puts off.
            if not ended and len(self._times) < 2 + max(rank, self._put_off):
                return
            if rank >= len(self._times):
                raise ValueError(
                    f"{self._begun.path}: holds more frames than {self._source.path} gives; leave "
                    "out --resume to begin anew"
                )
            packet = av.Packet(data)
            packet.pts = packet.dts = self._times[rank]
            packet.time_base = self._time_base
            packet.is_keyframe = is_key_frame
            packet.stream = self._pictures
            self._next = None
            self._mux_picture(packet)

    def _mux_picture(self, packet: av.Packet) -> None:
        if packet.pts is not None:
            packet.dts = min(self._time_of_decoding(self._count), packet.pts)
        self._count += 1
        super()._mux_picture(packet)

    def _time_of_decoding(self, index: int) -> int:
        """That of the packet of this index, counted from 0, as x264 and x265 compute it."""
        times = self._times
        if index >= self._put_off:
            return times[index - self._put_off]
        return times[index] - (times[min(self._put_off, len(times) - 1)] - times[0])

    def _mux_rest(self) -> None:
        self._copy(ended=True)
        super()._mux_rest()


def resumed_writer(
    target: str | os.PathLike[str],
    source: Source,
    coding: Coding,
    notes: Notes,
    stack: contextlib.ExitStack,
) -> Writer:
    """Opens a writer that is given all frames from the first on, and keeps what was done.

    Args:
        target: What is written.
        source: What it is made from.
        coding: How its pictures are coded.
        notes: Of `find_notes`.
        stack: What closes the partial film in the end.

    Raises:
        ValueError: What was done is not what was noted of it.
    """
    if is_sequence(target):
        return SequenceWriter(target, source, notes.frames)
    begun = stack.enter_context(Begun(partial_path(target), notes))
    return ResumedFilmWriter(target, source, coding, begun)


def _with_start_codes(data: bytes) -> bytes:
    """NAL units with start codes before them, as encoders give them, in the place of lengths.

    Muxers put the lengths back: no byte of the units changes.
    """
    units = []
    at = 0
    while at + 4 <= len(data):
        length = int.from_bytes(data[at : at + 4], "big")
        units.append(data[at + 4 : at + 4 + length])
        at += 4 + length
    return b"".join(b"\x00\x00\x00\x01" + unit for unit in units)
