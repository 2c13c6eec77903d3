"""A generator's exports in a folder, which appears whole or not at all."""

from __future__ import annotations

import json
import math
import os
import shutil
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_tf.export.config import ExportConfig
from anime_tf.io.atomic import atomic_folder
from anime_tf.io.paths import check_writable

if TYPE_CHECKING:
    import keras
    import numpy as np

    from anime_tf.export.card import ModelCard
    from anime_tf.export.checks import Limit, Measured
    from anime_tf.inference.engines.keras import KerasEngine
    from anime_tf.inference.padded_generator import PaddedGenerator

RECORD = "export.json"
"""What makes a folder an export of ours."""

RECORD_KIND = "anime_tf export 1"


@dataclass(frozen=True)
class Exported:
    """One file or folder of an export.

    Attributes:
        path: Where it is.
        size: Bytes, with all that is in it.
        measured: How far it is from the network, and its time; None where it was not verified.
        failure: Which limit it passes, in words; it was not written then. Empty where all is well.
    """

    path: Path
    size: int
    measured: Measured | None
    failure: str = ""


def _saved_model(
    network: PaddedGenerator, path: Path, config: ExportConfig, card: ModelCard
) -> Limit:
    from anime_tf.export import saved_model
    from anime_tf.export.encoded import MAX_PIXELS, Limits

    limits = Limits(max_pixels=config.max_pixels or MAX_PIXELS)
    saved_model.write_saved_model(network, path, card=card, limits=limits)
    return saved_model.LIMIT


def _tflite(network: PaddedGenerator, path: Path, config: ExportConfig, card: ModelCard) -> Limit:
    from anime_tf.export import metadata, tflite
    from anime_tf.export.int8 import calibration_pictures

    if config.image_size is not None:
        network = network.with_size(config.image_size)
    photos: list[np.ndarray] = []
    if config.calibration is not None:
        photos = calibration_pictures(config.calibration, config.image_size)
    data = tflite.convert_tflite(network, config.quantize, photos)
    tflite.check_tflite(data, network, config.quantize)
    path.write_bytes(metadata.add_metadata(data, card))
    return tflite.QUANTIZATIONS[config.quantize].limit


def _onnx(network: PaddedGenerator, path: Path, config: ExportConfig, card: ModelCard) -> Limit:
    from anime_tf.export import onnx

    path.write_bytes(onnx.convert_onnx(network, card))
    return onnx.LIMIT


@dataclass(frozen=True)
class Format:
    """A kind of export.

    Attributes:
        name: Of its file or folder in the export's folder.
        write: Writes it there; returns how far it may be from the network.
    """

    name: str
    write: Callable[[PaddedGenerator, Path, ExportConfig, ModelCard], Limit]


FORMATS: dict[str, Format] = {
    "saved_model": Format("saved_model", _saved_model),
    "tflite": Format("model.tflite", _tflite),
    "onnx": Format("model.onnx", _onnx),
}
"""Value of --formats -> what it writes."""


def check_request(config: ExportConfig) -> None:
    """Find errors of an export before TensorFlow is loaded; touch no file.

    Raises:
        ValueError: The folder holds other files than an export, or a package is not installed.
        NotADirectoryError: A file stands where a folder is needed.
        PermissionError: No permission to write there.
    """
    output, formats = config.output, config.formats
    folder = Path(output).resolve()  # also what a link names, or "."
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{output}: expected a folder for the export, got a file")
    if folder.is_dir():
        _check_replaceable(folder, output)
    check_writable(folder.parent)
    if "tflite" in formats:
        from anime_tf.inference.engines.tflite import import_litert

        import_litert()
    if config.freeze is not None:
        from anime_tf.io.folders import find_pictures

        find_pictures(config.freeze)
    if config.calibration is not None:
        from anime_tf.export.int8 import import_quantizer
        from anime_tf.io.folders import find_pictures

        find_pictures(config.calibration)
        import_quantizer()
    if "onnx" in formats:
        from anime_tf.export.onnx import check_installed
        from anime_tf.inference.engines.onnx import import_onnxruntime

        check_installed()
        if config.verify:
            import_onnxruntime()


def _check_replaceable(folder: Path, output: str | os.PathLike[str]) -> None:
    """Refuses a folder that holds anything that an export did not write."""
    found = {entry.name for entry in folder.iterdir()}
    if not found:
        return
    foreign = sorted(found - {RECORD, *(kind.name for kind in FORMATS.values())})
    if not foreign and _is_record(folder / RECORD):
        return
    what = f"{foreign[0]}, which is no part of one" if foreign else f"no {RECORD} of one"
    raise ValueError(
        f"{output}: only an export of ours is replaced, and this folder holds {what}; "
        "name a new folder"
    )


