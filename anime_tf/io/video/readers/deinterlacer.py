"""Interlaced frames made progressive by FFmpeg's filter bwdif."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

from anime_tf.io.video.frames import ffmpeg_errors

if TYPE_CHECKING:
    import av


class Deinterlacer:
    """Gives one frame for each, later ones being needed for it.

    Args:
        name: Name of the stream in errors.
        mode: As of `VideoDecoding.deinterlace`.
        time_base: Of the frames.
    """

    def __init__(self, name: str, mode: str, time_base: Fraction) -> None:
        self._name, self._mode, self._time_base = name, mode, time_base
        self._key: tuple[int, int, str] | None = None  # of the filters, None before them
        self._source: Any = None
        self._sink: Any = None

    def push(self, frame: av.VideoFrame | None) -> list[av.VideoFrame]:
        """Take the next frame, None for the end; return those that are done.

        Raises:
            ValueError: FFmpeg cannot deinterlace it.
        """
        with ffmpeg_errors(self._name, "cannot deinterlace it", "use --deinterlace=off"):
            return self._push(frame)

    def _push(self, frame: av.VideoFrame | None) -> list[av.VideoFrame]:
        needed = self._mode == "on" or (frame is not None and frame.interlaced_frame)
        if self._key is None and (frame is None or self._mode == "off" or not needed):
            return [] if frame is None else [frame]
        key = None if frame is None else (frame.width, frame.height, frame.format.name)
        done: list[av.VideoFrame] = []
        if self._key is not None and key != self._key:
            self._source.push(None)
            done = self._pull()
            self._key = None
            if frame is None or not needed:
                return done if frame is None else [*done, frame]
        if self._key is None:
            self._key = key
            self._start(frame)
        self._source.push(frame)
        return done + self._pull()

    def _start(self, frame: Any) -> None:
        import av.filter

        graph = self._graph = av.filter.Graph()
        options = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
        options += f":time_base={self._time_base}:colorspace={frame.colorspace}"
        source = graph.add("buffer", f"{options}:range={frame.color_range}")
        which = "all" if self._mode == "on" else "interlaced"
        self._sink = graph.add("buffersink")
        graph.link_nodes(source, graph.add("bwdif", f"mode=send_frame:deint={which}"), self._sink)
        graph.configure()
        self._source = source

    def _pull(self) -> list[av.VideoFrame]:
        import av

        done: list[av.VideoFrame] = []
        while True:
            try:
                frame = self._sink.pull()
            except (av.BlockingIOError, av.EOFError):
                return done
            ticks = frame.time_base / self._time_base
            if frame.pts is not None:
                frame.pts = round(frame.pts * ticks)
            frame.duration = round((frame.duration or 0) * ticks)
            frame.time_base = self._time_base
            done.append(frame)
