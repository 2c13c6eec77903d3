"""Interlaced frames made progressive by FFmpeg's filter bwdif."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from anime_tf.io.video.frames import ffmpeg_errors

if TYPE_CHECKING:
    import av


# Codecs whose frames are marked as interlaced or progressive each; a file may mix both. Of others,
# such as MJPEG, only the container says it.
_FRAME_CODECS = ("dvvideo", "h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vc1")
_INTERLACED, _BOTTOM_FIRST = (2, 3, 4, 5), (3, 4)  # FFmpeg's AVFieldOrder


class Deinterlacer:
    """Makes one progressive frame of each frame, with a delay: the filter needs later frames.

    Args:
        name: Name of the stream in errors.
        mode: As of `VideoDecoding.deinterlace`.
        stream: The stream of the frames.
    """

    def __init__(self, name: str, mode: str, stream: av.VideoStream) -> None:
        self._name, self._mode = name, mode
        self._time_base: Any = stream.time_base
        order = getattr(stream.codec_context, "field_order", 0)  # PyAV 17 has none
        by_container = stream.codec_context.name not in _FRAME_CODECS and order in _INTERLACED
        self._all = mode == "on" or (mode == "auto" and by_container)
        self._is_bottom_first = by_container and order in _BOTTOM_FIRST
        self._key: tuple[int, int, str] | None = None  # of the filters, None before them
        self._source: Any = None
        self._sink: Any = None

    def push(self, frame: av.VideoFrame | None) -> list[av.VideoFrame]:
        """Take the next frame, None for the end; return those that are done.

        Raises:
            ValueError: FFmpeg cannot deinterlace it.
        """
        if self._mode == "off":
            return [] if frame is None else [frame]
        with ffmpeg_errors(self._name, "cannot deinterlace it", "use --deinterlace=off"):
            return self._push(frame)

    def _push(self, frame: av.VideoFrame | None) -> list[av.VideoFrame]:
        key = None if frame is None else (frame.width, frame.height, frame.format.name)
        done: list[av.VideoFrame] = []
        if self._key is not None and key != self._key:
            self._source.push(None)
            done = self._pull()
            self._key = None
        if frame is None:
            return done
        if self._key is None:
            if not (self._all or frame.interlaced_frame):
                return [*done, frame]
            self._key = key
            self._start(frame)
        self._source.push(frame)
        return done + self._pull()

    def _start(self, frame: av.VideoFrame) -> None:
        import av.filter

        graph = self._graph = av.filter.Graph()
        options = f"video_size={frame.width}x{frame.height}:pix_fmt={frame.format.name}"
        options += f":time_base={self._time_base}:colorspace={frame.colorspace}"
        self._source = graph.add("buffer", f"{options}:range={frame.color_range}")
        which = "all" if self._all else "interlaced"
        is_bottom_first = self._is_bottom_first and not frame.interlaced_frame
        parity = "bff" if is_bottom_first else "auto"
        bwdif = graph.add("bwdif", f"mode=send_frame:deint={which}:parity={parity}")
        self._sink = graph.add("buffersink")
        graph.link_nodes(self._source, bwdif, self._sink).configure()

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
