"""Video pipeline: read, stylize and write in parallel."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from anime_tf.io.geometry import resize
from anime_tf.io.paths import check_writable
from anime_tf.io.terminal import Progress
from anime_tf.io.video.codecs import DEFAULT_ENCODING, VideoEncoding
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.open import check_target, open_writer, with_preview
from anime_tf.io.video.paths import is_sequence, sequence_folder
from anime_tf.io.video.readers.base import VideoReader
from anime_tf.io.video.writers.base import VideoWriter
from anime_tf.video import resume as resuming

if TYPE_CHECKING:
    import av

    from anime_tf.video.stabilizer import FrameStylizer

FRAMES_AHEAD = 4  # capacity of the queues before and after the network

_MAX_PACKETS = 256  # that travel together without a frame between them

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class VideoReport:
    """Result of `stylize_frames`."""

    frames: int  # written
    damage: str | None  # defect of the input, one line
    path: Path | None  # None if an interruption left nothing new
    stopped: bool = False  # interrupted: the output is partial


def check_output(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    encoding: VideoEncoding = DEFAULT_ENCODING,
) -> None:
    """Check an output before any work, without touching a file.

    Raises:
        OSError: The output is a folder, or lies where nothing can be written.
        ValueError: The format cannot be written, or the output would overwrite the input.
    """
    if Path(target).is_dir() and not is_sequence(target):
        raise IsADirectoryError(f"{target}: expected the name of a video, got a folder")
    check_target(target, encoding)
    source_path, target_path = (
        sequence_folder(place) if is_sequence(place) else Path(place) for place in (source, target)
    )
    both = (source_path, target_path)
    if all(path.exists() for path in both) and os.path.samefile(*both):
        raise ValueError(f"{target}: would overwrite the input; choose another --output")
    check_writable(target_path if is_sequence(target) else target_path.parent)


def frame_by_frame(stylize: Callable[[np.ndarray], np.ndarray]) -> FrameStylizer:
    """Wrap a function of uint8 RGB (height, width, 3), as a `Stylizer`, as a `FrameStylizer`."""
    return lambda rgb_u8, _seconds: stylize(rgb_u8)


def stylize_frames(
    reader: VideoReader,
    target: str | os.PathLike[str],
    stylize: FrameStylizer,
    *,
    encoding: VideoEncoding = DEFAULT_ENCODING,
    preview: bool | None = False,
    settings: Mapping[str, str] | None = None,
    resume: bool = False,
    stop: threading.Event | None = None,
    keep_alpha: bool = True,
    warm_up_seconds: float = 0.0,
    status: Callable[[], str] = lambda: "",
) -> VideoReport:
    """Stylize a video, keeping every frame and its time.

    Decoding, the network and encoding run in threads of their own, a few frames apart; memory does
    not grow with the length of the video. The output appears whole, or not at all. A live reader
    is asked for its newest frame whenever the network is free, and no frame waits for it.

    Args:
        reader: The open input, of which nothing has been read.
        target: The output, as of `open_writer`.
        stylize: Called with the frames in order, in this thread; see `frame_by_frame`.
        encoding: Codec and quality.
        preview: As of `open_writer`.
        settings: Everything that decides the output; recorded on interruption.
        resume: Continue what an interruption has left of the target.
        stop: Set it to finish the frames in progress and end; the result is then at
            `resume.partial_path`.
        keep_alpha: Keep transparency in outputs that hold it.
        warm_up_seconds: Duration that a resumed run stylizes again, for a `stylize` with state.
        status: Returns a text to show behind the count of frames.

    Raises:
        ValueError: No frame can be decoded or FFmpeg cannot encode one; or what is left of the
            target belongs to another source or other settings.
        OSError: The output cannot be written.
        MemoryError: A frame is too large for the device.
    """
    settings = settings or {}
    with contextlib.ExitStack() as stack:
        record = resuming.find_record(target, reader.path, settings) if resume else None
        if record is None:
            writer = open_writer(target, reader, encoding, preview=preview)
        else:
            writer = resuming.open_resumed_writer(target, reader, encoding, record, stack)
            writer = with_preview(writer, reader, preview)
        pipeline = _Pipeline(reader, target, writer, record, keep_alpha, warm_up_seconds, status)
        report = pipeline.run(stylize, stop or threading.Event())
    if not report.stopped:
        if record is not None:
            resuming.discard(target)
    elif report.path is not None and pipeline.size_hw and resuming.can_resume(target):
        height, width = pipeline.size_hw
        record = resuming.ResumeRecord(
            settings=dict(settings),
            source=resuming.source_identity(reader.path),
            frames=report.frames,
            seconds=pipeline.seconds,
            height=height,
            width=width,
            size=0 if is_sequence(target) else report.path.stat().st_size,
        )
        resuming.write_record(target, record)
    return report


class _Pipeline:
    """Reader, network and writer, and the queues between them."""

    def __init__(
        self,
        reader: VideoReader,
        target: str | os.PathLike[str],
        writer: VideoWriter,
        record: resuming.ResumeRecord | None,
        keep_alpha: bool,
        warm_up_seconds: float,
        status: Callable[[], str],
    ) -> None:
        self._reader, self._target, self._writer = reader, target, writer
        self._done = record.frames if record else 0  # frames of the interrupted run
        self._warm_up_from = record.seconds - warm_up_seconds if record else 0.0
        self._decoded: _Queue[_Piece] = _Queue(FRAMES_AHEAD)
        self._stylized: _Queue[_Piece] = _Queue(1 if reader.is_live else FRAMES_AHEAD)
        self._keep_alpha, self._status = keep_alpha, status
        self._stopped = False
        self._seen = self._written = 0
        self.seconds = 0.0
        self.size_hw: tuple[int, int] | None = None
        if record is not None:
            self.size_hw = (record.height, record.width)

    def run(self, stylize: FrameStylizer, stop: threading.Event) -> VideoReport:
        reader, decoded, stylized = self._reader, self._decoded, self._stylized
        progress = Progress(reader.expected_frames, "frames", done=self._done)
        with progress, ThreadPoolExecutor(2, "video") as threads:
            writing = threads.submit(self._write, progress)
            reading = None if reader.is_live else threads.submit(self._read)
            pieces: Iterable[_Piece] = _pieces(reader) if reading is None else decoded
            # If the writer fails, the others must not wait for room.
            writing.add_done_callback(lambda _: stylized.abandon())
            try:
                for piece in pieces:
                    if stop.is_set():
                        self._stopped = True
                        break
                    stylized.put(self._stylize(piece, stylize))
                if self._stopped:
                    decoded.abandon()
                elif reading is not None:
                    reading.result()
                stylized.end()
                path = writing.result()
            except _AbandonedError:
                decoded.abandon()
                writing.result()
                raise
            except BaseException:
                decoded.abandon()
                stylized.abandon()
                raise
        return VideoReport(self._written, reader.damage, path, self._stopped)

    def _read(self) -> None:
        try:
            for piece in _pieces(self._reader):
                self._decoded.put(piece)
        finally:
            self._decoded.end()

    def _stylize(self, piece: _Piece, stylize: FrameStylizer) -> _Piece:
        frame = piece.frame
        if frame is None:
            return piece
        seconds = float(frame.pts * self._reader.time_base)
        self._seen += 1
        if self._seen <= self._done:
            if seconds > self._warm_up_from:
                stylize(frame.rgb_u8, seconds)
            return piece
        anime_u8 = stylize(frame.rgb_u8, seconds)
        alpha_u8 = None
        if self._keep_alpha and frame.alpha_u8 is not None:
            alpha_u8 = resize(frame.alpha_u8, anime_u8.shape[:2])
        return replace(piece, frame=replace(frame, rgb_u8=anime_u8, alpha_u8=alpha_u8))

    def _write(self, progress: Progress) -> Path | None:
        """Write all; return the output's path, None if an interruption leaves nothing new."""
        with contextlib.suppress(_NothingNewError), self._writer as writer:
            for piece in self._stylized:
                for packet in piece.packets:
                    writer.write_packet(packet)
                frame = piece.frame
                if frame is None:
                    continue
                writer.write_frame(frame)
                self._written += 1
                self.seconds = float(frame.pts * self._reader.time_base)
                if self._written > self._done:
                    self.size_hw = self.size_hw or frame.rgb_u8.shape[:2]
                    progress.update(self._status())
            if self._stopped:
                if self._written <= self._done:
                    raise _NothingNewError
                path = resuming.partial_path(self._target)
                if not is_sequence(self._target):
                    writer.path = path
                return path
            return writer.path
        return None


