"""The verb ``video``: stylizes a video."""

from __future__ import annotations

import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import is_named, make_config
from anime_tf.cli.recommended import apply_camera, apply_style
from anime_tf.errors import command_line, counted
from anime_tf.faces.config import FaceConfig
from anime_tf.inference.config import StylizerConfig
from anime_tf.io.signals import caught_signals
from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.io.video.span import Span
from anime_tf.video.config import StabilizerConfig, VideoConfig

if TYPE_CHECKING:
    from types import FrameType

    from anime_tf.io.video.readers.base import VideoReader
    from anime_tf.video.pipeline import VideoReport


class _Stop:
    """Handler of the first SIGINT or SIGTERM."""

    def __init__(self) -> None:
        self.event = threading.Event()
        self.number = signal.SIGINT
        self.source: VideoReader | None = None

    def open(self, source: VideoReader) -> None:
        self.source = source

    def __call__(self, number: int, _frame: FrameType | None) -> None:
        self.number = signal.Signals(number)
        end = getattr(self.source, "stop", None)
        if end is not None:  # a camera, whose video has no other end
            end()
            return
        logging.warning("%s: writing the finished frames; again to end at once", self.number.name)
        self.event.set()


def main(values: flags.FlagValues) -> int:
    """Stylize a video; return the exit code."""
    apply_camera(values)
    licenses = apply_style(values)
    # Shells expand *.mp4 in a folder of two videos to an input and an output.
    config = make_config(values, VideoConfig, keep_foreign=not is_named(values, "output"))
    from anime_tf.video.stylize import stylize_video

    start = time.perf_counter()
    stop = _Stop()
    with caught_signals(stop):
        report = stylize_video(
            config,
            make_config(values, StylizerConfig),
            make_config(values, StabilizerConfig),
            make_config(values, FaceConfig),
            make_config(values, VideoEncoding),
            make_config(values, Span),
            make_config(values, VideoDecoding),
            stop=stop.event,
            on_open=stop.open,
        )
    if report.stopped:
        expected = stop.source.expected_frames if stop.source else None
        app.complain(_interrupted(config, report, expected))
        return 128 + stop.number
    seconds = time.perf_counter() - start
    logging.info(
        "%s written to %s in %.1f s%s",
        *(counted(report.frames, "frame"), config.output, seconds, licenses),
    )
    if report.damage is not None:
        logging.warning("%s", report.damage)
        return app.EXIT_SOME_FAILED
    return app.EXIT_DONE


def _interrupted(config: VideoConfig, report: VideoReport, expected: int | None) -> str:
    """Return a line about the state of an interrupted output, and the command to resume."""
    from anime_tf.video import resume

    if report.path is None:
        partial = resume.partial_path(config.output)
        if not (config.resume and partial.exists()):
            return "interrupted before the first frame was done; nothing was written"
        text = f"interrupted; {partial} is unchanged"
    else:
        of = f" of {expected}" if expected else ""
        text = f"interrupted; {report.frames}{of} frames are in {report.path}"
    if not resume.can_resume(config.output):
        return f"{text}; this format cannot be resumed"
    # As it was typed; Python's own name stays as it is.
    command = [word for word in sys.orig_argv if word not in ("--resume", "--resume=true")]
    return f"{text}; resume with: {command_line([*command, '--resume'])}"


COMMAND = app.Command(
    name="video",
    summary="Stylize a video, with its sound.",
    example="holiday.mp4 anime.mp4\n"
    "clip.mov clip.webm --start=1:05 --end=1:20 --max_side=960\n"
    "0 me.mp4",
    configs=(
        VideoConfig,
        StylizerConfig,
        StabilizerConfig,
        FaceConfig,
        VideoEncoding,
        Span,
        VideoDecoding,
    ),
    main=main,
    positional=("input", "output"),
)
