"""`StylizationService`: stylizes uploaded pictures and clips on a bounded number of threads."""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from fractions import Fraction
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np
from absl import logging

from anime_tf.config import settings
from anime_tf.errors import first_line
from anime_tf.inference.config import StylizerConfig
from anime_tf.inference.timing import median_seconds
from anime_tf.io import pictures
from anime_tf.io.closeable import Closeable
from anime_tf.io.containers import TooManyPixelsError, UnknownPictureError
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.styles.registry import format_settings
from anime_tf.web import sniff
from anime_tf.web.config import Limits
from anime_tf.web.errors import ClientDisconnected, HttpError
from anime_tf.web.queue import FairExecutor
from anime_tf.web.styles import Style, engine_for

if TYPE_CHECKING:
    from anime_tf.faces.detect import FaceFinder
    from anime_tf.faces.face_stylizer import FaceStylizer
    from anime_tf.inference.stylizer import Stylizer
    from anime_tf.io.video.readers.base import VideoReader
    from anime_tf.video.stabilizer import FrameStylizer

SUFFIXES = {"png": ".png", "jpeg": ".jpg"}  # output format -> suffix
FACES = ("off", "blend", "crop")  # crop: the stylized portrait of the largest face
LIVE_SIZE_HW = (360, 640)  # of the frames by which `live_rates` measures
FACE_EVERY = 5  # frames of a clip per search for faces

NOT_A_CLIP = "This file is not a video that can be read: send an MP4, MOV, WebM, MKV, AVI or GIF."

_NAME = "upload"  # name in errors of io, which are never shown

_Result = TypeVar("_Result")


@dataclasses.dataclass(frozen=True)
class Options:
    """Options of a request.

    Attributes:
        style: Name of a style of the service.
        strength: From 0, the photo, to 1.
        keep_color: Keep the photo's colors.
        faces: One of `FACES`; clips take no "crop".
        file_format: Key of `SUFFIXES`.
    """

    style: str
    strength: float = 1.0
    keep_color: bool = False
    faces: str = "off"
    file_format: str = "png"

    def apply(self, stylizer: Stylizer) -> Stylizer:
        """Return a stylizer with the same network and these options."""
        return stylizer.with_settings(strength=self.strength, keep_color=self.keep_color)


class Upload:
    """File of a picture in memory, released as soon as it is taken or cancelled."""

    def __init__(self, data: bytes | bytearray) -> None:
        self._data: bytes | bytearray | None = data
        self._cancelled = threading.Event()

    def take(self) -> bytes:
        """Return the file, once; raises `ClientDisconnected` after `cancel`."""
        data, self._data = self._data, None
        if data is None or self._cancelled.is_set():
            raise ClientDisconnected
        return bytes(data)

    def cancel(self) -> None:
        """Release the file because the client disconnected."""
        self._cancelled.set()
        self._data = None

    def check(self) -> None:
        """Raise `ClientDisconnected` after `cancel`."""
        if self._cancelled.is_set():
            raise ClientDisconnected


class Progress:
    """Progress of a clip, shared by the working thread and its observers.

    Attributes:
        done: Stylized frames.
        total: Number of frames; 0 if unknown.
        stop: Set to stop the work.
    """

    def __init__(self) -> None:
        self.done = 0
        self.total = 0
        self.stop = threading.Event()


