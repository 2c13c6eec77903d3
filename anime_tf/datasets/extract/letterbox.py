"""Black bars around the pictures of a film."""

from __future__ import annotations

import contextlib
import os

import cv2
import numpy as np

from anime_tf.datasets.extract.crops import Box
from anime_tf.io.video.demux import FilmReader

BLACK = 24
"""Luma up to which a row or a column belongs to a bar: black, and what coding makes of it."""

ENOUGH_FRAMES = 8
"""Frames that must be seen; fewer tell a bar from a dark edge too badly, and nothing is cut."""

EDGE = 2
"""Rows or columns cut off besides each bar, where it and the picture blend into each other."""

_BRIGHT = 16  # mean luma of frames that are looked at
_LIT = 95  # percentile of a row's luma that counts, so that a mark in its corner does not
_LEAST_LEFT = 0.2  # of a side: what is darker than that all along is no bar


class BarFinder:
    """Finds black bars over many frames of one film.

    A row is black where, in every frame looked at, 95 of 100 of its pixels have a luma of `BLACK`
    or less; columns likewise. Black rows and columns that reach to the edge are bars. Frames with
    a mean luma under 16 are passed over.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._rows = np.empty(0, np.uint8)
        self._columns = np.empty(0, np.uint8)

    def add(self, rgb_u8: np.ndarray) -> None:
        """Looks at a frame.

        Args:
            rgb_u8: (height, width, 3) RGB uint8, the same size each time.
        """
        gray = cv2.cvtColor(rgb_u8, cv2.COLOR_RGB2GRAY)
        if gray.mean() < _BRIGHT:
            return
        rows = np.percentile(gray, _LIT, axis=1, method="lower").astype(np.uint8)
        columns = np.percentile(gray, _LIT, axis=0, method="lower").astype(np.uint8)
        if self.frames and (len(rows), len(columns)) == (len(self._rows), len(self._columns)):
            rows, columns = np.maximum(self._rows, rows), np.maximum(self._columns, columns)
        self._rows, self._columns = rows, columns
        self.frames += 1

    def box(self) -> Box | None:
        """What is left without the bars.

        Returns:
            (top, left, height, width); None where there are no bars, or where fewer than
            `ENOUGH_FRAMES` frames were looked at.
        """
        if self.frames < ENOUGH_FRAMES:
            return None
        top, height = _lit_part(self._rows)
        left, width = _lit_part(self._columns)
        if (height, width) == (len(self._rows), len(self._columns)):
            return None
        return top, left, height, width


def _lit_part(luma: np.ndarray) -> tuple[int, int]:
    """Start and length of what lies between the bars of one axis."""
    lit = np.flatnonzero(luma > BLACK)
    if not lit.size:
        return 0, len(luma)
    start, end = int(lit[0]), int(lit[-1]) + 1
    start += EDGE if start else 0
    end -= EDGE if end < len(luma) else 0
    if end - start < _LEAST_LEFT * len(luma):
        return 0, len(luma)
    return start, end - start


def find_bars(film: str | os.PathLike[str]) -> Box | None:
    """Finds the black bars of a film.

    Looks at its key frames, which lie all over it and cost little to decode; where these are fewer
    than `ENOUGH_FRAMES`, as in short films, at all frames.

    Args:
        film: The film.

    Returns:
        (top, left, height, width) of what is left, in upright frames; None where there are no bars.

    Raises:
        FileNotFoundError: There is no such film.
        ValueError: It is no film, or holds no pictures.
    """
    finder = BarFinder()
    # Films without key frames exist, and those with faults; then all frames are looked at.
    with contextlib.suppress(ValueError):
        _look(finder, film, key_frames=True)
    if finder.frames < ENOUGH_FRAMES:
        finder = BarFinder()
        _look(finder, film, key_frames=False)
    return finder.box()


def _look(finder: BarFinder, film: str | os.PathLike[str], *, key_frames: bool) -> None:
    with FilmReader(film) as reader:
        stream = reader.container.streams.best("video")
        if key_frames and stream is not None:
            stream.codec_context.skip_frame = "NONKEY"
        for frame in reader.frames():
            finder.add(frame.rgb_u8)
