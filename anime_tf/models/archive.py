"""``.keras`` archives of generators: the project's own weights format.

An archive holds the config and the weights of one generator of `models.registry`. Its precision is
chosen on loading, not on saving. Loading executes nothing from the archive: it only reads the
arguments of a known class.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from anime_tf.errors import first_line
from anime_tf.io.arrays import check_hdf5, check_zip, read_member
from anime_tf.io.atomic import atomic_file
from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, open_plain_file
from anime_tf.models.generator import Generator
from anime_tf.models.registry import GENERATORS

STORAGES = ("float32", "float16")  # dtypes that an archive can store its weights in
FLOAT16_MAX = float(np.finfo(np.float16).max)

CHECKED_WIDTH = 64  # wider networks are checked before memory is taken for them
_PARTS = frozenset({"config.json", "model.weights.h5"})


def save_generator(
    model: keras.Model, path: str | os.PathLike[str], *, storage: str = "float32"
) -> None:
    """Save a generator of `GENERATORS`, under any dtype policy, as an archive, atomically.

    The path ends in ``.keras``; an existing file is replaced, missing folders are made. `storage`
    is "float32", or "float16" for half the size, with weights rounded to 11 significant bits.

    Raises:
        ValueError: Not a generator of this project, another suffix or storage, or weights out of
            the range of float16.
        OSError: The file cannot be written; names `path`.
    """
    path = Path(path)
    if type(model) not in GENERATORS.values():
        raise ValueError(
            f"{path}: expected a generator ({', '.join(GENERATORS)}), got {type(model).__name__}"
        )
    if path.suffix != ".keras":
        raise ValueError(
            f"{path}: expected an archive that ends in .keras, got {path.suffix!r}; rename it"
        )
    if storage not in STORAGES:
        raise ValueError(f"expected storage of {', '.join(STORAGES)}, got {storage!r}")

    # A copy: the file must hold neither the dtype policy of training nor this object's name.
    name = next(key for key, kind in GENERATORS.items() if kind is type(model))
    copy = type(model)(**{**model.get_config(), "name": name, "dtype": storage})
    weights = [np.asarray(weight, np.float32) for weight in model.get_weights()]
    largest = max(float(np.abs(weight).max()) for weight in weights)
    if storage == "float16" and not largest <= FLOAT16_MAX:
        raise ValueError(
            f"{path}: a weight of {largest:g} does not fit float16; save with storage='float32'"
        )
    copy.set_weights(weights)

    with atomic_file(path, ".keras") as temporary:  # Keras insists on the suffix
        path.parent.mkdir(parents=True, exist_ok=True)
        copy.save(temporary)


def load_generator(path: str | os.PathLike[str], *, precision: str = "float32") -> Generator:
    """Load a generator from an archive, built, with its weights.

    `precision` is its dtype policy, a name of `keras.DTypePolicy`: "float32", "mixed_float16",
    "mixed_bfloat16"... The weights are converted from their storage.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a complete archive of a generator of this project, or the precision is
            unknown.
    """
    path = Path(path)
    if not path.suffix and not path.exists():
        raise FileNotFoundError(
            f"{path}: no such file or folder; expected a .keras archive; for a style's name, use "
            f'Stylizer("{path}"), or the path anime_tf.styles.show("{path}").path'
        )
    policy = keras.DTypePolicy(precision)
    kind, config, data = _read_archive(path)
    with _fitting(path, "weights do", kind):
        count = _count_weights(data)
    with _fitting(path, "config does", kind):
        _check_width(kind, config, count)
        model = kind(**{**config, "dtype": policy})
    with _fitting(path, "weights do", kind):
        model.load_weights(path)
    return model


@contextlib.contextmanager
def _fitting(path: Path, subject: str, kind: type[Generator]) -> Iterator[None]:
    """Turn any error into a ValueError: Keras and HDF5 raise anything."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"{path}: its {subject} not fit {kind.__name__} ({first_line(error)}); "
            "re-create it with this version of anime_tf"
        ) from error


def _count_weights(data: bytes) -> int:
    """Check the declared sizes of an archive's weights; return how many there are."""
    with h5py.File(io.BytesIO(data), "r") as file:
        return check_hdf5(file, len(data))


def _check_width(kind: type[Generator], config: dict[str, Any], count: int) -> None:
    """Raise ValueError for a width whose network takes far more memory than the file's weights."""
    width = config.get("width", 0)
    if isinstance(width, int) and width > CHECKED_WIDTH:
        expected = kind(width=CHECKED_WIDTH).count_params() * (width / CHECKED_WIDTH) ** 2
        if expected > 2 * count:
            raise ValueError(f"expected a width for {count} weights, got {width}")


def _read_archive(path: Path) -> tuple[type[Generator], dict[str, Any], bytes]:
    """Check that a file is a complete archive.

    Returns its generator's class and arguments, and its HDF5 file of weights.
    """
    with open_plain_file(path, "a .keras archive", MAX_WEIGHTS_BYTES) as file:
        start = file.read(4)
    if start != b"PK\x03\x04":
        kind = "an empty file" if not start else "another kind of file"
        raise ValueError(
            f"{path}: expected a .keras archive, got {kind}; convert legacy weights with "
            "anime-tf convert"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            missing = _PARTS.difference(archive.namelist())
            if missing:
                raise ValueError(
                    f"{path}: expected a .keras archive, got a zip file without "
                    f"{' and '.join(sorted(missing))}"
                )
            check_zip(archive, path.stat().st_size)
            # Reading compares the checksums.
            text = read_member(archive, "config.json")
            data = archive.read("model.weights.h5")
    except Exception as error:
        if isinstance(error, ValueError) and str(path) in str(error):
            raise
        raise ValueError(
            f"{path}: the .keras archive is incomplete or damaged ({first_line(error)}); "
            "copy or create it again"
        ) from error
    try:
        content = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path}: its config.json is not JSON ({first_line(error)})") from error

    known = {keras.saving.get_registered_name(kind): kind for kind in GENERATORS.values()}
    name = content.get("registered_name") if isinstance(content, dict) else None
    config = content.get("config") if isinstance(content, dict) else None
    if name not in known or not isinstance(config, dict):
        holds = content.get("class_name") if isinstance(content, dict) else None
        raise ValueError(
            f"{path}: expected a generator of anime_tf ({', '.join(GENERATORS)}), got "
            f"{holds or 'no model'}"
        )
    return known[name], config, data