class StylizationService(Closeable):
    """Loaded styles, the default first, and the threads that run them; a context manager.

    A few threads decode and encode pictures, one reads and writes clips, and one runs the networks,
    so that pictures and the frames of clips take turns.

    Attributes:
        styles: Name -> style.
        supports_faces: Whether dlib and its models are installed.
        config: Settings of the stylizers except the weights.

    Raises:
        ValueError: Weights that cannot be loaded.
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
        self._stylizers = {style.name: self._load(style) for style in styles if not style.lazy}
        self._loading = threading.Lock()
        self._rates: dict[str, float] = {}
        self._measuring = threading.Lock()
        self._video_stylizers: dict[str, Stylizer] = {}
        self._finder = _make_finder()
        self.supports_faces = self._finder is not None
        self._closing = threading.Event()
        self._picture_threads = FairExecutor(threads, "pictures")
        self._network_thread = ThreadPoolExecutor(1, "network")
        self._clip_thread = FairExecutor(1, "clips")

    def warm_up(self) -> None:
        """Run every network once in the background, because the first run is slow."""
        for stylizer in self._stylizers.values():
            self._network_thread.submit(stylizer, np.zeros((64, 64, 3), np.uint8))

    def live_rates(self) -> dict[str, float]:
        """Measure each loaded style once, in frames of `LIVE_SIZE_HW` per second; takes seconds."""
        with self._measuring:
            for name, stylizer in list(self._stylizers.items()):
                if name not in self._rates:
                    self._check_open()
                    self._rates[name] = 1 / self._run_on_network(partial(_frame_seconds, stylizer))
            return dict(self._rates)

    def close(self) -> None:
        """Drop waiting work, stop running work, and wait for its end."""
        self._closing.set()
        self._picture_threads.shutdown()
        self._clip_thread.shutdown()
        self._network_thread.shutdown(wait=True, cancel_futures=True)

    def add(self, style: Style) -> None:
        """Offer one more style."""
        self.styles[style.name] = style

    def stylize(self, name: str, photo_u8: np.ndarray) -> np.ndarray:
        """Stylize an array with the settings that the style recommends."""
        stylizer = self._stylizer(name)
        return self._run_on_network(lambda: stylizer(photo_u8))

    def stylize_picture(self, upload: Upload, options: Options, client: str = "") -> Future[bytes]:
        """Stylize a picture in the background; the result is a file.

        Clients take turns. It raises `HttpError` or `ClientDisconnected`.
        """
        return self._picture_threads.submit(client, lambda: self._stylize_picture(upload, options))

    def stylize_clip(
        self,
        source: Path,
        target: Path,
        options: Options,
        progress: Progress,
        client: str = "",
    ) -> Future[None]:
        """Stylize a clip in the background, after earlier clips; clients take turns.

        `progress` is updated after every frame, before which it can stop the work. The result
        raises `HttpError` or `ClientDisconnected`.
        """
        return self._clip_thread.submit(
            client, lambda: self._stylize_clip(source, target, options, progress)
        )

    def _load(self, style: Style, **changes: Any) -> Stylizer:
        from anime_tf.inference.stylizer import Stylizer

        engine = engine_for(style, self.config.engine)
        if engine != self.config.engine:
            changes["engine_precision"] = "auto"
        # Settings that the server was given, such as --max_side, come before recommended ones.
        known = settings(StylizerConfig)
        recommended = {
            name: value
            for name, value in style.settings.items()
            if name in known and getattr(self.config, name) == known[name].default
        }
        if recommended:
            words = format_settings(recommended)
            logging.info("settings that %s recommends: %s", style.name, words)
        return Stylizer(
            self.config, weights=style.path, engine=engine, **{**recommended, **changes}
        )

    def _stylizer(self, name: str) -> Stylizer:
        with self._loading:
            if name not in self._stylizers:
                self._stylizers[name] = self._load(self.styles[name])
            return self._stylizers[name]

    def _check_open(self) -> None:
        if self._closing.is_set():
            raise ClientDisconnected

    def _run_on_network(self, work: Callable[[], _Result]) -> _Result:
        """Run a function on the network's thread, and wait for its result."""
        try:
            return self._network_thread.submit(work).result()
        except MemoryError as error:
            raise HttpError(
                413, "This is too large for this machine's memory: make it smaller first."
            ) from error

    # --- pictures -----------------------------------------------------------------------------

    def _stylize_picture(self, upload: Upload, options: Options) -> bytes:
        photo = self._decode(upload.take())
        stylize = self._picture_stylizer(options)

        def run() -> np.ndarray:
            upload.check()
            self._check_open()
            return stylize(photo.array_u8)

        anime = pictures.as_picture(self._run_on_network(run))
        upload.check()
        return pictures.encode_picture(anime, SUFFIXES[options.file_format])

    def _decode(self, data: bytes) -> pictures.Picture:
        limit = self._limits.pixels
        try:
            return pictures.decode_picture(data, _NAME, max_pixels=limit)
        except UnknownPictureError as error:
            raise HttpError(
                415,
                "This file is not a picture that can be read: send a JPEG, PNG, WebP, HEIC, AVIF, "
                "TIFF, GIF or BMP.",
            ) from error
        except TooManyPixelsError as error:
            raise HttpError(
                413,
                f"This picture is larger than the limit of {limit / 1e6:.0f} megapixels: make it "
                "smaller first.",
            ) from error
        except ValueError as error:
            raise HttpError(
                400, "This picture is damaged and cannot be read: copy or download it again."
            ) from error

    def _picture_stylizer(self, options: Options) -> Callable[[np.ndarray], np.ndarray]:
        stylizer = options.apply(self._stylizer(options.style))
        finder = self._finder
        if options.faces == "off" or finder is None:
            return stylizer
        from anime_tf.faces.align import OrientedSquare

        faces = self._face_stylizer(stylizer, finder, options)
        if options.faces == "blend":
            return faces

        def cut_out(photo_u8: np.ndarray) -> np.ndarray:
            photo = pictures.limit_side(pictures.as_picture(photo_u8), stylizer.config.max_side)
            found = finder(photo.rgb_u8)
            if not found:
                raise HttpError(
                    422, "There is no face in this picture: choose to stylize the whole picture."
                )
            largest = max(found, key=lambda face: OrientedSquare.from_face(face).side)
            return faces.portraits(photo.rgb_u8, [largest])[0]

        return cut_out

    def _face_stylizer(
        self, stylizer: Stylizer, finder: FaceFinder, options: Options
    ) -> FaceStylizer:
        from anime_tf.faces.config import FaceConfig
        from anime_tf.faces.face_stylizer import FaceStylizer

        recommended = self.styles[options.style].settings
        changes = {
            name: recommended[one.flag]
            for name, one in settings(FaceConfig).items()
            if one.flag in recommended
        }
        return FaceStylizer(stylizer, finder, **changes)

    # --- clips --------------------------------------------------------------------------------

    def _stylize_clip(
        self, source: Path, target: Path, options: Options, progress: Progress
    ) -> None:
        from anime_tf.video.pipeline import stylize_frames

        try:
            with self._open_clip(source) as reader:
                progress.total = reader.expected_frames or 0
                stylize = self._frame_stylizer(options, progress)
                report = stylize_frames(reader, target, stylize, stop=progress.stop)
        except OSError as error:
            logging.error("a clip could not be written: %s", first_line(error))
            raise HttpError(507, "The disk has no room for this clip.") from error
        except ValueError as error:
            # Its message contains a path of this machine.
            logging.info("a clip was rejected: %s", first_line(error))
            raise HttpError(
                400, "This clip is damaged and cannot be read: copy or download it again."
            ) from error
        if report.stopped:
            raise ClientDisconnected
        progress.total = progress.done = report.frames

    def _open_clip(self, source: Path) -> VideoReader:
        from anime_tf.io.video.readers.animated_webp import AnimatedWebPReader
        from anime_tf.io.video.span import WHOLE

        with source.open("rb") as file:
            container = sniff.sniff_clip(file.read(sniff.HEAD_BYTES))
        if container is None:
            raise HttpError(415, NOT_A_CLIP)
        if container == sniff.ANIMATED_WEBP:
            return AnimatedWebPReader(source, WHOLE)
        reader = VideoFileReader(
            source, audio=True, replace_broken=True, container_format=container
        )
        try:
            stream: Any = reader.container.streams.best("video")
            coded = stream.codec_context
            # The reader stretches pixels that are not square.
            aspect = stream.sample_aspect_ratio or Fraction(1)
            self._check_clip(
                coded.height * coded.width * max(float(aspect), 1.0),
                (reader.expected_frames or 0) / reader.rate,
            )
        except BaseException:
            reader.close()
            raise
        return reader

    def _check_clip(self, pixels: float, seconds: float | Fraction) -> None:
        limits = self._limits
        if pixels > limits.clip_pixels:
            raise HttpError(
                413,
                "This clip's frames are larger than the limit of "
                f"{limits.clip_pixels / 1e6:.1f} megapixels: make it smaller first.",
            )
        if seconds > limits.clip_seconds:
            raise HttpError(
                413,
                f"This clip is longer than the limit of {limits.clip_seconds / 60:g} minutes: cut "
                "it first.",
            )

    def _frame_stylizer(self, options: Options, progress: Progress) -> FrameStylizer:
        from anime_tf.video.config import StabilizerConfig
        from anime_tf.video.stabilizer import make_stabilizer

        stylizer = options.apply(self._video_stylizer(options.style))
        stylize = make_stabilizer(stylizer, StabilizerConfig())
        if options.faces != "off" and self._finder is not None:
            from anime_tf.faces.track import FaceTracker
            from anime_tf.faces.video_faces import VideoFaceStylizer

            faces = self._face_stylizer(stylizer, self._finder, options)
            stylize = VideoFaceStylizer(stylize, faces, FaceTracker(self._finder, FACE_EVERY))

        def run(rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
            if progress.stop.is_set():
                raise ClientDisconnected
            self._check_open()
            # The length and size in a file's header may be wrong.
            self._check_clip(rgb_u8.shape[0] * rgb_u8.shape[1], seconds)
            if progress.done >= self._limits.clip_frames:
                raise HttpError(413, "This clip has too many frames: cut it first.")
            anime_u8 = self._run_on_network(lambda: stylize(rgb_u8, seconds))
            progress.done += 1
            return anime_u8

        return run

    def _video_stylizer(self, name: str) -> Stylizer:
        """Return a stylizer whose engine supports stabilization, loaded on first use."""
        if name not in self._video_stylizers:
            stylizer = self._stylizer(name)
            if not stylizer.supports_ema:
                stylizer = self._load(self.styles[name], ema_statistics=True)
            self._video_stylizers[name] = stylizer
        return self._video_stylizers[name]


def _frame_seconds(stylizer: Stylizer) -> float:
    frame_u8 = np.zeros((*LIVE_SIZE_HW, 3), np.uint8)
    stylizer(frame_u8)  # the first run of a size is slow
    return median_seconds(lambda: stylizer(frame_u8))


def _make_finder() -> FaceFinder | None:
    from anime_tf.faces.detect import FaceFinder

    try:
        return FaceFinder()
    except (ValueError, FileNotFoundError) as error:
        logging.info("stylizing faces on their own is not available: %s", first_line(error))
        return None
