"""A generator's exports in a folder, which appears whole or not at all."""

from __future__ import annotations

import json
import math
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import keras
    import numpy as np

    from anime_tf.export.card import ModelCard
    from anime_tf.export.checks import Limit, Measured
    from anime_tf.inference.engines.engine import KerasEngine
    from anime_tf.inference.padded_generator import PaddedGenerator

RECORD = "export.json"
"""What makes a folder an export of ours."""

RECORD_KIND = "anime_tf export 1"

QUANTIZE_CHOICES = ("none", "float16", "dynamic", "int8")
"""The keys of `export.tflite.QUANTIZATIONS`, which needs TensorFlow."""

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
"""Keras dtype policies that a SavedModel can compute under; the weights stay float32."""


@dataclass(frozen=True)
class ExportOptions:
    """What an export is to be like.

    Attributes:
        formats: Keys of `FORMATS`.
        quantize: How the TFLite model stores its weights, one of `QUANTIZE_CHOICES`.
        calibration: Folder of photos that the steps of "int8" are chosen on.
        hold: Folder of photos whose statistics take the place of each picture's own; None for its
            own. What is exported then has no norms: convolutions alone, one after the other.
        image_size: Height and width of the one size that the TFLite model is to take, pixels; None
            for every size.
        verify: Whether each part is read back and compared with the network.
        precision: Of the SavedModel's computations, one of `PRECISIONS`.
        max_pixels: Of a picture that the SavedModel takes as a file; None for what
            `export.encoded` takes.
        style_name: For the model card; empty for the name of the weights.
        licence: Of the weights, for the model card; empty where it is not to be stated.
        training_data: What they learnt from, likewise.
    """

    formats: Sequence[str] = ("saved_model", "tflite")
    quantize: str = "none"
    calibration: str | os.PathLike[str] | None = None
    hold: str | os.PathLike[str] | None = None
    image_size: tuple[int, int] | None = None
    verify: bool = True
    precision: str = "float32"
    max_pixels: int | None = None
    style_name: str = ""
    licence: str = ""
    training_data: str = ""


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
    network: PaddedGenerator, path: Path, options: ExportOptions, card: ModelCard
) -> Limit:
    from anime_tf.export import saved_model
    from anime_tf.export.encoded import MAX_PIXELS, Limits

    limits = Limits(max_pixels=options.max_pixels or MAX_PIXELS)
    saved_model.write_saved_model(network, path, card=card, limits=limits)
    return saved_model.LIMIT


def _tflite(network: PaddedGenerator, path: Path, options: ExportOptions, card: ModelCard) -> Limit:
    from anime_tf.export import metadata, tflite
    from anime_tf.export.int8 import calibration_pictures

    if options.image_size is not None:
        network = network.with_size(options.image_size)
    photos: list[np.ndarray] = []
    if options.calibration is not None:
        photos = calibration_pictures(options.calibration, options.image_size)
    data = tflite.convert_tflite(network, options.quantize, photos)
    tflite.check_tflite(data, network, options.quantize)
    path.write_bytes(metadata.add_metadata(data, card))
    return tflite.QUANTIZATIONS[options.quantize].limit


def _onnx(network: PaddedGenerator, path: Path, options: ExportOptions, card: ModelCard) -> Limit:
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
    write: Callable[[PaddedGenerator, Path, ExportOptions, ModelCard], Limit]


FORMATS: dict[str, Format] = {
    "saved_model": Format("saved_model", _saved_model),
    "tflite": Format("model.tflite", _tflite),
    "onnx": Format("model.onnx", _onnx),
}
"""Value of --formats -> what it writes."""


def check_request(output: str | os.PathLike[str], options: ExportOptions) -> None:
    """Finds what is wrong with an export before TensorFlow is loaded; touches nothing.

    Args:
        output: The folder to write.
        options: What is to be written.

    Raises:
        ValueError: Unknown or missing formats or quantisation, or a folder that is not replaced
            because it holds other things than an export, or a package is needed and not installed.
        NotADirectoryError: A file stands where a folder is needed.
        PermissionError: No permission to write there.
    """
    formats, quantize = options.formats, options.quantize
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(
            f"formats must be some of {', '.join(FORMATS)}, received {', '.join(unknown) or 'none'}"
        )
    if quantize not in QUANTIZE_CHOICES:
        raise ValueError(f"quantize must be one of {', '.join(QUANTIZE_CHOICES)}, not {quantize!r}")
    if quantize != "none" and "tflite" not in formats:
        raise ValueError(f"quantize={quantize} is for tflite, which is not among the formats")
    if (quantize == "int8") != (options.calibration is not None):
        raise ValueError(
            "quantize=int8 and calibration, a folder of photos to choose its steps on, go together"
        )
    if options.image_size is not None and "tflite" not in formats:
        raise ValueError("image_size is for tflite, which is not among the formats")
    if options.precision not in PRECISIONS:
        raise ValueError(
            f"precision must be one of {', '.join(PRECISIONS)}, not {options.precision!r}"
        )
    others = [name for name in formats if name != "saved_model"]
    if options.precision != "float32" and others:
        raise ValueError(
            f"precision={options.precision} is for saved_model alone; export {', '.join(others)} "
            "apart, into another folder"
        )
    if options.max_pixels is not None and options.max_pixels < 1:
        raise ValueError(f"max_pixels must be 1 or more, received {options.max_pixels}")

    folder = Path(output).resolve()  # also what a link names, or "."
    if folder.exists() and not folder.is_dir():
        raise NotADirectoryError(f"{output}: expected a folder for the export, found a file")
    if folder.is_dir():
        _check_replaceable(folder, output)
    existing = next(place for place in folder.parents if place.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"{output}: expected a folder, but {existing} is a file")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"{output}: no permission to write there; name another folder")
    if "tflite" in formats:
        from anime_tf.inference.engines.engine import import_litert

        import_litert()
    if options.hold is not None:
        from anime_tf.io.folders import find_pictures

        find_pictures(options.hold)
    if options.calibration is not None:
        from anime_tf.export.int8 import import_quantizer
        from anime_tf.io.folders import find_pictures

        find_pictures(options.calibration)
        import_quantizer()
    if "onnx" in formats:
        from anime_tf.export.onnx import check_installed
        from anime_tf.inference.engines.engine import import_onnxruntime

        check_installed()
        if options.verify:
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


