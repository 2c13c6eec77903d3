"""Animated WebP files, which FFmpeg does not read."""

from __future__ import annotations

import os
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from anime_tf.io.pictures import Picture
from anime_tf.io.video.decoding import DEFAULT_DECODING, VideoDecoding
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.readers.base import FrameReader
from anime_tf.io.video.span import Span
from anime_tf.io.video.webp_chunks import read_frame_times

_TICK = Fraction(1, 1000)
_BATCH_BYTES = 2**28  # of frames that OpenCV decodes in one call


class AnimatedWebPReader(FrameReader):
    """Reads an animated WebP."""

    def __init__(
        self,
        path: str | os.PathLike[str],
        span: Span,
        decoding: VideoDecoding = DEFAULT_DECODING,
    ) -> None:
        super().__init__(Path(path), span, decoding)
        self._size_hw, self._durations = read_frame_times(path)
        if not self._durations:
            raise ValueError(f"{path}: expected an animated WebP, got one without a frame")
        self.time_base = _TICK
        total = sum(self._durations) * _TICK
        if total:
            self.rate = (len(self._durations) / total).limit_denominator(1001)

    def _length(self) -> tuple[int, Fraction]:
        return len(self._durations), sum(self._durations) * _TICK

    def _frames(self) -> Iterator[Frame]:
        height, width = self._size_hw
        # Each call decodes from the first frame on: few large calls are faster.
        batch = max(1, _BATCH_BYTES // (4 * height * width))
        pts = 0
        for first in range(0, len(self._durations), batch):
            count = min(batch, len(self._durations) - first)
            decoded, animation = cv2.imreadanimation(str(self.path), start=first, count=count)
            frames = list(animation.frames) if decoded else []
            for frame, duration in zip(frames, self._durations[first:], strict=False):
                yield self._frame(_picture(frame), pts, duration)
                pts += max(1, duration)
            if len(frames) < count:
                self.note_damage(f"damaged after {first + len(frames)} frames")
                return


def _picture(bgra: np.ndarray) -> Picture:
    rgb = np.ascontiguousarray(bgra[..., 2::-1])
    return Picture(rgb, bgra[..., 3] if bgra.shape[2] == 4 else None)
