"""The verb ``video``: stylises films."""

from __future__ import annotations

import sys
import time

from absl import flags, logging

from anime_tf import cli
from anime_tf.infer import define_stylizer_flags


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
    flags.DEFINE_integer(
        "crf",
        18,
        "Quality of H.264: 0 is without loss, 18 hard to tell from it, 28 a small file.",
        0,
        51,
        flag_values=values,
    )


def main(values: flags.FlagValues) -> int:
    """Stylises as the flags say; returns the exit code."""
    # What can be found wrong at once is, before TensorFlow takes its seconds to load.
    from anime_tf.data.films import FilmReader
    from anime_tf.video.stylise import check_output, stylise_film
    from anime_tf.weights.builtin import weights_path

    check_output(values.input, values.output)
    weights_path(values.weights)
    with FilmReader(values.input, sound=True) as film:
        cli.import_tensorflow()
        from anime_tf.inference.stylizer import Stylizer

        stylizer = Stylizer(
            values.weights,
            engine=values.engine,
            strength=values.strength,
            max_side=values.max_side,
        )
        if film.left_out:
            logging.info("%s: subtitles and other pictures left out: %d", film.path, film.left_out)
        start = time.perf_counter()
        try:
            report = stylise_film(film, values.output, stylizer, crf=values.crf)
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
