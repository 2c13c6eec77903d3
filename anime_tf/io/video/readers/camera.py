"""Cameras read as a video."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from anime_tf.io.video.frames import Frame
from anime_tf.io.video.readers.base import FrameReader
from anime_tf.io.video.span import Span


class Camera(Protocol):
    """A device whose frames come at its own pace.

    Attributes:
        rate: Frames per second; 0 if unknown.
    """

    rate: float

    def read(self) -> np.ndarray | None:
        """Wait for the next frame, (height, width, 3) uint8 RGB; None if there are no more."""

    def close(self) -> None:
        """Release the device."""


class OpenCVCamera:
    """A `Camera` of the system; OpenCV numbers them alike on every system.

    Args:
        source: Number of the camera, 0 for the first; or anything else that OpenCV opens.
        rate: Frames per second to request; the camera may choose another.
    """

    def __init__(self, source: int | str, rate: Fraction | None = None) -> None:
        # Silences OpenCV's own lines about a missing camera.
        level = cv2.utils.logging.setLogLevel(0)
        self._capture = cv2.VideoCapture(source)
        cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise ValueError(
                f"camera {source}: expected a camera, got none that opens; check that it is "
                "plugged in and not in use"
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # keeps the delay short
        if rate is not None:
            self._capture.set(cv2.CAP_PROP_FPS, float(rate))
        self.rate = self._capture.get(cv2.CAP_PROP_FPS)

    def read(self) -> np.ndarray | None:
        """Wait for the next frame; see `Camera`."""
        read, bgr = self._capture.read()
        return bgr[..., ::-1] if read else None

    def close(self) -> None:
        """Release the camera."""
        self._capture.release()


class CameraReader(FrameReader):
    """Reads the newest frame of a camera, until it is stopped or the span ends.

    A thread takes every frame from the camera and keeps only the last one. Frames that come while
    the previous one is stylized are dropped, so the delay does not grow. Times are those of
    arrival.

    Args:
        camera: The open camera, which the reader closes.
        name: Its name in messages.
        span: Part to read.

    Attributes:
        dropped: Number of frames dropped so far.
    """

    def __init__(self, camera: Camera, name: str, span: Span) -> None:
        super().__init__(Path(name), span)
        self.is_live = True
        self.dropped = 0
        self._camera = camera
        self.rate = Fraction(camera.rate if camera.rate > 0 else 30).limit_denominator(1001)
        self._stopped = threading.Event()
        self._changed = threading.Condition()
        self._newest: tuple[np.ndarray, float] | None = None
        self._ended = False
        self._thread = ThreadPoolExecutor(1, "camera")

    def stop(self) -> None:
        """End the video after the frame that is being read."""
        self._stopped.set()

    def close(self) -> None:
        """Release the camera."""
        self.stop()
        self._thread.shutdown()
        self._camera.close()

    def _length(self) -> None:
        return None

    def _frames(self) -> Iterator[Frame]:
        capturing = self._thread.submit(self._capture)
        start, last = None, -1
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._newest or self._ended)
                newest, self._newest = self._newest, None
            if newest is None or self._stopped.is_set():
                break
            rgb_u8, arrival = newest
            start = arrival if start is None else start
            last = max(last + 1, round((arrival - start) / self.time_base))
            yield Frame(np.ascontiguousarray(rgb_u8), last, 0)
        self.stop()
        capturing.result()  # raises the camera's error

    def _capture(self) -> None:
        try:
            while not self._stopped.is_set():
                rgb_u8 = self._camera.read()
                if rgb_u8 is None:
                    break
                with self._changed:
                    self.dropped += self._newest is not None
                    self._newest = rgb_u8, time.monotonic()
                    self._changed.notify()
        finally:
            with self._changed:
                self._ended = True
                self._changed.notify()


def camera_number(source: str | os.PathLike[str]) -> int | None:
    """Return the number of a camera; None for a path."""
    text = os.fspath(source)
    return int(text) if text.isdecimal() and not os.path.exists(text) else None
