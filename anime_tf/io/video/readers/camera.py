"""Cameras read as a video."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import cv2
import numpy as np

from anime_tf.io.video.frames import Frame
from anime_tf.io.video.readers.base import FrameReader
from anime_tf.io.video.span import Span


class CameraReader(FrameReader):
    """Reads a camera until it is stopped or the span ends; times are those of arrival.

    Args:
        source: Number of the camera, 0 for the first; or anything else that OpenCV opens.
        span: Part to read; its rate is requested from the camera, which may choose another.
    """

    def __init__(self, source: int | str, span: Span) -> None:
        super().__init__(Path(f"camera {source}"), span)
        # Silences OpenCV's own lines about a missing camera.
        level = cv2.utils.logging.setLogLevel(0)
        self._capture = cv2.VideoCapture(source)
        cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise ValueError(
                f"{self.path}: expected a camera, got none that opens; check that it is plugged in "
                "and not in use"
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # keeps the delay short
        if span.rate is not None:
            self._capture.set(cv2.CAP_PROP_FPS, float(span.rate))
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(rate if rate > 0 else 30).limit_denominator(1001)
        self._stopped = threading.Event()

    def stop(self) -> None:
        """End the video after the frame that is being read."""
        self._stopped.set()

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()

    def _length(self) -> None:
        return None

    def _frames(self) -> Iterator[Frame]:
        start, last = 0.0, -1
        while not self._stopped.is_set():
            read, bgr = self._capture.read()
            if not read:
                break
            now = time.monotonic()
            start = start or now
            last = max(last + 1, round((now - start) / self.time_base))
            yield Frame(np.ascontiguousarray(bgr[..., ::-1]), last, 0)
