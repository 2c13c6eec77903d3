"""The verb ``video``: stylises films."""

from __future__ import annotations

import sys
import time

from absl import flags, logging

from anime_tf import cli
from anime_tf.infer import define_stylizer_flags
from anime_tf.video.flags import coding_of, define_format_flags, span_of


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the verb."""
    flags.DEFINE_string(
        "input", None, "A film, in any format that FFmpeg reads.", required=True, flag_values=values
    )
    flags.DEFINE_string(
        "output",
        None,
        "The film to write, its name ending in .mp4, .mkv or .mov; pictures in H.264, the sound "
        "as it is.",
        required=True,
        flag_values=values,
    )
    define_stylizer_flags(values, "film")
    define_format_flags(values)


def main(values: flags.FlagValues) -> int:
    """Stylises as the flags say; returns the exit code."""
    # What can be found wrong at once is, before TensorFlow takes its seconds to load.
    from anime_tf.video.sources import open_source
    from anime_tf.video.stylise import check_output, stylise_film
    from anime_tf.weights.builtin import weights_path

    coding = coding_of(values)
    check_output(values.input, values.output, coding)
    weights_path(values.weights)
    with open_source(values.input, span_of(values)) as film:
        cli.import_tensorflow()
        from anime_tf.inference.stylizer import Stylizer

        stylizer = Stylizer(
            values.weights,
            engine=values.engine,
            strength=values.strength,
            max_side=values.max_side,
        )
        start = time.perf_counter()
        try:
            report = stylise_film(film, values.output, stylizer, coding=coding)
        except MemoryError as error:
            raise ValueError(f"{values.input}: {error}") from error
    logging.info(
        "%d frames written to %s in %.1f s",
        report.frames,
        values.output,
        time.perf_counter() - start,
    )
    if report.damage is not None:
        logging.warning("%s", report.damage)
        return cli.EXIT_SOME_FAILED
    return cli.EXIT_DONE


COMMAND = cli.Command(
    name="video",
    summary="Stylise a film, its sound kept.",
    example="--input=holiday.mp4 --output=anime.mp4\n"
    "--input=clip.mov --output=clip.mkv --strength=0.8 --max_side=960",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
