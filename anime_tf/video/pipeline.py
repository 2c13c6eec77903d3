"""A film through the network: reading, stylising and writing at the same time."""

from __future__ import annotations

import contextlib
import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np

from anime_tf.io.terminal import Progress
from anime_tf.io.video.codecs import DEFAULT_CODING, Coding
from anime_tf.io.video.demux import Frame
from anime_tf.io.video.readers import Source
from anime_tf.io.video.sequence import is_sequence, sequence_folder
from anime_tf.io.video.writers import Writer, check_target, open_writer, with_preview
from anime_tf.video import resume as partial

if TYPE_CHECKING:
    import av

    from anime_tf.video.stabilizer import FrameStylizer

FRAMES_AHEAD = 4
"""Frames that are decoded before the network wants them, and that may wait for the encoder."""

_MOST_PACKETS = 256  # of sound that travel together, where there are no frames between them

_Item = TypeVar("_Item")


@dataclass(frozen=True)
class FilmReport:
    """What `stylise_film` did.

    Attributes:
        frames: How many frames were written.
        damage: What is wrong with the source, one line; None for a whole film.
        path: Where they lie; None where an interruption left nothing new.
        stopped: Whether it was interrupted, and holds but a part.
    """

    frames: int
    damage: str | None
    path: Path | None
    stopped: bool = False


