"""Numbered pictures read as a video."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

from anime_tf.io.pictures import read_picture
from anime_tf.io.video.decoding import DEFAULT_DECODING, VideoDecoding
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.paths import list_sequence
from anime_tf.io.video.readers.base import FrameReader
from anime_tf.io.video.span import Span

DEFAULT_RATE = Fraction(25)  # frames per second


class ImageSequenceReader(FrameReader):
    """Reads numbered pictures in numeric order.

    A picture that cannot be read is replaced by the previous one. The rate of `span` is that at
    which the pictures are shown.
    """

    def __init__(
        self,
        place: str | os.PathLike[str],
        span: Span,
        decoding: VideoDecoding = DEFAULT_DECODING,
    ) -> None:
        super().__init__(Path(place), span, decoding)
        self.rate = span.rate or DEFAULT_RATE
        self.time_base = 1 / self.rate
        self._files = list_sequence(place)

    def _length(self) -> tuple[int, Fraction]:
        return len(self._files), len(self._files) * self.time_base

    def _frames(self) -> Iterator[Frame]:
        last = None
        for tick, file in enumerate(self._files):
            try:
                last = self._frame(read_picture(file), 0, 1)
            except (ValueError, OSError) as error:
                self.note_damage(f"cannot read {file.name}, repeats the previous one ({error})")
                if last is None:
                    continue
                self.replaced += 1
            yield replace(last, pts=tick)
