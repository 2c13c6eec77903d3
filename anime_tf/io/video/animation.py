"""Animations: GIF and WebP."""

from __future__ import annotations

import contextlib
import os
import struct
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import cv2
import numpy as np
from absl import logging

from anime_tf.io import pictures
from anime_tf.io.atomic import AtomicWriter, replace_file, temporary_path
from anime_tf.io.video.demux import Frame
from anime_tf.io.video.file_writer import told_of
from anime_tf.io.video.readers import PictureSource, Source
from anime_tf.io.video.sequence import on_white
from anime_tf.io.video.span import Span
from anime_tf.io.video.writers import report_what_is_left_out

if TYPE_CHECKING:
    import av

GIF_TICK, WEBP_TICK = Fraction(1, 100), Fraction(1, 1000)
"""What times are counted in, in seconds."""

SHORTEST_GIF_TICKS = 2
"""Browsers show a GIF's frame of a shorter time for ten ticks, so that all comes late."""

_ANIMATED = 0x02  # in the flags of a WebP's VP8X chunk
_MOST_BYTES = 2**28  # of frames that OpenCV decodes at once
_DEFAULT_SHOWN = Fraction(1, 10)  # seconds, of a last frame that says nothing about its time
_WEBP_OPTIONS = {"quality": "85", "compression_level": "4"}