def _is_record(path: Path) -> bool:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(content, dict) and content.get("kind") == RECORD_KIND


def export(config: ExportConfig) -> list[Exported]:
    """Exports a generator, and verifies each part against the network.

    `config.output` will hold ``saved_model/``, ``model.tflite``, ``model.onnx`` and
    ``export.json``, and nothing of an earlier export, which is replaced as a whole. A part that
    exceeds its tolerance is left out; if none remains, nothing is written.

    Returns:
        All parts in the order of `FORMATS`, failed ones included.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: As for `check_request`; or weights that cannot be exported.
        OSError: The folder cannot be written.
    """
    check_request(config)
    output = config.output
    import tensorflow as tf

    from anime_tf.export.card import ModelCard
    from anime_tf.inference.engines.keras import KerasEngine
    from anime_tf.models.archive import load_generator
    from anime_tf.styles.builtin import weights_path

    model = load_generator(weights_path(config.weights), precision=config.precision)
    card = ModelCard.from_weights(
        config.weights,
        model,
        style_name=config.style_name,
        license=config.license,
        training_data=config.training_data,
    )
    network = KerasEngine(model, statistics=_held(model, config))
    try:
        with atomic_folder(output, replace=True) as unfinished:
            parts = [
                _export_part(kind, network, unfinished, Path(output), config, card)
                for name, kind in FORMATS.items()
                if name in config.formats
            ]
            written = [part for part in parts if not part.failure]
            if not written:
                shutil.rmtree(unfinished)
                return parts
            record = {
                "kind": RECORD_KIND,
                **card.versions,
                "style": card.style,
                "license": card.license,
                "generator": card.network,
                "weights_sha256": card.weights_sha256,
                "precision": card.precision,
                "quantize": config.quantize,
                "holds_statistics": config.freeze is not None,
                "image_size": config.image_size,
                "files": {part.path.name: _as_record(part) for part in written},
            }
            text = json.dumps(record, indent=2) + "\n"
            (unfinished / RECORD).write_text(text, encoding="utf-8")
            if Path(output).exists():
                _check_replaceable(Path(output), output)  # again: a while has passed
    except tf.errors.OpError as error:
        # TensorFlow's own words for a disk that is full and the like.
        raise OSError(f"{output}: cannot be written ({error.message.splitlines()[0]})") from error
    return parts


def _held(model: keras.Model, config: ExportConfig) -> np.ndarray | None:
    """Statistics of the photos of `config.freeze`."""
    if config.freeze is None:
        return None
    from anime_tf.export.int8 import calibration_pictures
    from anime_tf.inference.norm_statistics import StatisticsEstimator

    photos = calibration_pictures(config.freeze, config.image_size)
    return StatisticsEstimator(model)([photo[0] for photo in photos])


def _export_part(
    kind: Format,
    network: KerasEngine,
    unfinished: Path,
    output: Path,
    config: ExportConfig,
    card: ModelCard,
) -> Exported:
    """Writes one part into the unfinished folder, and takes it out again where it fails."""
    from anime_tf.export.checks import PROBE_SIZES, measure
    from anime_tf.inference.engines.engine import EngineConfig
    from anime_tf.inference.engines.factory import create_engine, default_engine

    path = unfinished / kind.name
    limit = kind.write(network.network, path, config, card)
    size = _size(path)
    if not config.verify:
        return Exported(output / kind.name, size, None)
    one_size = [config.image_size] if path.suffix == ".tflite" and config.image_size else []
    engine = create_engine(path, EngineConfig(default_engine(path)))
    measured = measure(engine, network, one_size or PROBE_SIZES)
    failure = measured.beyond(limit)
    if failure:
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    return Exported(output / kind.name, size, measured, failure)


def _as_record(part: Exported) -> dict[str, Any]:
    """A part for the record; JSON has no infinity, which is the PSNR of equal pictures."""
    record: dict[str, Any] = {"bytes": part.size}
    if part.measured is not None:
        record |= asdict(part.measured)
        record["psnr"] = part.measured.psnr if math.isfinite(part.measured.psnr) else None
    return record


def _size(path: Path) -> int:
    """Bytes of a file, or of all files below a folder."""
    files = [path] if path.is_file() else [file for file in path.rglob("*") if file.is_file()]
    return sum(file.stat().st_size for file in files)
