"""Cameras as a film, and a window that shows what is being made of it."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from anime_tf.io import pictures
from anime_tf.io.video.demux import Frame
from anime_tf.io.video.readers import PictureSource
from anime_tf.io.video.span import Span

if TYPE_CHECKING:
    from typing import Self

    import av

    from anime_tf.io.video.writers import Writer

PREVIEW_SIDE = 960
"""The longest side of the window's picture."""


class Camera(PictureSource):
    """Reads a camera until it is stopped, or until the span's end; a context manager.

    Times are those at which frames arrive.

    Args:
        place: The number of the camera, 0 for the first; or anything else that OpenCV opens, such
            as the address of a network camera.
        span: What of it is wanted; its rate is asked of the camera, which may give another.

    Raises:
        ValueError: There is no such camera, or it is in use.
    """

    def __init__(self, place: int | str, span: Span) -> None:
        super().__init__(Path(f"camera {place}"), span)
        # Not in OpenCV's own words, of which there are several lines.
        level = cv2.utils.logging.setLogLevel(0)
        self._capture = cv2.VideoCapture(place)
        cv2.utils.logging.setLogLevel(level)
        if not self._capture.isOpened():
            raise ValueError(
                f"{self.path}: expected a camera, found none that opens; see that it is plugged in "
                "and in no other use"
            )
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # so that what comes is of now
        if span.rate is not None:
            self._capture.set(cv2.CAP_PROP_FPS, float(span.rate))
        told = self._capture.get(cv2.CAP_PROP_FPS)
        self.rate = Fraction(told if told > 0 else 30).limit_denominator(1001)
        self._over = threading.Event()

    def stop(self) -> None:
        """Ends the film with the frame that is being read."""
        self._over.set()

    def close(self) -> None:
        """Lets go of the camera."""
        self._capture.release()

    def _length(self) -> None:
        return None

    def _pictures(self) -> Iterator[Frame]:
        start, last = 0.0, -1
        while not self._over.is_set():
            done, bgr = self._capture.read()
            if not done:
                break
            now = time.monotonic()
            start = start or now
            last = max(last + 1, round((now - start) / self.time_base))
            yield Frame(np.ascontiguousarray(bgr[..., ::-1]), last, 0)


class Preview:
    """A writer that also shows what is written, in a window; a context manager.

    The window belongs to the thread that writes the first frame. Closing it stops the source where
    that can be stopped, as Ctrl-C does.

    Args:
        writer: What really writes.
        source: What the frames come from.
    """

    def __init__(self, writer: Writer, source: object) -> None:
        self._writer, self._source = writer, source
        self._window: Any = None
        self._label: Any = None
        self._shown: Any = None

    @property
    def path(self) -> Path:
        """Where it is written, as the writer has it."""
        return self._writer.path

    @path.setter
    def path(self, path: Path) -> None:
        self._writer.path = path

    def write_frame(self, frame: Frame) -> None:
        """Writes a frame, and shows it."""
        self._writer.write_frame(frame)
        self._show(frame.rgb_u8)

    def write_packet(self, packet: av.Packet) -> None:
        """Writes a packet."""
        self._writer.write_packet(packet)

    def _show(self, rgb_u8: np.ndarray) -> None:
        import tkinter

        if self._window is None and self._label is None:
            self._window = tkinter.Tk()
            self._window.title(str(self.path))
            self._label = tkinter.Label(self._window)
            self._label.pack()
            self._window.protocol("WM_DELETE_WINDOW", self._close)
        if self._window is None:
            return
        small = pictures.limit_side(pictures.Picture(rgb_u8), PREVIEW_SIDE)
        height, width = small.size_hw
        # A PPM: what Tk reads without any other package.
        data = b"P6 %d %d 255\n" % (width, height) + small.rgb_u8.tobytes()
        self._shown = tkinter.PhotoImage(master=self._window, data=data, format="PPM")
        self._label.configure(image=self._shown)
        self._window.update()

    def _close(self) -> None:
        window, self._window, self._shown = self._window, None, None
        if window is not None:
            window.destroy()
        stop = getattr(self._source, "stop", None)
        if stop is not None:
            stop()

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        window, self._window, self._shown = self._window, None, None
        if window is not None:
            window.destroy()
        self._writer.__exit__(kind, error, trace)


def why_no_window() -> str | None:
    """Why no window can be shown; None where one can."""
    if sys.platform == "darwin":
        return "macOS allows windows only to a program's first thread"
    if sys.platform != "win32" and not os.environ.get("DISPLAY"):
        return "there is no display (DISPLAY is not set)"
    try:
        import tkinter  # noqa: F401
    except ImportError:
        return "this Python has no tkinter; on Debian and Ubuntu: apt install python3-tk"
    return None