class AnimatedWebP(PictureSource):
    """Reads an animated WebP, which FFmpeg does not; a context manager.

    What is transparent is shown on white.

    Args:
        place: The file.
        span: What of it is wanted.

    Raises:
        ValueError: It breaks off, so that nothing can be told of it.
    """

    def __init__(self, place: str | os.PathLike[str], span: Span) -> None:
        super().__init__(Path(place), span)
        with open(self.path, "rb") as file:
            self._size, self._shown = _webp_frames(file)
        if not self._shown:
            raise ValueError(f"{self.path}: expected an animated WebP, found no frame in it")
        self.time_base = WEBP_TICK
        total = sum(self._shown) * WEBP_TICK
        if total:
            self.rate = (len(self._shown) / total).limit_denominator(1001)

    @staticmethod
    def is_one(place: str | os.PathLike[str]) -> bool:
        """Whether a file is an animated WebP; False for what is no file."""
        try:
            with open(place, "rb") as file:
                head = file.read(21)
        except OSError:
            return False
        return (
            len(head) == 21
            and head[:4] == b"RIFF"
            and head[8:16] == b"WEBPVP8X"
            and bool(head[20] & _ANIMATED)
        )

    def _length(self) -> tuple[int, Fraction]:
        return len(self._shown), sum(self._shown) * WEBP_TICK

    def _pictures(self) -> Iterator[Frame]:
        height, width = self._size
        # Each call decodes from the first frame on: few and large ones are quicker.
        at_once = max(1, _MOST_BYTES // (4 * height * width))
        pts = 0
        for first in range(0, len(self._shown), at_once):
            count = min(at_once, len(self._shown) - first)
            done, animation = cv2.imreadanimation(str(self.path), start=first, count=count)
            frames = list(animation.frames) if done else []
            for frame, shown in zip(frames, self._shown[first:], strict=False):
                yield Frame(_rgb(frame), pts, shown)
                pts += max(1, shown)
            if len(frames) < count:
                self.note_damage(f"damaged after {first + len(frames)} frames")
                return


class AnimationWriter(AtomicWriter):
    """Writes an animated GIF or WebP that plays for ever; a context manager.

    It appears under its name when the block ends without an exception, whole; else nothing stays.
    The first frame is shown at once, the others at their times after it: a GIF counts hundredths of
    a second, and frames that follow another in less than two of them are left out, which the log
    says. All frames of a GIF share the 256 colours that suit them best, which only all of them
    together tell: so they are first kept in a file without loss, beside the one to write.

    Args:
        path: The file, its name ending in .gif or .webp; missing folders are made.
        source: What the frames come from.

    Attributes:
        path: As given; may be changed to another name in the same folder until the block ends.
    """

    def __init__(self, path: str | os.PathLike[str], source: Source) -> None:
        self.path = Path(path)
        self._source = source
        self._is_gif = self.path.suffix.lower() == ".gif"
        self._tick = GIF_TICK if self._is_gif else WEBP_TICK
        self._shortest = SHORTEST_GIF_TICKS if self._is_gif else 1
        self._temporary = temporary_path(self.path)
        self._spool = temporary_path(self.path, ".frames.tmp")
        self._container: av.container.OutputContainer | None = None
        self._palette: _Palette | None = None
        self._first = Fraction(0)
        self._times: list[int] = []
        self._left_out = 0
        self._last_shown = 0

    def write_frame(self, frame: Frame) -> None:
        """Writes a frame.

        Args:
            frame: Any size; all others are brought to that of the first. Times in the source's
                ticks.

        Raises:
            ValueError: FFmpeg cannot encode it.
            OSError: The file cannot be written; names `path`.
        """
        seconds = frame.pts * self._source.time_base
        with told_of(self.path):
            if self._container is None:
                self._first = seconds
                self._open(frame.rgb_u8.shape[0], frame.rgb_u8.shape[1])
            pts = round((seconds - self._first) / self._tick)
            if self._times and pts < self._times[-1] + self._shortest:
                self._left_out += 1
                return
            self._times.append(pts)
            self._last_shown = round(frame.duration * self._source.time_base / self._tick)
            rgb_u8 = frame.rgb_u8
            if rgb_u8.shape[:2] != self._size:
                rgb_u8 = pictures.resize(rgb_u8, self._size)
            picture = _video_frame(np.ascontiguousarray(rgb_u8), pts, self._tick)
            if self._palette is not None:
                self._palette.add(picture)
            for packet in self._stream.encode(picture.reformat(format=self._stream.pix_fmt)):
                self._container.mux(packet)  # type: ignore[union-attr]

    def write_packet(self, packet: av.Packet) -> None:
        """Does nothing: there is no place for it."""

    def commit(self) -> None:
        """Writes what is left to write, and brings the file under its name."""
        if self._container is None:
            return
        with told_of(self.path):
            self._write_rest(self._container)
            replace_file(self._temporary, self.path)

    def close(self) -> None:
        """Closes what is open, and removes what nobody shall see."""
        import av

        container, self._container = self._container, None
        for path in (self._temporary, self._spool):
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)
        if container is not None:
            with contextlib.suppress(av.FFmpegError, OSError):
                container.close()
        for path in (self._temporary, self._spool):
            path.unlink(missing_ok=True)

    def _open(self, height: int, width: int) -> None:
        import av

        report_what_is_left_out(self._source, f"a {self.path.suffix}")
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self._size = (height, width)
        if self._is_gif:
            self._palette = _Palette(height, width, self._tick)
            self._container = av.open(str(self._spool), "w", format="matroska")
            stream = self._container.add_stream("ffv1", rate=100)
            pixels = "bgr0"
        else:
            self._container = av.open(
                str(self._temporary), "w", format="webp", container_options={"loop": "0"}
            )
            stream = self._container.add_stream("libwebp_anim", rate=100, options=_WEBP_OPTIONS)
            pixels = "bgra"
        self._stream = stream
        self._stream.width, self._stream.height = width, height
        self._stream.pix_fmt = pixels
        self._stream.codec_context.time_base = self._tick

    def _write_rest(self, container: av.container.OutputContainer) -> None:
        container.mux(self._stream.encode(None))
        container.close()
        if self._left_out:
            logging.info(
                "%s: %d frames left out, which follow others sooner than a GIF can show them",
                self.path,
                self._left_out,
            )
        end = self._times[-1] + (self._last_shown or self._usually_shown())
        if self._is_gif:
            self._write_gif(end)
        else:
            _set_end(self._temporary, end)

    def _usually_shown(self) -> int:
        if len(self._times) > 1:
            return self._times[-1] - self._times[-2]
        return round(_DEFAULT_SHOWN / self._tick)

    def _write_gif(self, end: int) -> None:
        import av

        if self._palette is None:
            return
        height, width = self._size
        nexts = dict(zip(self._times, [*self._times[1:], end], strict=True))
        times = iter(self._times)
        with (
            av.open(str(self._spool)) as spool,
            av.open(
                str(self._temporary), "w", format="gif", container_options={"loop": "0"}
            ) as container,
        ):
            stream = container.add_stream("gif", rate=100)
            stream.width, stream.height, stream.pix_fmt = width, height, "pal8"
            stream.codec_context.time_base = self._tick

            def write(picture: av.VideoFrame | None) -> None:
                for packet in stream.encode(picture):
                    if packet.pts is not None:
                        packet.duration = nexts[packet.pts] - packet.pts
                    container.mux(packet)

            use = self._palette.user()
            for frame in spool.decode(video=0):
                picture = frame.reformat(format="rgb24")
                # Not its own: Matroska counts in milliseconds.
                picture.pts, picture.time_base = next(times), self._tick
                for made in use(picture):
                    write(made)
            for made in use(None):
                write(made)
            write(None)


