"""Numbered pictures as a film: read from a folder, and written into one."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from anime_tf.io import pictures
from anime_tf.io.atomic import AtomicWriter, replace_file, temporary_path
from anime_tf.io.folders import find_pictures
from anime_tf.io.video.demux import Frame
from anime_tf.io.video.readers import PictureSource, Source
from anime_tf.io.video.span import Span
from anime_tf.io.video.writers import report_what_is_left_out

if TYPE_CHECKING:
    import av

DEFAULT_RATE = Fraction(25)
"""Frames a second of numbered pictures, unless it is said."""

DEFAULT_PATTERN = "%06d.png"
"""Names of the pictures in a folder."""

_PLACE = re.compile(r"%(0\d+)?d")
_DIGITS = re.compile(r"(\d+)")


def is_sequence(place: str | os.PathLike[str]) -> bool:
    """Whether a name means numbered pictures.

    Args:
        place: A name.

    Returns:
        True for a pattern such as ``frames/%04d.png``, for a name with a slash at its end, and for
        a folder whose name has no suffix.
    """
    text = os.fspath(place)
    if _PLACE.search(os.path.basename(text)):
        return True
    return text.endswith(("/", os.sep)) or (os.path.isdir(text) and not Path(text).suffix)


class PictureSequence(PictureSource):
    """Reads numbered pictures; a context manager.

    In the order of their numbers: 2.png comes before 10.png. What is transparent is shown on white.
    A picture that cannot be read is replaced by the one before it.

    Args:
        place: A folder, or a pattern: ``frames/%04d.png`` with a place for the number.
        span: What of it is wanted; its rate is how fast the pictures are shown.

    Attributes:
        replaced: How many frames stand for broken ones.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it that fits.
    """

    def __init__(self, place: str | os.PathLike[str], span: Span) -> None:
        super().__init__(Path(place), span)
        self.rate = span.rate or DEFAULT_RATE
        self.time_base = 1 / self.rate
        self.replaced = 0
        self._files = _files(os.fspath(place))

    def _length(self) -> tuple[int, Fraction]:
        return len(self._files), len(self._files) * self.time_base

    def _pictures(self) -> Iterator[Frame]:
        last = None
        for tick, file in enumerate(self._files):
            try:
                picture = pictures.read_picture(file)
                last = on_white(picture)
            except (ValueError, OSError) as error:
                self.note_damage(f"cannot read {file.name}, and shows the one before it ({error})")
                if last is None:
                    continue
                self.replaced += 1
            yield Frame(last, tick, 1)


class SequenceWriter(AtomicWriter):
    """Writes frames as numbered pictures, from 1 on; a context manager.

    They appear when the block ends without an exception, all of them; else none does. Pictures of
    these names that are in the folder are replaced.

    Args:
        place: A folder, or a pattern: ``out/%05d.png``; missing folders are made.
        source: What the frames come from.
        done: How many of its first frames are passed over, as their pictures are there.

    Attributes:
        path: As given.

    Raises:
        ValueError: A kind of picture that is not written, or one that should be there is not.
    """

    def __init__(self, place: str | os.PathLike[str], source: Source, done: int = 0) -> None:
        check_sequence_target(place)
        self.path = Path(place)
        folder, self._pattern = _folder_and_pattern(os.fspath(place))
        self._folder = Path(folder or ".")
        self._suffix = Path(self._pattern).suffix
        self._source = source
        self._temporary = temporary_path(self._folder / "frames")
        self._made_folder = False
        self._count, self._done = 0, done
        for name in (_numbered(self._pattern, number) for number in range(1, done + 1)):
            if not (self._folder / name).is_file():
                raise ValueError(f"{self._folder / name}: expected a picture, found none")

    def write_frame(self, frame: Frame) -> None:
        """Writes a frame; its time is its number.

        Args:
            frame: Any size.

        Raises:
            OSError: It cannot be written; names the picture.
        """
        self._count += 1
        if self._count <= self._done:
            return
        if self._count == self._done + 1:
            report_what_is_left_out(self._source, "a folder of pictures")
            self._made_folder = not self._folder.exists()
            try:
                self._temporary.mkdir(parents=True)
            except OSError as error:
                raise OSError(error.errno, error.strerror, str(self.path)) from error
        pictures.write_picture(self._temporary_name(self._count), frame.rgb_u8)

    def write_packet(self, packet: av.Packet) -> None:
        """Does nothing: there is no place for it."""

    def commit(self) -> None:
        """Brings the pictures under their names."""
        for number in range(self._done + 1, self._count + 1):
            name = _numbered(self._pattern, number)
            replace_file(self._temporary_name(number), self._folder / name, durable=False)

    def close(self) -> None:
        """Removes what has not been finished."""
        if self._count <= self._done:
            return
        shutil.rmtree(self._temporary, ignore_errors=True)
        if self._made_folder:
            # It stays where there is something in it.
            with contextlib.suppress(OSError):
                self._folder.rmdir()

    def _temporary_name(self, number: int) -> Path:
        return self._temporary / f"{number}{self._suffix}"


def check_sequence_target(place: str | os.PathLike[str]) -> None:
    """Finds what is wrong with a place for pictures; touches no file.

    Args:
        place: As of `SequenceWriter`.

    Raises:
        ValueError: A kind of picture that is not written.
    """
    _, pattern = _folder_and_pattern(os.fspath(place))
    if Path(pattern).suffix.lower() not in pictures.WRITABLE_SUFFIXES:
        raise ValueError(
            f"{place}: pictures are written as {', '.join(pictures.WRITABLE_SUFFIXES)}; "
            "name one of these"
        )


def on_white(picture: pictures.Picture) -> np.ndarray:
    """A picture's colours, what is transparent on white; uint8 (height, width, 3)."""
    if picture.alpha_u8 is None:
        return picture.rgb_u8
    alpha = picture.alpha_u8[..., None].astype(np.uint16)
    mixed = picture.rgb_u8 * alpha + 255 * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def sequence_folder(place: str | os.PathLike[str]) -> Path:
    """The folder of numbered pictures, of a name for which `is_sequence` is True."""
    return Path(_folder_and_pattern(os.fspath(place))[0] or ".")


def _folder_and_pattern(text: str) -> tuple[str, str]:
    folder, name = os.path.split(text)
    if _PLACE.search(name):
        return folder, name
    return text, DEFAULT_PATTERN


def _numbered(pattern: str, number: int) -> str:
    return _PLACE.sub(lambda place: place.group() % number, pattern)


def _files(text: str) -> list[Path]:
    """The pictures that a folder or a pattern means, in the order of their numbers."""
    folder, name = os.path.split(text)
    if not _PLACE.search(name):
        return sorted(find_pictures(text, recursive=False), key=_natural)
    before, after = _PLACE.split(name, maxsplit=1)[0::2]
    fitting = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    found = [
        path
        for path in (Path(folder or ".").iterdir() if os.path.isdir(folder or ".") else ())
        if fitting.fullmatch(path.name)
    ]
    if not found:
        raise FileNotFoundError(f"{text}: expected numbered pictures, found none of such names")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[str | int]:
    """A key by which 2 comes before 10: text and numbers in turn."""
    return [int(part) if part.isdigit() else part for part in _DIGITS.split(path.name)]
