"""`Studio`: uploads in, stylised pictures and clips out, on a bounded number of threads."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from absl import logging

from anime_tf.errors import first_line
from anime_tf.inference.config import StylizerConfig
from anime_tf.io import pictures
from anime_tf.io.closeable import Closeable
from anime_tf.io.containers import TooManyPixelsError, UnknownPictureError
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.web import sniff
from anime_tf.web.errors import LeftError, RefusedError
from anime_tf.web.limits import Limits
from anime_tf.web.styles import Style, engine_for

if TYPE_CHECKING:
    from anime_tf.faces.detect import FaceFinder
    from anime_tf.faces.face_stylizer import FaceStylizer
    from anime_tf.inference.stylizer import Stylizer
    from anime_tf.io.video.readers.base import VideoReader
    from anime_tf.video.stabilizer import FrameStylizer

SUFFIXES = {"png": ".png", "jpeg": ".jpg"}
"""Formats that are given out -> suffix."""

FACE_EVERY = 5
"""In one of so many frames of a clip faces are looked for; between them they are followed."""

_NAME = "upload"  # what errors of the stages below call it; never shown

_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class Options:
    """What somebody wants of a style.

    Attributes:
        style: Its name.
        strength: 0, the photo, to 1, all of the style.
        keep_color: Whether the photo's colours are kept.
        faces: Whether faces are stylised apart.
        kind: A key of `SUFFIXES`: what pictures come out as.
    """

    style: str
    strength: float = 1.0
    keep_color: bool = False
    faces: bool = False
    kind: str = "png"

    def of(self, stylizer: Stylizer) -> Stylizer:
        """The same network with what is wanted done after it."""
        return stylizer.with_settings(strength=self.strength, keep_color=self.keep_color)


class Upload:
    """A picture's file in memory, let go of as soon as it is taken or nobody wants it any more.

    Args:
        data: The whole file.
    """

    def __init__(self, data: bytes | bytearray) -> None:
        self._data: bytes | bytearray | None = data
        self._left = threading.Event()

    def take(self) -> bytes:
        """Gives the file, once.

        Raises:
            LeftError: Nobody wants it any more.
        """
        data, self._data = self._data, None
        if data is None or self._left.is_set():
            raise LeftError
        return bytes(data)

    def leave(self) -> None:
        """Says that nobody wants it any more."""
        self._left.set()
        self._data = None

    def check(self) -> None:
        """Raises `LeftError` once nobody wants it any more."""
        if self._left.is_set():
            raise LeftError


class Progress:
    """How far the work at a clip is; written by the thread that works, read by others.

    Attributes:
        done: Frames that are done.
        total: Frames that there will be; 0 as long as there is no telling.
        stop: Set once nobody wants the clip any more.
    """

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
        self.stop = threading.Event()


class Studio(Closeable):
    """The styles, loaded, and the threads that use them; a context manager.

    Pictures are decoded and encoded on a few threads at once, and clips are read and written on
    threads of their own; the network runs for one of them at a time, in the order in which they
    come, so that a clip's frames and pictures take turns.

    Args:
        styles: What is offered, the default first.
        config: Settings of the stylizers; the weights come from the styles.
        limits: How large pictures and clips may be.
        threads: On how many pictures are decoded and encoded at once.

    Attributes:
        styles: Name -> style.
        faces: Whether faces can be stylised apart: dlib and its models are installed.
        config: As given.

    Raises:
        ValueError: Weights that cannot be opened.
    """

    def __init__(
        self,
        styles: Sequence[Style],
        config: StylizerConfig | None = None,
        *,
        limits: Limits | None = None,
        threads: int = 2,
    ) -> None:
        self.styles = {style.name: style for style in styles}
        self.config = config or StylizerConfig()
        self._limits = limits or Limits()
        self._stylizers = {style.name: self._opened_style(style) for style in styles}
        self._film_stylizers: dict[str, Stylizer] = {}
        self._finder = _finder()
        self.faces = self._finder is not None
        self._closing = threading.Event()
        self._pictures = ThreadPoolExecutor(threads, "pictures")
        self._network = ThreadPoolExecutor(1, "network")
        self._clips = ThreadPoolExecutor(1, "clips")

    def warm_up(self) -> None:
        """Lets every network run once, before the first picture or meanwhile: that sets it up."""
        for stylizer in self._stylizers.values():
            self._network.submit(stylizer, np.zeros((64, 64, 3), np.uint8))

    def close(self) -> None:
        """Drops what waits, stops what is worked on, and waits until it has stopped."""
        self._closing.set()
        for threads in (self._pictures, self._clips, self._network):
            threads.shutdown(wait=True, cancel_futures=True)

    def picture(self, upload: Upload, options: Options) -> Future[bytes]:
        """Stylises a picture on another thread.

        Args:
            upload: Its file.
            options: What is wanted.

        Returns:
            What becomes the stylised picture's file; or a `RefusedError`, or a `LeftError`.
        """
        return self._pictures.submit(self._picture, upload, options)

    def clip(
        self, source: Path, target: Path, options: Options, progress: Progress
    ) -> Future[None]:
        """Stylises a clip on another thread, after the clips that came before.

        Args:
            source: The file that was uploaded, in a folder of its own.
            target: The file to write, in the same folder.
            options: What is wanted.
            progress: Tells how far the work is, and can stop it between two frames.

        Returns:
            What is done once the clip is written; or a `RefusedError`, or a `LeftError`.
        """
        return self._clips.submit(self._clip, source, target, options, progress)

    def _picture(self, upload: Upload, options: Options) -> bytes:
        photo = self._decoded(upload.take())
        draw = self._drawing(options)

        def drawn() -> np.ndarray:
            upload.check()
            self._check_open()
            return draw(photo.array_u8)

        anime = pictures.as_picture(self._on_network(drawn))
        upload.check()
        return pictures.encode_picture(anime, SUFFIXES[options.kind])

    def _opened_style(self, style: Style, **settings: Any) -> Stylizer:
        from anime_tf.inference.stylizer import Stylizer

        engine = engine_for(style, self.config.engine)
        if engine != self.config.engine:
            settings["engine_precision"] = "auto"
        return Stylizer(self.config, weights=style.path, engine=engine, **settings)

    def _film_stylizer(self, name: str) -> Stylizer:
        """A style's stylizer for films, loaded for the first of them."""
        if name not in self._film_stylizers:
            opened = self._stylizers[name]
            if not opened.supports_ema:
                opened = self._opened_style(self.styles[name], ema_statistics=True)
            self._film_stylizers[name] = opened
        return self._film_stylizers[name]

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise LeftError

    def _decoded(self, data: bytes) -> pictures.Picture:
        most = self._limits.pixels
        try:
            return pictures.decode_picture(data, _NAME, max_pixels=most)
        except UnknownPictureError as error:
            raise RefusedError(
                415,
                "This file is no picture that can be read: send a JPEG, PNG, WebP, TIFF, GIF or "
                "BMP.",
            ) from error
        except TooManyPixelsError as error:
            raise RefusedError(
                413,
                f"This picture is larger than the {most / 1e6:.0f} megapixels that are taken: make "
                "it smaller first.",
            ) from error
        except ValueError as error:
            raise RefusedError(
                400, "This picture is damaged and cannot be read: copy or download it anew."
            ) from error

    def _drawing(self, options: Options) -> Stylizer | FaceStylizer:
        stylizer = options.of(self._stylizers[options.style])
        if not options.faces or self._finder is None:
            return stylizer
        from anime_tf.faces.face_stylizer import FaceStylizer

        return FaceStylizer(stylizer, self._finder)

    def _on_network(self, work: Callable[[], _Result]) -> _Result:
        """Does work on the one thread that runs networks; waits for it."""
        try:
            return self._network.submit(work).result()
        except MemoryError as error:
            raise RefusedError(
                413, "This is too large for this machine's memory: make it smaller first."
            ) from error

    def _clip(self, source: Path, target: Path, options: Options, progress: Progress) -> None:
        from anime_tf.video.pipeline import stylize_frames

        try:
            with self._opened_clip(source) as film:
                progress.total = film.expected_frames or 0
                report = stylize_frames(
                    film, target, self._frames(options, progress), stop=progress.stop
                )
        except OSError as error:
            logging.error("a clip could not be written: %s", first_line(error))
            raise RefusedError(507, "There is no room for this clip on the disk.") from error
        except ValueError as error:
            # Its message names a path of this machine.
            logging.info("a clip was refused: %s", first_line(error))
            raise RefusedError(
                400, "This clip is damaged and cannot be read: copy or download it anew."
            ) from error
        if report.stopped:
            raise LeftError
        progress.total = progress.done = report.frames

    def _opened_clip(self, source: Path) -> VideoReader:
        """Opens a clip of a known kind and size.

        Raises:
            RefusedError: It is none.
        """
        from anime_tf.io.video.readers.animated_webp import AnimatedWebPReader
        from anime_tf.io.video.span import WHOLE

        with source.open("rb") as file:
            kind = sniff.clip_kind(file.read(sniff.HEAD_BYTES))
        if kind is None:
            raise RefusedError(415, NO_CLIP)
        if kind == sniff.ANIMATED_WEBP:
            return AnimatedWebPReader(source, WHOLE)
        film = VideoFileReader(source, audio=True, replace_broken=True, container_format=kind)
        try:
            self._check_size(film)
        except BaseException:
            film.close()
            raise
        return film

    def _check_size(self, film: VideoFileReader) -> None:
        stream: Any = film.container.streams.best("video")
        coded = stream.codec_context
        aspect = stream.sample_aspect_ratio or Fraction(1)
        # Pixels that are not square are made so by stretching.
        self._check_pixels(coded.height * coded.width * max(float(aspect), 1.0))
        seconds = (film.expected_frames or 0) / film.rate
        if seconds > self._limits.clip_seconds:
            raise self._too_long()

    def _check_pixels(self, pixels: float) -> None:
        most = self._limits.clip_pixels
        if pixels > most:
            raise RefusedError(
                413,
                f"This clip's frames are larger than the {most / 1e6:.1f} megapixels that are "
                "taken: make it smaller first.",
            )

    def _too_long(self) -> RefusedError:
        minutes = self._limits.clip_seconds / 60
        return RefusedError(
            413, f"This clip is longer than the {minutes:g} minutes that are taken: cut it first."
        )

    def _frames(self, options: Options, progress: Progress) -> FrameStylizer:
        """What draws a clip's frames, and counts them."""
        from anime_tf.video.config import StabilizerConfig
        from anime_tf.video.stabilizer import make_stabilizer

        stylizer = options.of(self._film_stylizer(options.style))
        draw = make_stabilizer(stylizer, StabilizerConfig())
        if options.faces and self._finder is not None:
            from anime_tf.faces.face_stylizer import FaceStylizer
            from anime_tf.faces.track import FaceTracker
            from anime_tf.faces.video_faces import VideoFaceStylizer

            faces = FaceStylizer(stylizer, self._finder)
            draw = VideoFaceStylizer(draw, faces, FaceTracker(self._finder, FACE_EVERY))

        def counted(rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
            if progress.stop.is_set():
                raise LeftError
            self._check_open()
            # What a file says of its length and size need not be true.
            self._check_pixels(rgb_u8.shape[0] * rgb_u8.shape[1])
            if seconds > self._limits.clip_seconds:
                raise self._too_long()
            anime_u8 = self._on_network(lambda: draw(rgb_u8, seconds))
            progress.done += 1
            return anime_u8

        return counted


NO_CLIP = "This file is no clip that can be read: send an MP4, MOV, WebM, MKV, AVI or GIF."


def _finder() -> FaceFinder | None:
    """What finds faces; None where dlib or its models are not installed."""
    from anime_tf.faces.detect import FaceFinder

    try:
        return FaceFinder()
    except (ValueError, FileNotFoundError) as error:
        logging.info("faces are not stylised apart: %s", first_line(error))
        return None