def export(
    weights: str | os.PathLike[str],
    output: str | os.PathLike[str],
    options: ExportOptions | None = None,
) -> list[Exported]:
    """Exports a generator; what it writes is read back and compared with the network first.

    Args:
        weights: Name of a built-in style, or the path of a ``.keras`` archive.
        output: The folder: it will hold ``saved_model/``, ``model.tflite``, ``model.onnx`` and
            ``export.json``, as far as asked for, and nothing of an earlier export, which is
            replaced as a whole.
            A part that passes its limit is left out; where none is left, nothing is written.
        options: What is to be written; a SavedModel and a TFLite model, where it is left out.

    Returns:
        Each part, in the order of `FORMATS`, those that failed among them.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: As for `check_request`; or weights that cannot be exported.
        OSError: The folder cannot be written.
    """
    options = options or ExportOptions()
    check_request(output, options)
    import tensorflow as tf

    from anime_tf.export.card import ModelCard
    from anime_tf.inference.engines.engine import KerasEngine
    from anime_tf.models.archive import load_generator
    from anime_tf.styles.builtin import weights_path

    model = load_generator(weights_path(weights), precision=options.precision)
    card = ModelCard.from_weights(
        weights,
        model,
        style_name=options.style_name,
        licence=options.licence,
        training_data=options.training_data,
    )
    network = KerasEngine(model, statistics=_held(model, options))
    folder = Path(output).resolve()
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.tmp")
    try:
        unfinished.mkdir(parents=True)
        parts = [
            _export_part(kind, network, unfinished, Path(output), options, card)
            for name, kind in FORMATS.items()
            if name in options.formats
        ]
        written = [part for part in parts if not part.failure]
        if not written:
            return parts
        record = {
            "kind": RECORD_KIND,
            **card.versions,
            "style": card.style,
            "licence": card.licence,
            "generator": card.network,
            "weights_sha256": card.weights_sha256,
            "precision": card.precision,
            "quantize": options.quantize,
            "holds_statistics": options.hold is not None,
            "image_size": options.image_size,
            "files": {part.path.name: _as_record(part) for part in written},
        }
        text = json.dumps(record, indent=2) + "\n"
        (unfinished / RECORD).write_text(text, encoding="utf-8")
        _replace(unfinished, folder, output)
    except tf.errors.OpError as error:
        # TensorFlow's own words for a disk that is full and the like.
        raise OSError(f"{output}: cannot be written ({error.message.splitlines()[0]})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return parts


def _held(model: keras.Model, options: ExportOptions) -> np.ndarray | None:
    """Statistics of the photos of `options.hold`."""
    if options.hold is None:
        return None
    from anime_tf.export.int8 import calibration_pictures
    from anime_tf.inference.norm_statistics import StatisticsEstimator

    photos = calibration_pictures(options.hold, options.image_size)
    return StatisticsEstimator(model)([photo[0] for photo in photos])


def _export_part(
    kind: Format,
    network: KerasEngine,
    unfinished: Path,
    output: Path,
    options: ExportOptions,
    card: ModelCard,
) -> Exported:
    """Writes one part into the unfinished folder, and takes it out again where it fails."""
    from anime_tf.export.checks import PROBE_SIZES, measure
    from anime_tf.inference.engines.engine import engine_of, open_engine

    path = unfinished / kind.name
    limit = kind.write(network.network, path, options, card)
    size = _size(path)
    if not options.verify:
        return Exported(output / kind.name, size, None)
    one_size = [options.image_size] if path.suffix == ".tflite" and options.image_size else []
    measured = measure(open_engine(path, engine_of(path)), network, one_size or PROBE_SIZES)
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


def _replace(unfinished: Path, folder: Path, output: str | os.PathLike[str]) -> None:
    """Gives a folder its final name; an earlier export steps aside first, and back on failure."""
    if not folder.exists():
        os.rename(unfinished, folder)
        return
    _check_replaceable(folder, output)  # again: a while has passed
    aside = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.old")
    os.rename(folder, aside)
    try:
        os.rename(unfinished, folder)
    except BaseException:
        os.rename(aside, folder)
        raise
    shutil.rmtree(aside, ignore_errors=True)
