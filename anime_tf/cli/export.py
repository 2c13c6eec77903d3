"""The verb ``export``: writes a SavedModel, a TFLite model and an ONNX model."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import make_config
from anime_tf.export.config import ExportConfig
from anime_tf.styles.registry import weights_path

if TYPE_CHECKING:
    from anime_tf.export.exporter import ExportResult


def main(values: flags.FlagValues) -> int:
    """Export; return the exit code."""
    config = make_config(values, ExportConfig)
    from anime_tf.export.exporter import check_request, export

    # Finds wrong inputs before TensorFlow takes its seconds to load.
    check_request(config)
    weights_path(config.weights)
    app.import_tensorflow()
    with _converters_silenced():
        parts = export(config)
    for part in parts:
        if part.failure:
            app.complain(f"{part.path}: {part.failure}; not written (--noverify writes it)")
        else:
            logging.info("%s", _summary(part))
    photos = [folder for folder in (config.freeze, config.calibration) if folder is not None]
    skipped = app.exit_code_of(photos)
    return app.EXIT_SOME_FAILED if any(part.failure for part in parts) else skipped


def _summary(part: ExportResult) -> str:
    size = f"{part.path}: {part.size / 1e6:.2f} MB"
    if (found := part.measurement) is None:
        return f"{size}, not verified"
    height, width = found.timed_hw
    return (
        f"{size}, differs from the network by at most {found.largest:.2g} of 2 (PSNR "
        f"{found.psnr:.1f} dB), {found.milliseconds:.0f} ms for {width} x {height} pixels "
        "(width x height)"
    )


@contextlib.contextmanager
def _converters_silenced() -> Iterator[None]:
    """Hide the logs of TensorFlow's converters, which go through absl, unless --debug."""
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
    configs=(ExportConfig,),
    main=main,
)
