"""A film through the network: reading, stylising and writing at the same time."""

from __future__ import annotations

import os
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Generic, TypeVar

import numpy as np
from tqdm import tqdm

from anime_tf.data.films import Frame
from anime_tf.video.codecs import DEFAULT_CODING, Coding
from anime_tf.video.sources import Source
from anime_tf.video.targets import check_target, open_writer

if TYPE_CHECKING:
    import av

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
    """

    frames: int
    damage: str | None


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
    source, target = Path(source), Path(target)
    if target.is_dir():
        raise IsADirectoryError(f"{target}: expected the name of a film, found a folder")
    check_target(target, coding)
    if target.exists() and source.exists() and os.path.samefile(source, target):
        raise ValueError(f"{target}: this output would overwrite the input; name another --output")
    parent = target.parent
    existing = next(place for place in (parent, *parent.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"{parent}: expected a folder, but {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"{parent}: no permission to write there; name another --output")


def stylise_film(
    film: Source,
    target: str | os.PathLike[str],
    stylise: Callable[[np.ndarray], np.ndarray],
    *,
    coding: Coding = DEFAULT_CODING,
) -> FilmReport:
    """Stylises a film.

    Decoding, the network and encoding run on threads of their own, a few frames apart; memory
    does not grow with the length of the film. Every frame is kept, at its time.

    Args:
        film: The source, open, with its sound, of which nothing has been read.
        target: The file to write; it appears whole, or not at all.
        stylise: What happens to a frame: uint8 RGB (height, width, 3) to the same, in any size
            that is one for all frames; called from this thread alone.
        coding: How its pictures are coded.

    Returns:
        What was done.

    Raises:
        ValueError: Not a frame can be decoded, or FFmpeg cannot encode one.
        OSError: The output cannot be written.
        MemoryError: A frame is too large for the device.
    """
    # disable=None: no bar where stderr is not a terminal.
    bar = tqdm(total=film.frames_expected, unit=" frames", disable=None, file=sys.stderr)
    decoded: _Channel[_Piece] = _Channel(FRAMES_AHEAD)
    stylised: _Channel[_Piece] = _Channel(FRAMES_AHEAD)

    def read() -> None:
        try:
            for piece in _pieces(film):
                decoded.put(piece)
        finally:
            decoded.finish()

    def write() -> None:
        with open_writer(target, film, coding) as writer:
            for piece in stylised:
                for packet in piece.sound:
                    writer.write_packet(packet)
                if piece.frame is not None:
                    writer.write_frame(piece.frame)
                    bar.update()

    with bar, ThreadPoolExecutor(2, "film") as threads:
        reading, writing = threads.submit(read), threads.submit(write)
        # A writer that fails must not leave the others waiting for room.
        writing.add_done_callback(lambda _: stylised.abandon())
        try:
            for piece in decoded:
                if piece.frame is not None:
                    anime_u8 = stylise(piece.frame.rgb_u8)
                    piece = replace(piece, frame=replace(piece.frame, rgb_u8=anime_u8))
                stylised.put(piece)
            reading.result()
            stylised.finish()
            writing.result()
        except _AbandonedError:
            decoded.abandon()
            writing.result()
            raise
        except BaseException:
            decoded.abandon()
            stylised.abandon()
            raise
    return FilmReport(film.count, film.damage)


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
