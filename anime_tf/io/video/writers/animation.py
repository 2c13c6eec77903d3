"""Animated GIF and WebP files."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from anime_tf.errors import counted
from anime_tf.io.atomic import AtomicWriter, replace_file, temporary_path
from anime_tf.io.marks import MARK, SOFTWARE_TEXT
from anime_tf.io.video.ffmpeg import open_input, open_output
from anime_tf.io.video.frames import Frame
from anime_tf.io.video.readers.base import VideoReader
from anime_tf.io.video.webp_chunks import add_chunk, set_end
from anime_tf.io.video.writers.base import (
    discard,
    ffmpeg_errors_naming,
    fit,
    log_dropped_streams,
)

if TYPE_CHECKING:
    import av

ANIMATION_SUFFIXES = (".gif", ".webp")
GIF_TICK, WEBP_TICK = Fraction(1, 100), Fraction(1, 1000)  # s
SHORTEST_GIF_TICKS = 2  # browsers show a shorter frame for ten ticks, which delays the rest

_DEFAULT_DURATION = Fraction(1, 10)  # seconds, of a single frame of unknown duration
_WEBP_OPTIONS = {"quality": "85", "compression_level": "4"}


class AnimationWriter(AtomicWriter):
    """Writes an animated GIF or WebP that loops forever.

    It appears whole when the block ends without an exception. A GIF counts in 1/100 s: frames that
    follow another in less than 2/100 s are dropped, with a log line. Frames of a GIF share one
    palette of 256 colors made from all of them, so they are first stored losslessly beside the
    output.
    """

    def __init__(self, path: str | os.PathLike[str], reader: VideoReader) -> None:
        self.path = Path(path)
        self._reader = reader
        self._is_gif = self.path.suffix.lower() == ".gif"
        self._stream_name = f"stream 0 (video, {self.path.suffix[1:].lower()})"
        self._tick = GIF_TICK if self._is_gif else WEBP_TICK
        self._shortest = SHORTEST_GIF_TICKS if self._is_gif else 1
        self._temporary = temporary_path(self.path)
        self._spool = temporary_path(self.path, ".frames.tmp")
        self._container: av.container.OutputContainer | None = None
        self._palette: _Palette | None = None
        self._has_alpha = False
        self._first = Fraction(0)
        self._times: list[int] = []
        self._dropped = 0
        self._last_duration = 0

    def write_frame(self, frame: Frame) -> None:
        """Write a frame, resized to the first one's size."""
        import av

        seconds = frame.pts * self._reader.time_base
        with ffmpeg_errors_naming(self.path, self._stream_name):
            if self._container is None:
                self._first = seconds
                self._open(frame)
            pts = round((seconds - self._first) / self._tick)
            if self._times and pts < self._times[-1] + self._shortest:
                self._dropped += 1
                return
            self._times.append(pts)
            self._last_duration = round(frame.duration * self._reader.time_base / self._tick)
            pixels = fit(frame, self._size, self._reader).straight(self._reader.background)
            name = "rgb24" if pixels.alpha_u8 is None else "rgba"
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels.array_u8), format=name)
            picture.pts, picture.time_base = pts, self._tick
            if self._palette is not None:
                self._palette.add(picture)
            for packet in self._stream.encode(picture.reformat(format=self._stream.pix_fmt)):
                self._container.mux(packet)  # type: ignore[union-attr]

    def write_packet(self, packet: av.Packet) -> None:
        """Ignore the packet."""

    def commit(self) -> None:
        """Finish the file and move it to its final name."""
        if self._container is None:
            return
        with ffmpeg_errors_naming(self.path, self._stream_name):
            self._write_rest(self._container)
            replace_file(self._temporary, self.path)

    def close(self) -> None:
        """Close the file; remove it if it was not committed."""
        container, self._container = self._container, None
        if container is not None:
            discard(container, self._temporary, self._spool)

    def _open(self, frame: Frame) -> None:
        log_dropped_streams(self._reader, self.path.suffix)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        height, width = self._size = (frame.rgb_u8.shape[0], frame.rgb_u8.shape[1])
        if self._is_gif:
            self._has_alpha = frame.alpha_u8 is not None
            kind = "rgba" if self._has_alpha else "rgb24"
            self._palette = _Palette(height, width, self._tick, kind)
            self._container = open_output(self._spool, "matroska")
            stream = self._container.add_stream("ffv1", rate=100)
            pixels = "bgra" if self._has_alpha else "bgr0"
        else:
            self._container = open_output(self._temporary, "webp", {"loop": "0"})
            stream = self._container.add_stream("libwebp_anim", rate=100, options=_WEBP_OPTIONS)
            pixels = "bgra"
        self._stream = stream
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = pixels
        self._stream.codec_context.time_base = self._tick

    def _write_rest(self, container: av.container.OutputContainer) -> None:
        container.mux(self._stream.encode(None))
        container.close()
        if self._dropped:
            logging.info(
                "%s: dropped %s that a GIF is too slow to show",
                *(self.path, counted(self._dropped, "frame")),
            )
        end = self._times[-1] + (self._last_duration or self._previous_duration())
        if self._is_gif:
            self._write_gif(end)
            _add_comment(self._temporary, MARK)
        else:
            set_end(self._temporary, end)
            # No EXIF, which PyAV does not read in a WebP of one frame.
            add_chunk(self._temporary, b"MARK", SOFTWARE_TEXT)

    def _previous_duration(self) -> int:
        if len(self._times) > 1:
            return self._times[-1] - self._times[-2]
        return round(_DEFAULT_DURATION / self._tick)

    def _write_gif(self, end: int) -> None:
        if self._palette is None:
            return
        height, width = self._size
        nexts = dict(zip(self._times, [*self._times[1:], end], strict=True))
        times = iter(self._times)
        with (
            open_input(self._spool, "matroska") as spool,
            open_output(self._temporary, "gif", {"loop": "0"}) as container,
        ):
            # FFmpeg disposes of a frame by its own alpha, not by that of the next one: with alpha,
            # each frame is stored whole and replaces the last.
            options = {"gifflags": "0", "global_palette": "0"} if self._has_alpha else {}
            stream = container.add_stream("gif", rate=100, options=options)
            stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
            stream.codec_context.time_base = self._tick

            def write(picture: av.VideoFrame | None) -> None:
                for packet in stream.encode(picture):
                    if packet.pts is not None:
                        packet.duration = nexts[packet.pts] - packet.pts
                    container.mux(_cleared_after(packet) if self._has_alpha else packet)

            use = self._palette.make_converter()
            for frame in spool.decode(video=0):
                # The stored times are in milliseconds.
                frame.pts, frame.time_base = next(times), self._tick
                for made in use(frame):
                    write(made)
            for made in use(None):
                write(made)
            write(None)


