"""The verb ``infer``: stylises pictures."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf import cli

if TYPE_CHECKING:
    from anime_tf.data.pictures import Picture
    from anime_tf.inference.stylizer import Stylizer

# Those of inference.engines, which is not imported here so that --help stays quick.
ENGINE_CHOICES = ["auto", "keras", "saved_model", "tflite", "onnx"]


def define_stylizer_flags(values: flags.FlagValues, source: str) -> None:
    """Defines the flags that pictures and films share, those of `Stylizer`.

    Args:
        values: Where to define them.
        source: What is stylised, for the help: "photo", "film".
    """
    flags.DEFINE_string(
        "weights",
        "cel",
        "Name of a built-in style, or the path of a .keras file, of a SavedModel folder, or of a "
        ".tflite or .onnx file.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "engine",
        "auto",
        ENGINE_CHOICES,
        "What runs the network; auto goes by the kind of weights.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "strength",
        1.0,
        f"How strong the style is: 0 is the {source}, 1 the network's output.",
        0.0,
        1.0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "max_side",
        0,
        "Shrink pictures whose longer side has more pixels than this; the result comes out in the "
        "smaller size. 0 keeps every size.",
        0,
        flag_values=values,
    )


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the verb."""
    flags.DEFINE_string(
        "input",
        None,
        "A picture, a folder (with all below it), or a quoted pattern such as 'photos/**/*.jpg'.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "A folder, in which the input's structure is kept; for a single picture also the file to "
        "write. End the name of a new folder in / where the input is a single picture.",
        required=True,
        flag_values=values,
    )
    define_stylizer_flags(values, "photo")
    flags.DEFINE_bool(
        "match_brightness",
        False,
        "Give each picture the mean brightness of its photo.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "compare", False, "Write the photo and the result side by side.", flag_values=values
    )
    flags.DEFINE_integer(
        "quality", 95, "Quality of JPEG and WebP files.", 1, 100, flag_values=values
    )


def main(values: flags.FlagValues) -> int:
    """Stylises as the flags say; returns the exit code."""
    # What can be found wrong at once is, before TensorFlow takes its seconds to load.
    from anime_tf.inference import batch
    from anime_tf.weights.builtin import weights_path

    jobs = batch.plan(values.input, values.output)
    weights_path(values.weights)

    cli.import_tensorflow()
    from anime_tf.inference.stylizer import Stylizer

    stylizer = Stylizer(
        values.weights,
        engine=values.engine,
        strength=values.strength,
        match_brightness=values.match_brightness,
        max_side=values.max_side,
    )
    start = time.perf_counter()
    report = batch.run(
        jobs, lambda photo: stylise(stylizer, photo, values.compare), quality=values.quality
    )
    logging.info(
        "%d of %d pictures written to %s in %.1f s",
        len(report.written),
        len(jobs),
        values.output,
        time.perf_counter() - start,
    )
    if not report.written:
        return cli.EXIT_NOTHING_DONE
    return cli.EXIT_SOME_FAILED if report.failures else cli.EXIT_DONE


def stylise(stylizer: Stylizer, photo: Picture, compare: bool) -> Picture:
    """Stylises a picture, alpha kept; with `compare`, the photo to its left."""
    from anime_tf.data import pictures

    photo = pictures.limit_side(photo, stylizer.max_side)
    anime_u8 = stylizer(photo.array_u8)
    if compare:
        anime_u8 = pictures.side_by_side(photo.array_u8, anime_u8)
    return pictures.as_picture(anime_u8)


COMMAND = cli.Command(
    name="infer",
    summary="Stylise pictures.",
    example="--input=photos --output=anime\n--input=me.jpg --output=me_anime.png --strength=0.8",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