class _NothingNewError(Exception):
    """The run was interrupted before the first new frame; the old output stays."""


@dataclass(frozen=True)
class _Piece:
    """A frame with the packets before it in the file; packets alone if there is no frame."""

    packets: tuple[av.Packet, ...]
    frame: Frame | None


def _pieces(reader: VideoReader) -> Iterator[_Piece]:
    """Group packets with frames, so that queues can be measured in frames."""
    packets: list[av.Packet] = []
    for item in reader.items():
        if isinstance(item, Frame):
            yield _Piece(tuple(packets), item)
            packets = []
            continue
        packets.append(item)
        if len(packets) >= _MAX_PACKETS:
            yield _Piece(tuple(packets), None)
            packets = []
    if packets:
        yield _Piece(tuple(packets), None)


class _AbandonedError(Exception):
    """The other end of the queue has given up."""


class _Queue(Generic[_Item]):
    """Bounded queue between two threads that either end can abandon."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._ended = False
        self._abandoned = False

    def put(self, item: _Item) -> None:
        """Add an item; waits for room."""
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or len(self._items) < self._size)
            if self._abandoned:
                raise _AbandonedError
            self._items.append(item)
            self._changed.notify_all()

    def __iter__(self) -> Iterator[_Item]:
        """Yield items until the queue ends; waits for each."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._abandoned or self._items or self._ended)
                if self._abandoned:
                    raise _AbandonedError
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def end(self) -> None:
        """Declare that no more items will come."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Stop both ends: they raise `_AbandonedError`."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()
