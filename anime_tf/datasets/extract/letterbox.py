"""Detection of letterbox bars: black rows and columns around the frames of a video."""

from __future__ import annotations

import contextlib
import os

import cv2
import numpy as np

from anime_tf.datasets.extract.crops import Box
from anime_tf.io.video.readers.video_file import VideoFileReader

BLACK = 24  # largest luma of a bar: black with coding noise
MINIMUM_FRAMES = 8  # fewer cannot tell a bar from a dark edge; then nothing is cut
MARGIN = 2  # rows or columns cut beside each bar, where it blends into the picture
_BRIGHT = 16  # smallest mean luma of a frame that counts
_PERCENTILE = 95  # of a row's luma, so that a logo in its corner does not count
_MINIMUM_SHARE = 0.2  # of a side: a video that would lose more has no bars, but is dark


class LetterboxDetector:
    """Detects letterbox bars from many frames of one video.

    A row is black if 95 % of its pixels have a luma of at most `BLACK` in every frame; columns
    likewise. Black rows and columns at the border are bars. Frames with a mean luma below 16 do not
    count.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._rows = np.empty(0, np.uint8)
        self._columns = np.empty(0, np.uint8)

    def add(self, rgb_u8: np.ndarray) -> None:
        """Add a frame, (height, width, 3) RGB uint8 of the same size as the others."""
        gray = cv2.cvtColor(rgb_u8, cv2.COLOR_RGB2GRAY)
        if gray.mean() < _BRIGHT:
            return
        rows = np.percentile(gray, _PERCENTILE, axis=1, method="lower").astype(np.uint8)
        columns = np.percentile(gray, _PERCENTILE, axis=0, method="lower").astype(np.uint8)
        if self.frames and (len(rows), len(columns)) == (len(self._rows), len(self._columns)):
            rows, columns = np.maximum(self._rows, rows), np.maximum(self._columns, columns)
        self._rows, self._columns = rows, columns
        self.frames += 1

    def box(self) -> Box | None:
        """Return the window without bars; None if there are none or too few frames."""
        if self.frames < MINIMUM_FRAMES:
            return None
        top, height = _content(self._rows)
        left, width = _content(self._columns)
        if (height, width) == (len(self._rows), len(self._columns)):
            return None
        return top, left, height, width


def _content(luma: np.ndarray) -> tuple[int, int]:
    """Return start and length of the part of an axis between the bars."""
    lit = np.flatnonzero(luma > BLACK)
    if not lit.size:
        return 0, len(luma)
    start, end = int(lit[0]), int(lit[-1]) + 1
    start += MARGIN if start else 0
    end -= MARGIN if end < len(luma) else 0
    if end - start < _MINIMUM_SHARE * len(luma):
        return 0, len(luma)
    return start, end - start


def find_letterbox(video: str | os.PathLike[str]) -> Box | None:
    """Find the window without letterbox bars in the upright frames of a video.

    Reads the key frames, which are spread over the video and fast to decode, or all frames if there
    are fewer than `MINIMUM_FRAMES`.

    Returns None if there are no bars; raises FileNotFoundError, or ValueError for no video.
    """
    detector = LetterboxDetector()
    # Some videos have no, or damaged, key frames.
    with contextlib.suppress(ValueError):
        _add_frames(detector, video, key_frames=True)
    if detector.frames < MINIMUM_FRAMES:
        detector = LetterboxDetector()
        _add_frames(detector, video, key_frames=False)
    return detector.box()


def _add_frames(
    detector: LetterboxDetector, video: str | os.PathLike[str], *, key_frames: bool
) -> None:
    with VideoFileReader(video) as reader:
        stream = reader.container.streams.best("video")
        if key_frames and stream is not None:
            stream.codec_context.skip_frame = "NONKEY"
        for frame in reader.frames():
            detector.add(frame.rgb_u8)
