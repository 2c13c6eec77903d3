"""The verb ``export``: generators as SavedModels, TFLite models and ONNX models."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.export import exporter
from anime_tf.styles.builtin import weights_path


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the verb."""
    flags.DEFINE_string(
        "weights",
        "cel",
        "Name of a built-in style, or the path of a .keras file.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "The folder to write; an earlier export there is replaced as a whole.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_list(
        "formats",
        list(exporter.ExportOptions().formats),
        f"What to write, with commas between: {', '.join(exporter.FORMATS)}.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "quantize",
        "none",
        list(exporter.QUANTIZE_CHOICES),
        "How the TFLite model stores its weights: as they are (none), in half the size (float16), "
        "or in a quarter, computing in 8 bits where it can (dynamic), or with convolutions in 8 "
        "bits whose steps are chosen beforehand, taking and giving pixels (int8: --calibration).",
        flag_values=values,
    )
    flags.DEFINE_string(
        "calibration",
        None,
        "Folder of photos, of the kind that the model is for, to choose the steps of int8 on.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "hold",
        None,
        "Folder of photos, of the kind that the model is for: hold their statistics in the place "
        "of each picture's own. The models then are convolutions alone: quicker, and without "
        "flicker in films; pictures unlike the photos come out otherwise.",
        flag_values=values,
    )
    flags.DEFINE_string(
        "image_size",
        None,
        "Make a TFLite model for pictures of one size, N or HEIGHTxWIDTH pixels, one at a time: "
        "what GPUs and other accelerators of phones and browsers take.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "verify",
        True,
        "Read each part back, compare it with the network in two sizes and two batches, and leave "
        "it out where it is further off than it may be.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "precision",
        "float32",
        list(exporter.PRECISIONS),
        "What the SavedModel computes in. mixed_bfloat16 is faster on processors that know it, "
        "mixed_float16 on GPUs; the other formats are for float32.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "max_pixels",
        None,
        "The SavedModel refuses files of larger pictures, which take memory: up to 2.2 KB a "
        "pixel. By default 16777216, 4096x4096.",
        flag_values=values,
    )
    for name, what in (
        ("style_name", "What to call the style; the name of the weights, where it is left out."),
        ("licence", "Under which the weights may be used, such as CC-BY-4.0."),
        ("training_data", "What the weights learnt from, in a line."),
    ):
        flags.DEFINE_string(name, "", f"For the model card: {what}", flag_values=values)


def main(values: flags.FlagValues) -> int:
    """Exports as the flags say; returns the exit code."""
    # What can be found wrong at once is, before TensorFlow takes its seconds to load.
    options = exporter.ExportOptions(
        formats=[name.strip() for name in values.formats],
        quantize=values.quantize,
        calibration=values.calibration,
        hold=values.hold,
        image_size=_size(values.image_size),
        verify=values.verify,
        precision=values.precision,
        max_pixels=values.max_pixels,
        style_name=values.style_name,
        licence=values.licence,
        training_data=values.training_data,
    )
    exporter.check_request(values.output, options)
    weights_path(values.weights)

    app.import_tensorflow()
    with _quiet():
        exported = exporter.export(values.weights, values.output, options)
    for part in exported:
        if part.failure:
            app.complain(f"{part.path}: {part.failure}; not written (--noverify writes it)")
        else:
            logging.info("%s", _told(part))
    return app.EXIT_SOME_FAILED if any(part.failure for part in exported) else app.EXIT_DONE


def _told(part: exporter.Exported) -> str:
    """A part in a line."""
    size = f"{part.path}: {part.size / 1e6:.2f} MB"
    if part.measured is None:
        return f"{size}, not verified"
    height, width = part.measured.timed_hw
    return (
        f"{size}, differs from the network by {part.measured.largest:.2g} of 2 at most "
        f"(PSNR {part.measured.psnr:.1f} dB), {part.measured.milliseconds:.0f} ms for "
        f"{width}x{height} pixels"
    )


def _size(text: str | None) -> tuple[int, int] | None:
    """Height and width from --image_size."""
    if text is None:
        return None
    sides = text.lower().split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise app.UsageError(f"--image_size={text} must be N or HEIGHTxWIDTH, in pixels")
    return int(sides[0]), int(sides[-1])


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keeps back the logs of TensorFlow's converters, which go through absl, unless --debug."""
    verbosity = logging.get_verbosity()
    if verbosity < logging.DEBUG:
        logging.set_verbosity(logging.ERROR)
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)


COMMAND = app.Command(
    name="export",
    summary="Export a generator as a SavedModel, a TFLite model and an ONNX model.",
    example="--weights=cel --output=exported\n"
    "--weights=my.keras --output=exported --formats=tflite --quantize=float16",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
