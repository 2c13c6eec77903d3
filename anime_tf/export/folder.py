"""A generator's exports in a folder, which appears whole or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from anime_tf.export.checks import Difference
    from anime_tf.inference.any_picture import AnyPicture

RECORD = "export.json"
"""What makes a folder an export of ours."""

RECORD_KIND = "anime_tf export 1"

QUANTIZE_CHOICES = ("none", "float16", "dynamic")
"""The keys of `export.tflite.QUANTIZATIONS`, which needs TensorFlow."""


@dataclass(frozen=True)
class Exported:
    """One file or folder of an export.

    Attributes:
        path: Where it is.
        size: Bytes, with all that is in it.
        difference: How far its pictures are from the network's.
    """

    path: Path
    size: int
    difference: Difference


def _saved_model(network: AnyPicture, path: Path, quantize: str) -> Difference:
    from anime_tf.export.saved_model import check_saved_model, write_saved_model

    write_saved_model(network, path)
    return check_saved_model(path, network)


def _tflite(network: AnyPicture, path: Path, quantize: str) -> Difference:
    from anime_tf.export.tflite import check_tflite, convert_tflite

    data = convert_tflite(network, quantize)
    difference = check_tflite(data, network, quantize)
    path.write_bytes(data)
    return difference


@dataclass(frozen=True)
class Format:
    """A kind of export.

    Attributes:
        name: Of its file or folder in the export's folder.
        write: Writes it there, checked, given the quantisation.
    """

    name: str
    write: Callable[[AnyPicture, Path, str], Difference]


FORMATS: dict[str, Format] = {
    "saved_model": Format("saved_model", _saved_model),
    "tflite": Format("model.tflite", _tflite),
}
"""Value of --formats -> what it writes."""


def check_request(
    output: str | os.PathLike[str], formats: Sequence[str], quantize: str = "none"
) -> None:
    """Finds what is wrong with an export before TensorFlow is loaded; touches nothing.

    Args:
        output: The folder to write.
        formats: Keys of `FORMATS`.
        quantize: One of `QUANTIZE_CHOICES`.

    Raises:
        ValueError: Unknown or missing formats or quantisation, or a folder that is not replaced
            because it holds other things than an export, or LiteRT is needed and not installed.
        NotADirectoryError: A file stands where a folder is needed.
        PermissionError: No permission to write there.
    """
    unknown = [name for name in formats if name not in FORMATS]
    if unknown or not formats:
        raise ValueError(
            f"formats must be some of {', '.join(FORMATS)}, received {', '.join(unknown) or 'none'}"
        )
    if quantize not in QUANTIZE_CHOICES:
        raise ValueError(f"quantize must be one of {', '.join(QUANTIZE_CHOICES)}, not {quantize!r}")
    if quantize != "none" and "tflite" not in formats:
        raise ValueError(f"quantize={quantize} is for tflite, which is not among the formats")

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
        from anime_tf.inference.engines import import_litert

        import_litert()


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
    *,
    formats: Sequence[str] = tuple(FORMATS),
    quantize: str = "none",
) -> list[Exported]:
    """Exports a generator; what it writes is read back and compared with the network first.

    Args:
        weights: Name of a built-in style, or the path of a ``.keras`` archive.
        output: The folder: it will hold ``saved_model/``, ``model.tflite`` and ``export.json``,
            as far as asked for, and nothing of an earlier export, which is replaced as a whole.
        formats: Keys of `FORMATS`.
        quantize: How the TFLite model stores its weights, a key of `tflite.QUANTIZATIONS`.

    Returns:
        What was written, in the order of `FORMATS`.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: As for `check_request`; or weights that cannot be exported; or an export that
            failed its check, in which case nothing is written.
        OSError: The folder cannot be written.
    """
    check_request(output, formats, quantize)
    import tensorflow as tf

    from anime_tf import __version__
    from anime_tf.inference.any_picture import AnyPicture
    from anime_tf.models.archive import load_generator
    from anime_tf.models.registry import GENERATORS
    from anime_tf.weights.builtin import weights_path

    archive = weights_path(weights)
    model = load_generator(archive)
    network = AnyPicture(model)
    folder = Path(output).resolve()
    unfinished = folder.with_name(f".{folder.name}.{secrets.token_hex(6)}.tmp")
    try:
        unfinished.mkdir(parents=True)
        chosen = [kind for name, kind in FORMATS.items() if name in formats]
        written = []
        for kind in chosen:
            difference = kind.write(network, unfinished / kind.name, quantize)
            written.append(
                Exported(Path(output) / kind.name, _size(unfinished / kind.name), difference)
            )
        record = {
            "kind": RECORD_KIND,
            "anime_tf": __version__,
            "tensorflow": tf.__version__,
            "generator": next(n for n, kind in GENERATORS.items() if kind is type(model)),
            "weights_sha256": hashlib.sha256(archive.read_bytes()).hexdigest(),
            "quantize": quantize,
            "differences_in_grey_levels": {e.path.name: asdict(e.difference) for e in written},
        }
        text = json.dumps(record, indent=2) + "\n"
        (unfinished / RECORD).write_text(text, encoding="utf-8")
        _replace(unfinished, folder, output)
    except tf.errors.OpError as error:
        # TensorFlow's own words for a disk that is full and the like.
        raise OSError(f"{output}: cannot be written ({error.message.splitlines()[0]})") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return written


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