class _Palette:
    """The 256 colours that suit all frames best, by FFmpeg's palettegen and paletteuse."""

    def __init__(self, height: int, width: int, tick: Fraction) -> None:
        self._height, self._width, self._tick = height, width, tick
        graph, (self._source,), self._sink = self._graph(
            "palettegen", "stats_mode=full:reserve_transparent=1", ["rgb24"]
        )
        self._generating = graph

    def add(self, picture: av.VideoFrame) -> None:
        """Takes a frame's colours into account."""
        self._source.push(picture)

    def user(self) -> Callable[[av.VideoFrame | None], Iterator[av.VideoFrame]]:
        """What makes a frame of any colours one of the palette; None for the end."""
        self._source.push(None)
        palette = self._sink.pull()
        palette.pts, palette.time_base = 0, self._tick
        # An ordered dither stays where it is from frame to frame: of a drawn film, the file is a
        # quarter of what spreading the error makes (sierra2_4a), in half the time.
        graph, (source, colours), sink = self._graph(
            "paletteuse",
            "dither=bayer:bayer_scale=5:diff_mode=rectangle",
            ["rgb24", palette.format.name],
        )
        colours.push(palette)
        colours.push(None)

        def use(picture: av.VideoFrame | None) -> Iterator[av.VideoFrame]:
            import av

            source.push(picture)
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
                width=size[0],
                height=size[1],
                format=av.VideoFormat(kind),
                time_base=self._tick,
            )
            source.link_to(middle, 0, number)
            sources.append(source)
        middle.link_to(sink)
        graph.configure()
        return graph, sources, sink


def _video_frame(rgb_u8: np.ndarray, pts: int, tick: Fraction) -> av.VideoFrame:
    import av

    picture = av.VideoFrame.from_ndarray(rgb_u8, format="rgb24")
    picture.pts, picture.time_base = pts, tick
    return picture


def _rgb(frame: np.ndarray) -> np.ndarray:
    """A frame as OpenCV gives it, in RGB on white."""
    rgb = np.ascontiguousarray(frame[..., 2::-1])
    return on_white(pictures.Picture(rgb, frame[..., 3] if frame.shape[2] == 4 else None))


def _webp_chunks(file: BinaryIO) -> Iterator[tuple[bytes, int, bytes]]:
    """Yields name, place and the first 16 bytes of each chunk of an animated WebP."""
    place = 12
    while True:
        file.seek(place)
        head = file.read(24)
        if len(head) < 8:
            return
        name, size = struct.unpack("<4sI", head[:8])
        yield name, place + 8, head[8:]
        place += 8 + size + size % 2


def _webp_frames(file: BinaryIO) -> tuple[tuple[int, int], list[int]]:
    """Height and width, and for how many milliseconds each frame is shown."""
    size, shown = (1, 1), []
    for name, _, head in _webp_chunks(file):
        if name == b"VP8X" and len(head) >= 10:
            width = 1 + int.from_bytes(head[4:7], "little")
            size = (1 + int.from_bytes(head[7:10], "little"), width)
        elif name == b"ANMF" and len(head) >= 15:
            shown.append(int.from_bytes(head[12:15], "little"))
    return size, shown


def _set_end(path: Path, end: int) -> None:
    """Sets until when the last frame of a WebP is shown, which FFmpeg guesses.

    Args:
        path: The file.
        end: In milliseconds.
    """
    with open(path, "r+b") as file:
        frames = [
            (place, int.from_bytes(head[12:15], "little"))
            for name, place, head in _webp_chunks(file)
            if name == b"ANMF"
        ]
        # A single frame makes no animation.
        if frames:
            start = sum(shown for _, shown in frames[:-1])
            file.seek(frames[-1][0] + 12)
            file.write(min(max(1, end - start), 2**24 - 1).to_bytes(3, "little"))
