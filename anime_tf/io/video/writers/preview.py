"""Preview window of a video while it is written."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import numpy as np

from anime_tf.io import pictures
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.writers.base import VideoWriter

if TYPE_CHECKING:
    from typing import Self

    import av

PREVIEW_SIDE = 960  # longest side of the picture in the window, in pixels


class PreviewWriter:
    """Shows frames in a window and passes them to another writer; a `VideoWriter`.

    The window belongs to the thread that writes the first frame. Closing it stops a reader that has
    a method `stop`.
    """

    def __init__(self, writer: VideoWriter, reader: object) -> None:
        self._writer, self._reader = writer, reader
        self._window: Any = None
        self._label: Any = None
        self._image: Any = None
        self._shown, self._since = 0, time.monotonic()

    @property
    def path(self) -> Path:
        """Path of the writer."""
        return self._writer.path

    @path.setter
    def path(self, path: Path) -> None:
        self._writer.path = path

    def write_frame(self, frame: Frame) -> None:
        """Write and show a frame."""
        self._writer.write_frame(frame)
        self._show(frame.rgb_u8)

    def write_packet(self, packet: av.Packet) -> None:
        """Write a packet."""
        self._writer.write_packet(packet)

    def _show(self, rgb_u8: np.ndarray) -> None:
        import tkinter

        if self._window is None and self._label is None:
            self._window = tkinter.Tk()
            self._window.title(str(self.path))
            self._label = tkinter.Label(self._window)
            self._label.pack()
            self._window.protocol("WM_DELETE_WINDOW", self._stop)
        if self._window is None:
            return
        small = pictures.limit_side(pictures.Picture(rgb_u8), PREVIEW_SIDE)
        height, width = small.size_hw
        # PPM is the format that Tk reads without other packages.
        data = b"P6 %d %d 255\n" % (width, height) + small.rgb_u8.tobytes()
        self._image = tkinter.PhotoImage(master=self._window, data=data, format="PPM")
        self._label.configure(image=self._image)
        self._tell_rate()
        self._window.update()

    def _tell_rate(self) -> None:
        """Show the frames per second in the window's title, anew each second."""
        self._shown += 1
        seconds = time.monotonic() - self._since
        if seconds >= 1:
            self._window.title(f"{self.path}, {self._shown / seconds:.1f} frames/s")
            self._shown, self._since = 0, time.monotonic()

    def _close_window(self) -> None:
        window, self._window, self._image = self._window, None, None
        if window is not None:
            window.destroy()

    def _stop(self) -> None:
        self._close_window()
        getattr(self._reader, "stop", lambda: None)()

    def __enter__(self) -> Self:
        self._writer.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._close_window()
        self._writer.__exit__(kind, error, trace)


def no_window_reason() -> str | None:
    """Return the reason why no window can be shown; None if one can."""
    if sys.platform == "darwin":
        return "macOS allows windows only to a program's first thread"
    if sys.platform != "win32" and not os.environ.get("DISPLAY"):
        return "there is no display (DISPLAY is not set)"
    try:
        import tkinter  # noqa: F401
    except ImportError:
        return "this Python has no tkinter; on Debian and Ubuntu: apt install python3-tk"
    return None
