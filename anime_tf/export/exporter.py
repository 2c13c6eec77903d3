"""Export of a generator into a folder, which appears whole or not at all."""

from __future__ import annotations

import importlib
import json
import math
import os
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import logging

from anime_tf.errors import tensorflow_reason
from anime_tf.export.config import ExportConfig
from anime_tf.io.atomic import atomic_folder
from anime_tf.io.folders import find_pictures
from anime_tf.io.paths import check_writable
from anime_tf.io.plain_file import read_plain_file

if TYPE_CHECKING:
    import numpy as np

    from anime_tf.export.card import ModelCard
    from anime_tf.export.checks import Measurement
    from anime_tf.inference.engines.keras import KerasEngine
    from anime_tf.inference.padded_generator import PaddedGenerator
    from anime_tf.models.generator import Generator

RECORD = "export.json"  # file that marks a folder as an export

RECORD_KIND = "anime_tf export 1"

FORMATS = {"saved_model": "saved_model", "tflite": "model.tflite", "onnx": "model.onnx"}
"""Format, and name of its module in `anime_tf.export` -> file or folder in an export.

``export(network, path, config, card)`` of the module writes it, and returns a `Tolerance`.
"""


@dataclass(frozen=True)
class ExportResult:
    """Result of one format: a file or folder of `size` bytes.

    `measurement` is None if it was not verified; `failure` is the exceeded tolerance, if any: it
    was not written then.
    """

    path: Path
    size: int
    measurement: Measurement | None
    failure: str = ""

    def as_record(self) -> dict[str, Any]:
        """Return the entry in `RECORD`; an infinite PSNR is null."""
        record: dict[str, Any] = {"bytes": self.size}
        if self.measurement is not None:
            record |= asdict(self.measurement)
            record["psnr"] = record["psnr"] if math.isfinite(record["psnr"]) else None
        return record


def check_request(config: ExportConfig) -> None:
    """Find errors of an export before TensorFlow is loaded; touch no file.

    Raises:
        ValueError: The folder has other contents than an export, or a package is not installed.
        FileNotFoundError: There are no such photos.
        NotADirectoryError: A file stands where a folder is needed.
        PermissionError: The folder is not writable.
    """
    folder = Path(config.output).resolve()  # follows links
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{config.output}: expected a folder for the export, got a file")
    if folder.is_dir():
        _check_replaceable(folder, config.output)
    check_writable(folder.parent)
    if "tflite" in config.formats:
        from anime_tf.inference.engines.tflite import import_litert

        import_litert()
    if config.freeze is not None:
        find_pictures(config.freeze)
    if config.calibration is not None:
        from anime_tf.export.int8 import RECOMMENDED_PICTURES, import_quantizer

        count = len(find_pictures(config.calibration))
        if count < RECOMMENDED_PICTURES:
            logging.warning(
                "%s: few photos to calibrate int8 on, %d; with %d or more, typical ones, fewer "
                "colors of other photos are clipped",
                *(config.calibration, count, RECOMMENDED_PICTURES),
            )
        import_quantizer()
    if "onnx" in config.formats:
        from anime_tf.export.onnx import check_installed
        from anime_tf.inference.engines.onnx import import_onnxruntime

        check_installed()
        if config.verify:
            import_onnxruntime()


def _check_replaceable(folder: Path, output: str | os.PathLike[str]) -> None:
    """Refuse a folder with contents that an export did not write."""
    names = {entry.name for entry in folder.iterdir()}
    foreign = sorted(names - {RECORD, *FORMATS.values()})
    if names and (foreign or not _is_record(folder / RECORD)):
        raise ValueError(
            f"{output}: expected an empty folder or an earlier export, got one with "
            f"{foreign[0] if foreign else f'no {RECORD}'}; choose a new folder"
        )


def _is_record(path: Path) -> bool:
    try:
        content = json.loads(read_plain_file(path, "the record of an export"))
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(content, dict) and content.get("kind") == RECORD_KIND


def export(config: ExportConfig) -> list[ExportResult]:
    """Export a generator, and verify each format against the network.

    The folder will contain the files of the formats and `RECORD`. An earlier export is replaced as
    a whole. Formats that exceed their tolerance are left out; if none remains, nothing is written.

    Returns:
        The results in the order of `FORMATS`, failed ones included.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: As of `check_request`, or weights that cannot be exported.
        OSError: The folder cannot be written.
    """
    check_request(config)
    import tensorflow as tf

    from anime_tf.export.card import ModelCard
    from anime_tf.inference.engines.keras import KerasEngine
    from anime_tf.inference.padded_generator import PaddedGenerator
    from anime_tf.models.archive import load_generator
    from anime_tf.styles.registry import weights_path

    model = load_generator(weights_path(config.weights), precision=config.precision)
    card = ModelCard.from_weights(
        config.weights,
        model,
        style_name=config.style_name,
        license=config.license,
        training_data=config.training_data,
    )
    statistics = _frozen_statistics(model, config)
    # The engine builds a graph of its own, for seconds.
    reference = KerasEngine(model, statistics=statistics) if config.verify else None
    network = reference.network if reference else PaddedGenerator(model, statistics=statistics)
    output = Path(config.output)
    try:
        with atomic_folder(output, replace=True) as folder:
            results = [
                _export_format(name, network, reference, folder, config, card)
                for name in FORMATS
                if name in config.formats
            ]
            written = [result for result in results if not result.failure]
            if not written:
                shutil.rmtree(folder)
                return results
            record = {
                "kind": RECORD_KIND,
                **card.versions,
                "style": card.style,
                "license": card.license,
                "generator": card.network,
                "weights_sha256": card.weights_sha256,
                "precision": card.precision,
                "quantize": config.quantize,
                "frozen_statistics": config.freeze is not None,
                "image_size": config.image_size,
                "files": {result.path.name: result.as_record() for result in written},
            }
            (folder / RECORD).write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
            if output.exists():
                _check_replaceable(output, output)  # it may have changed meanwhile
    except tf.errors.OpError as error:
        reason = tensorflow_reason(error)
        raise OSError(f"{output}: TensorFlow cannot write it ({reason})") from error
    return results


def _frozen_statistics(model: Generator, config: ExportConfig) -> np.ndarray | None:
    if config.freeze is None:
        return None
    from anime_tf.export.int8 import calibration_pictures
    from anime_tf.inference.norm_statistics import StatisticsEstimator

    photos = calibration_pictures(config.freeze, config.image_size)
    return StatisticsEstimator(model)([photo[0] for photo in photos])


def _export_format(
    name: str,
    network: PaddedGenerator,
    reference: KerasEngine | None,
    folder: Path,
    config: ExportConfig,
    card: ModelCard,
) -> ExportResult:
    """Write a format into the unfinished folder, and remove it again if it fails.

    It is compared with the reference, if any.
    """
    from anime_tf.export.checks import PROBE_SIZES, measure
    from anime_tf.inference.engines.engine import EngineConfig
    from anime_tf.inference.engines.factory import create_engine, default_engine

    path = folder / FORMATS[name]
    module = importlib.import_module(f"anime_tf.export.{name}")
    tolerance = module.export(network, path, config, card)
    final = Path(config.output) / path.name
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    size = sum(file.stat().st_size for file in files)
    if reference is None:
        return ExportResult(final, size, None)
    one_size = config.image_size if name == "tflite" else None
    sizes = PROBE_SIZES if one_size is None else [one_size]
    engine = create_engine(path, EngineConfig(default_engine(path)))
    measurement = measure(engine, reference, sizes)
    failure = measurement.violations(tolerance)
    if failure:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return ExportResult(final, size, measurement, failure)
