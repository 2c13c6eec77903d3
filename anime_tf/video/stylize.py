"""A video file through a `Stylizer`, with the settings of the command line."""

from __future__ import annotations

import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from absl import logging

from anime_tf.config import Config
from anime_tf.faces.config import FaceConfig
from anime_tf.inference.config import StylizerConfig
from anime_tf.inference.screentone import screentone
from anime_tf.io import geometry, pictures
from anime_tf.io.marks import check_replaceable
from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.decoding import DEFAULT_DECODING, VideoDecoding
from anime_tf.io.video.ffmpeg import STILL_PICTURE
from anime_tf.io.video.open import open_reader
from anime_tf.io.video.readers.base import VideoReader
from anime_tf.io.video.readers.camera import CameraReader
from anime_tf.io.video.span import Span
from anime_tf.video import resume
from anime_tf.video.config import StabilizerConfig, VideoConfig
from anime_tf.video.live import DEFAULT_RATE, LiveStylizer
from anime_tf.video.pipeline import VideoReport, check_output, stylize_frames
from anime_tf.video.stabilizer import FrameStylizer, make_stabilizer

if TYPE_CHECKING:
    from anime_tf.inference.stylizer import Stylizer

_HALF_LIVES = 5  # after which 3 % of an average are left
_FACE_SECONDS = 1.0  # until faces are found and their filters have settled


def stylize_video(
    config: VideoConfig,
    stylizer: StylizerConfig,
    stabilizer: StabilizerConfig,
    faces: FaceConfig,
    encoding: VideoEncoding,
    span: Span,
    decoding: VideoDecoding = DEFAULT_DECODING,
    *,
    stop: threading.Event | None = None,
    on_open: Callable[[VideoReader], None] = lambda _source: None,
) -> VideoReport:
    """Stylize a video; find wrong inputs before TensorFlow is loaded.

    Setting `stop` in another thread ends after the current frames.

    Raises:
        FileNotFoundError: There is no such video, or there are no such weights.
        ValueError: A video that cannot be read, or an output that cannot be written.
    """
    check_output(config.input, config.output, encoding)
    if config.keep_foreign:
        check_replaceable([Path(config.output)])
    settings = record_settings(config, stylizer, stabilizer, faces, encoding, span, decoding)
    with open_reader(config.input, span, decoding) as source:
        if source.is_still:
            raise ValueError(f"{source.path}: {STILL_PICTURE}")
        on_open(source)
        if config.resume:
            resume.find_record(config.output, source.path, settings)
        elif resume.partial_path(config.output).exists():
            left = resume.partial_path(config.output)
            logging.info("%s exists from before; --resume continues it", left)
        from anime_tf.inference.stylizer import Stylizer

        network = Stylizer(stylizer, ema_statistics=stabilizer.uses_statistics)
        make = frame_stylizer_maker(network, config, stylizer, stabilizer, faces)
        draw: FrameStylizer
        status: Callable[[], str]
        if isinstance(source, CameraReader):
            draw = live = LiveStylizer(make, span.rate or DEFAULT_RATE, stylizer.max_side)
            status = partial(_live_status, source, live)
        else:
            draw, status = make(), lambda: ""
        try:
            report = stylize_frames(
                source,
                config.output,
                draw,
                encoding=encoding,
                preview=config.preview,
                settings=settings,
                resume=config.resume,
                stop=stop,
                keep_alpha=not config.compare,
                status=status,
                warm_up_seconds=_warm_up_seconds(config, stabilizer),
            )
        except MemoryError as error:
            raise ValueError(f"{config.input}: {error}") from error
        if source.is_live:
            logging.info("%s: %s", source.path, status())
        return report


def _live_status(source: CameraReader, live: LiveStylizer) -> str:
    """Return the size of the frames and the number of dropped ones; empty before the first."""
    if live.size_hw is None:
        return ""
    height, width = live.size_hw
    return f"{width}x{height} stylized, {source.dropped} dropped"


def record_settings(*configs: Config) -> dict[str, str]:
    """Return all settings that decide what is written, and the digests of the weights."""
    from anime_tf.inference.cache import digest
    from anime_tf.styles.registry import weights_path

    # The input is compared by more than its name.
    ignored = ("input", "output", "resume", "preview")
    values = {name: value for config in configs for name, value in config.flag_values().items()}
    made = {f"--{name}": str(value) for name, value in values.items() if name not in ignored}
    for name in ("weights", "face_weights"):
        if name in values:
            made[f"contents of --{name}"] = digest(weights_path(values[name]))[:16]
    return made


def frame_stylizer_maker(
    stylizer: Stylizer,
    config: VideoConfig,
    stylizer_config: StylizerConfig,
    stabilizer: StabilizerConfig,
    face_config: FaceConfig,
) -> Callable[[], FrameStylizer]:
    """Load the models of faces, and return a function that makes a `FrameStylizer`.

    One is for the frames of one video, of one shot and those after it, or of one size.
    """
    if config.faces != "off":
        from anime_tf.faces.batch import make_face_stylizer
        from anime_tf.faces.detect import FaceFinder
        from anime_tf.faces.track import FaceTracker
        from anime_tf.faces.video_faces import VideoFaceStylizer

        finder = FaceFinder(face_config)
        faces = make_face_stylizer(stylizer, stylizer_config, face_config, finder)

    def make() -> FrameStylizer:
        draw = make_stabilizer(stylizer, stabilizer)
        if config.faces != "off":
            draw = VideoFaceStylizer(draw, faces, FaceTracker(finder, config.face_every))
        if config.screentone:
            draw = _with_screentone(draw, config.screentone)
        if not config.compare:
            return draw

        def side_by_side(rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
            photo = pictures.limit_side(pictures.Picture(rgb_u8), stylizer_config.max_side)
            return geometry.side_by_side(photo.rgb_u8, draw(rgb_u8, seconds))

        return side_by_side

    return make


def _with_screentone(draw: FrameStylizer, pitch: int) -> FrameStylizer:
    return lambda rgb_u8, seconds: screentone(draw(rgb_u8, seconds), pitch)


def _warm_up_seconds(config: VideoConfig, stabilizer: StabilizerConfig) -> float:
    """Return for how long frames are stylized before a seam, so that the seam is not visible."""
    seconds = _FACE_SECONDS if config.faces != "off" else 0.0
    if stabilizer.stabilize in ("statistics", "both"):
        half_lives = _HALF_LIVES * stabilizer.statistics_seconds
        seconds = max(seconds, stabilizer.measure_seconds + half_lives)
    if stabilizer.stabilize != "off":
        seconds = max(seconds, _HALF_LIVES * stabilizer.blend_seconds)
    return seconds
