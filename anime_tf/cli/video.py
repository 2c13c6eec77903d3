"""The verb ``video``: stylises films."""

from __future__ import annotations

import shlex
import signal
import sys
import threading
import time
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.infer import (
    define_face_flags,
    define_stylizer_flags,
    face_finder,
    face_stylizer_of,
    stylizer_of,
)
from anime_tf.cli.video_flags import coding_of, define_format_flags, define_steady_flags, span_of
from anime_tf.io.signals import caught_signals

if TYPE_CHECKING:
    from types import FrameType

    import numpy as np

    from anime_tf.io.video.readers import Source
    from anime_tf.video.pipeline import FilmReport
    from anime_tf.video.stabilizer import FrameStylizer

# Flags that may be others when a film goes on; the input is known by more than its name.
_MAY_DIFFER = frozenset({"input", "output", "resume", "preview", "debug"})

_WARM_UP = 5  # half-lives, after which 3 % are left of what was before

_FACES_WARM_UP = 1.0  # seconds, in which faces are found and their filters come to rest


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the verb."""
    flags.DEFINE_string(
        "input",
        None,
        "A film or an animation, in any format that FFmpeg reads, or an animated WebP; a folder of "
        "numbered pictures, or their pattern, frames/%04d.png; or the number of a camera, 0 for "
        "the first.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "The film to write, its name ending in .mp4, .mkv, .mov or .webm; an animation, in .gif or "
        ".webp; or numbered pictures: a folder, with a slash at its end, or their pattern, "
        "out/%05d.png.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "resume",
        False,
        "Go on with what an interruption has left of this output, NAME.partial.mp4; from the "
        "beginning where there is nothing.",
        flag_values=values,
    )
    define_stylizer_flags(values, "film")
    flags.DEFINE_bool(
        "match_brightness",
        False,
        "Give each frame the mean brightness of the source's.",
        flag_values=values,
    )
    define_steady_flags(values)
    flags.DEFINE_enum(
        "faces",
        "off",
        ["off", "blend"],
        "blend stylises faces apart and pastes them back, the same person in the same way.",
        flag_values=values,
    )
    define_face_flags(values)
    flags.DEFINE_integer(
        "face_every",
        5,
        "The detector looks for faces in one frame of so many; between them they are followed.",
        1,
        flag_values=values,
    )
    define_format_flags(values)


def main(values: flags.FlagValues) -> int:
    """Stylises as the flags say; returns the exit code."""
    # What can be found wrong at once is, before TensorFlow takes its seconds to load.
    from anime_tf.io.video.readers import open_source
    from anime_tf.video import resume as partial
    from anime_tf.video.pipeline import check_output, stylise_film

    coding = coding_of(values)
    check_output(values.input, values.output, coding)
    settings = settings_of(values)
    with open_source(values.input, span_of(values)) as film:
        left = partial.partial_path(values.output)
        if values.resume:
            partial.find_notes(values.output, film.path, settings)
        elif left.exists():
            logging.info("%s is there from before; --resume would go on with it", left)
        drawn = stylise_of(values)
        start = time.perf_counter()
        stop = _Stop(film)
        try:
            with caught_signals(stop):
                report = stylise_film(
                    film,
                    values.output,
                    drawn,
                    coding=coding,
                    preview=values.preview,
                    settings=settings,
                    resume=values.resume,
                    stop=stop.event,
                    warm_up_seconds=_warm_up_seconds(values),
                )
        except MemoryError as error:
            raise ValueError(f"{values.input}: {error}") from error
    if report.stopped:
        app.complain(_told(values, report, film.frames_expected))
        return 128 + stop.number
    logging.info(
        "%d frames written to %s in %.1f s",
        report.frames,
        values.output,
        time.perf_counter() - start,
    )
    if report.damage is not None:
        logging.warning("%s", report.damage)
        return app.EXIT_SOME_FAILED
    return app.EXIT_DONE


class _Stop:
    """What happens on the first SIGINT or SIGTERM."""

    def __init__(self, film: Source) -> None:
        self.event = threading.Event()
        self.number = signal.SIGINT
        # A camera's film has no other end than this.
        self._end_source = getattr(film, "stop", None)

    def __call__(self, number: int, frame: FrameType | None) -> None:
        self.number = signal.Signals(number)
        if self._end_source is not None:
            self._end_source()
            return
        logging.warning("%s: writing what is done; once more ends at once", self.number.name)
        self.event.set()


def settings_of(values: flags.FlagValues) -> dict[str, str]:
    """All flags that decide what is written, and which weights they mean.

    Raises:
        FileNotFoundError: There are no such weights.
    """
    from anime_tf.inference.cache import digest_of
    from anime_tf.styles.builtin import weights_path

    settings = {
        f"--{name}": str(value)
        for name, value in values.flag_values_dict().items()
        if name not in _MAY_DIFFER and value is not None
    }
    for name in ("weights", "face_weights"):
        given = values.flag_values_dict().get(name)
        if given:
            settings[f"contents of --{name}"] = digest_of(weights_path(given))[:16]
    return settings


def stylise_of(values: flags.FlagValues) -> FrameStylizer:
    """What the flags make of a film's frames."""
    finder = None if values.faces == "off" else face_finder(values)
    stylizer = stylizer_of(values, hold=values.steady in ("statistics", "both"))
    from anime_tf.io import pictures
    from anime_tf.video import stabilizer as steady

    draw = steady.steadied(stylizer, values)
    if finder is not None:
        from anime_tf.faces.track import FaceTracker
        from anime_tf.faces.video_faces import FilmFaces

        faces = face_stylizer_of(values, finder, stylizer)
        draw = FilmFaces(draw, faces, FaceTracker(finder, values.face_every))
    if not values.compare:
        return draw

    def compared(rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
        before = pictures.limit_side(pictures.Picture(rgb_u8), values.max_side).rgb_u8
        return pictures.side_by_side(before, draw(rgb_u8, seconds))

    return compared


def _warm_up_seconds(values: flags.FlagValues) -> float:
    """How far back the frames look, so far that nothing is seen of a seam."""
    faces = _FACES_WARM_UP if values.faces != "off" else 0.0
    if values.steady == "off":
        return faces
    statistics = 0.0
    if values.steady != "blend":  # those of one measured frame, and what came before them gone
        statistics = values.measure_seconds + _WARM_UP * values.statistics_seconds
    return max(faces, statistics, _WARM_UP * values.blend_seconds)


def _told(values: flags.FlagValues, report: FilmReport, expected: int | None) -> str:
    """What an interruption has left, and how to go on; a line."""
    from anime_tf.video import resume as partial

    of = f" of {expected}" if expected else ""
    if report.path is None:
        left = partial.partial_path(values.output)
        if not (values.resume and left.exists()):
            return "interrupted before the first frame was done; nothing was written"
        told = f"interrupted; {left} is as it was"
    else:
        told = f"interrupted; {report.frames}{of} frames are in {report.path}"
    if not partial.can_go_on(values.output):
        return f"{told}; it cannot be gone on with"
    # As it was typed, Python's own name left as it is.
    command = [word for word in sys.orig_argv if word not in ("--resume", "--resume=true")]
    return f"{told}; go on with: {shlex.join([*command, '--resume'])}"


COMMAND = app.Command(
    name="video",
    summary="Stylise a film, its sound kept.",
    example="--input=holiday.mp4 --output=anime.mp4\n"
    "--input=clip.mov --output=clip.webm --start=1:05 --end=1:20 --max_side=960\n"
    "--input=0 --output=me.mp4",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
