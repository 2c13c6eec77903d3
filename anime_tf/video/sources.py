"""What films are made from: the protocol of sources, and the choice of one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Protocol

from anime_tf.data.films import Colours, FilmReader, Frame

if TYPE_CHECKING:
    import av


class Source(Protocol):
    """Gives frames with their times, and packets to be copied; a context manager, read once.

    Attributes:
        path: Of the file or folder; for messages.
        time_base: What a tick is, in seconds.
        rate: Frames a second, on average.
        colours: How colours are encoded, and shall be in a film of it.
        sound: PyAV's streams of sound whose packets it gives.
        subtitles: PyAV's streams of subtitles, likewise.
        attachments: (name, MIME type, bytes) of the files in it.
        count: How many frames it has given so far.
        damage: What went wrong, one line that begins with the path; None where nothing did.
    """

    path: Path
    time_base: Fraction
    rate: Fraction
    colours: Colours
    sound: tuple[Any, ...]
    subtitles: tuple[Any, ...]
    attachments: list[tuple[str, str, bytes]]
    count: int
    damage: str | None

    @property
    def frames_expected(self) -> int | None:
        """How many frames there should be; None where there is no telling."""

    @property
    def metadata(self) -> dict[str, str]:
        """What it says about itself."""

    @property
    def picture_metadata(self) -> dict[str, str]:
        """What its stream of pictures says about itself."""

    @property
    def chapters(self) -> list[Any]:
        """Its chapters, as PyAV tells them."""

    def items(self) -> Iterator[Frame | av.Packet]:
        """Yields frames, and packets to be copied, in the order in which they lie in the file."""

    def note_damage(self, what: str) -> None:
        """Sets `damage`, unless something went wrong before."""

    def __enter__(self) -> Source:
        """Itself."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Closes it."""


@dataclass(frozen=True)
class Span:
    """Which part of a source is wanted, and at which rate.

    Attributes:
        start: In seconds of the source; times in what is given count from here.
        end: In seconds of the source; None for its end.
        rate: Frames a second, constant; None for the source's own times.
    """

    start: Fraction = Fraction(0)
    end: Fraction | None = None
    rate: Fraction | None = None

    def __post_init__(self) -> None:
        """Checks the order of times."""
        if self.end is not None and self.end <= self.start:
            raise ValueError(
                f"end must lie after start, received {float(self.end):g} s after "
                f"{float(self.start):g} s"
            )


WHOLE = Span()
"""All of a source, at its own times."""


def open_source(place: str | os.PathLike[str], span: Span = WHOLE) -> Source:
    """Opens what a film shall be made from.

    Args:
        place: A film or an animation, in any format that FFmpeg reads, or an animated WebP; a
            folder of numbered pictures, or their pattern (``frames/%04d.png``); or the number of
            a camera.
        span: What of it is wanted.

    Returns:
        The source, with its sound, to be used as a context manager.

    Raises:
        FileNotFoundError: There is no such thing.
        ValueError: It holds no moving pictures, or cannot be read.
    """
    return FilmReader(place, sound=True, start=span.start, end=span.end)