def check_output(
    source: str | os.PathLike[str],
    target: str | os.PathLike[str],
    coding: Coding = DEFAULT_CODING,
) -> None:
    """Finds what is wrong with an output at once; touches no file.

    Args:
        source: The film to be read.
        target: The film to be written.
        coding: How its pictures are coded.

    Raises:
        IsADirectoryError: The output is a folder.
        NotADirectoryError: A file stands where a folder is needed.
        PermissionError: The output's folder cannot be written to.
        ValueError: An output of a kind that is not written, or that would overwrite the input.
    """
    if Path(target).is_dir() and not is_sequence(target):
        raise IsADirectoryError(f"{target}: expected the name of a film, found a folder")
    check_target(target, coding)
    source_path, target_path = (
        sequence_folder(place) if is_sequence(place) else Path(place) for place in (source, target)
    )
    both = (source_path, target_path)
    if all(path.exists() for path in both) and os.path.samefile(*both):
        raise ValueError(f"{target}: this output would overwrite the input; name another --output")
    parent = target_path if is_sequence(target) else target_path.parent
    existing = next(place for place in (parent, *parent.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"{parent}: expected a folder, but {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"{parent}: no permission to write there; name another --output")


def frame_by_frame(stylise: Callable[[np.ndarray], np.ndarray]) -> FrameStylizer:
    """Makes what stylises pictures stylise a film's frames, each by itself.

    Args:
        stylise: uint8 RGB (height, width, 3) to the same, in any size that is one for all frames; a
            `Stylizer`, for example.

    Returns:
        A `FrameStylizer` that does not look at times.
    """
    return lambda rgb_u8, seconds: stylise(rgb_u8)


def stylise_film(
    film: Source,
    target: str | os.PathLike[str],
    stylise: FrameStylizer,
    *,
    coding: Coding = DEFAULT_CODING,
    preview: bool | None = False,
    settings: Mapping[str, str] | None = None,
    resume: bool = False,
    stop: threading.Event | None = None,
    warm_up_seconds: float = 0.0,
) -> FilmReport:
    """Stylises a film.

    Decoding, the network and encoding run on threads of their own, a few frames apart; memory
    does not grow with the length of the film. Every frame is kept, at its time.

    Args:
        film: The source, open, with its sound, of which nothing has been read.
        target: What to write, as of `targets.open_writer`; it appears whole, or not at all.
        stylise: What happens to the frames, one after the other, from this thread alone; see
            `frame_by_frame` for what stylises pictures.
        coding: How its pictures are coded.
        preview: Show what is written in a window; see `targets.open_writer`.
        settings: Name -> value of all that decides what is written; noted where the film is
            interrupted.
        resume: Whether to go on with what an interruption has left of this target.
        stop: Once it is set, the frames under way are written and the film ends, under the name
            of `partial.partial_path`.
        warm_up_seconds: For how long before the first frame to be written frames are stylised,
            where a film goes on; for a `stylise` that looks back.

    Returns:
        What was done.

    Raises:
        ValueError: Not a frame can be decoded, FFmpeg cannot encode one, or what was left does not
            belong to this source and these settings.
        OSError: The output cannot be written.
        MemoryError: A frame is too large for the device.
    """
    settings = settings or {}
    with contextlib.ExitStack() as stack:
        notes = partial.find_notes(target, film.path, settings) if resume else None
        if notes is None:
            writer = open_writer(target, film, coding, preview=preview)
        else:
            writer = partial.resumed_writer(target, film, coding, notes, stack)
            writer = with_preview(writer, film, preview)
        line = _Line(film, target, writer, notes, warm_up_seconds)
        report = line.run(stylise, stop or threading.Event())
    if report.stopped:
        if report.path is not None and line.size_hw is not None and partial.can_go_on(target):
            height, width = line.size_hw
            noted = partial.Notes(
                settings=dict(settings),
                source=partial.source_identity(film.path),
                frames=report.frames,
                seconds=line.seconds,
                height=height,
                width=width,
                size=0 if is_sequence(target) else report.path.stat().st_size,
            )
            partial.write_notes(target, noted)
    elif notes is not None:
        partial.discard(target)
    return report


class _Line:
    """Reader, network and writer, and the channels between them."""

    def __init__(
        self,
        film: Source,
        target: str | os.PathLike[str],
        writer: Writer,
        notes: partial.Notes | None,
        warm_up_seconds: float,
    ) -> None:
        self._film, self._target, self._writer = film, target, writer
        # How many were done before; and from when on these are stylised again, to look back on.
        self._done = notes.frames if notes else 0
        self._warm_from = notes.seconds - warm_up_seconds if notes else 0.0
        self._decoded: _Channel[_Piece] = _Channel(FRAMES_AHEAD)
        self._stylised: _Channel[_Piece] = _Channel(FRAMES_AHEAD)
        self._stopped = False
        self._seen = self._written = 0
        self.seconds = 0.0
        self.size_hw: tuple[int, int] | None = None
        if notes is not None:
            self.size_hw = (notes.height, notes.width)

    def run(self, stylise: FrameStylizer, stop: threading.Event) -> FilmReport:
        film, decoded, stylised = self._film, self._decoded, self._stylised
        progress = Progress(film.frames_expected, "frames", done=self._done)
        with progress, ThreadPoolExecutor(2, "film") as threads:
            reading, writing = threads.submit(self._read), threads.submit(self._write, progress)
            # A writer that fails must not leave the others waiting for room.
            writing.add_done_callback(lambda _: stylised.abandon())
            try:
                for piece in decoded:
                    if stop.is_set():
                        self._stopped = True
                        break
                    stylised.put(self._made(piece, stylise))
                if self._stopped:
                    decoded.abandon()
                else:
                    reading.result()
                stylised.finish()
                path = writing.result()
            except _AbandonedError:
                decoded.abandon()
                writing.result()
                raise
            except BaseException:
                decoded.abandon()
                stylised.abandon()
                raise
        return FilmReport(self._written, film.damage, path, self._stopped)

    def _read(self) -> None:
        try:
            for piece in _pieces(self._film):
                self._decoded.put(piece)
        finally:
            self._decoded.finish()

    def _made(self, piece: _Piece, stylise: FrameStylizer) -> _Piece:
        frame = piece.frame
        if frame is None:
            return piece
        seconds = float(frame.pts * self._film.time_base)
        self._seen += 1
        if self._seen <= self._done:
            if seconds > self._warm_from:
                stylise(frame.rgb_u8, seconds)
            return piece
        anime_u8 = stylise(frame.rgb_u8, seconds)
        return replace(piece, frame=replace(frame, rgb_u8=anime_u8))

    def _write(self, progress: Progress) -> Path | None:
        """Writes all; returns where it lies, None where an interruption leaves nothing new."""
        with contextlib.suppress(_NothingNewError), self._writer as writer:
            for piece in self._stylised:
                for packet in piece.sound:
                    writer.write_packet(packet)
                frame = piece.frame
                if frame is None:
                    continue
                writer.write_frame(frame)
                self._written += 1
                self.seconds = float(frame.pts * self._film.time_base)
                if self._written > self._done:
                    self.size_hw = self.size_hw or frame.rgb_u8.shape[:2]
                    progress.update()
            if self._stopped:
                if self._written <= self._done:
                    raise _NothingNewError
                path = partial.partial_path(self._target)
                if not is_sequence(self._target):
                    writer.path = path
                return path
            return writer.path
        return None


class _NothingNewError(Exception):
    """An interruption before a frame was stylised: what was there before stays."""


@dataclass(frozen=True)
class _Piece:
    """A frame, and the sound that lies before it in the file; without a frame, sound alone."""

    sound: tuple[av.Packet, ...]
    frame: Frame | None


def _pieces(film: Source) -> Iterator[_Piece]:
    """The film in pieces, so that what waits can be counted in frames."""
    sound: list[av.Packet] = []
    for item in film.items():
        if isinstance(item, Frame):
            yield _Piece(tuple(sound), item)
            sound = []
            continue
        sound.append(item)
        if len(sound) >= _MOST_PACKETS:
            yield _Piece(tuple(sound), None)
            sound = []
    if sound:
        yield _Piece(tuple(sound), None)


class _AbandonedError(Exception):
    """The other end of a channel has given up."""


class _Channel(Generic[_Item]):
    """A queue of bounded length between two threads, which either end can give up."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._items: deque[_Item] = deque()
        self._changed = threading.Condition()
        self._finished = False
        self._abandoned = False

    def put(self, item: _Item) -> None:
        """Adds an item as soon as there is room."""
        with self._changed:
            self._changed.wait_for(lambda: self._abandoned or len(self._items) < self._size)
            if self._abandoned:
                raise _AbandonedError
            self._items.append(item)
            self._changed.notify_all()

    def __iter__(self) -> Iterator[_Item]:
        """Yields items until the channel is finished; each as soon as there is one."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._abandoned or self._items or self._finished)
                if self._abandoned:
                    raise _AbandonedError
                if not self._items:
                    return
                item = self._items.popleft()
                self._changed.notify_all()
            yield item

    def finish(self) -> None:
        """Says that no more items will come."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def abandon(self) -> None:
        """Makes both ends stop: they raise `_AbandonedError`."""
        with self._changed:
            self._abandoned = True
            self._items.clear()
            self._changed.notify_all()