def _add_comment(path: Path, text: str) -> None:
    """Add a comment at the end of a GIF."""
    with open(path, "r+b") as file:
        file.seek(-1, os.SEEK_END)  # the trailer
        file.write(b"\x21\xfe" + bytes([len(text)]) + text.encode() + b"\0;")


def _cleared_after(packet: av.Packet) -> av.Packet:
    """Return a frame of a GIF that is cleared before the next one."""
    import av

    data = bytearray(bytes(packet))
    flags = data.find(b"\x21\xf9\x04") + 3  # in the graphic control extension
    data[flags] = data[flags] & ~0x1C | 2 << 2
    cleared = av.Packet(bytes(data))
    cleared.pts, cleared.dts, cleared.duration = packet.pts, packet.dts, packet.duration
    cleared.time_base, cleared.stream = packet.time_base, packet.stream
    cleared.is_keyframe = packet.is_keyframe
    return cleared


class _Palette:
    """Palette of 256 colors for all frames, by FFmpeg's palettegen and paletteuse."""

    def __init__(self, height: int, width: int, tick: Fraction, pixels: str) -> None:
        self._height, self._width, self._tick, self._pixels = height, width, tick, pixels
        graph, (self._source,), self._sink = self._graph(
            "palettegen", "stats_mode=full:reserve_transparent=1", [pixels]
        )
        self._generating = graph

    def add(self, picture: av.VideoFrame) -> None:
        """Count a frame's colors."""
        self._source.push(picture.reformat(format=self._pixels))

    def make_converter(self) -> Callable[[av.VideoFrame | None], Iterator[av.VideoFrame]]:
        """Return a function from an RGB frame (None for the end) to palette frames."""
        self._source.push(None)
        palette = self._sink.pull()
        palette.pts, palette.time_base = 0, self._tick
        # Ordered dither is stable from frame to frame: drawn videos take a quarter of the bytes
        # and half the time of error diffusion (sierra2_4a).
        graph, (source, palette_source), sink = self._graph(
            "paletteuse",
            "dither=bayer:bayer_scale=5:diff_mode=rectangle",
            [self._pixels, palette.format.name],
        )
        palette_source.push(palette)
        palette_source.push(None)

        def use(picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
            import av

            source.push(None if picture is None else picture.reformat(format=self._pixels))
            while graph:
                try:
                    made = sink.pull()
                except (av.BlockingIOError, av.EOFError):
                    return
                made.pict_type = 0
                yield made

        return use

    def _graph(self, name: str, options: str, pixels: list[str]) -> tuple[Any, list[Any], Any]:
        import av
        import av.filter

        graph = av.filter.Graph()
        middle, sink = graph.add(name, options), graph.add("buffersink")
        sources = []
        for number, kind in enumerate(pixels):
            # The palette itself is 16 x 16.
            size = (self._width, self._height) if number == 0 else (16, 16)
            source = graph.add_buffer(
                width=size[0], height=size[1], format=av.VideoFormat(kind), time_base=self._tick
            )
            source.link_to(middle, 0, number)
            sources.append(source)
        middle.link_to(sink)
        graph.configure()
        return graph, sources, sink
