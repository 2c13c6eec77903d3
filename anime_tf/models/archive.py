"""``.keras`` archives of generators: the project's own weights format.

An archive holds the config and the weights of one generator of `models.registry`, so the file alone
says which network it is. Under which precision it runs is decided when it is loaded, not when it is
saved. Nothing in an archive is ever executed: only the arguments of a known class are read from it.
"""

from __future__ import annotations

import json
import os
import secrets
import zipfile
import zlib
from pathlib import Path
from typing import Any

import keras
import numpy as np

from anime_tf.errors import first_line
from anime_tf.models.registry import GENERATORS

STORAGES = ("float32", "float16")
"""Number types that an archive can hold its weights in."""

FLOAT16_MAX = float(np.finfo(np.float16).max)

_PARTS = frozenset({"config.json", "model.weights.h5"})


def save_generator(
    model: keras.Model, path: str | os.PathLike[str], *, storage: str = "float32"
) -> None:
    """Saves a generator as an archive; the file appears whole under its name or not at all.

    Args:
        model: A generator of `GENERATORS`, under any dtype policy.
        path: The archive, ending in ``.keras``; an existing file is replaced, missing parent
            folders are made.
        storage: "float32", or "float16" for a file of half the size, whose weights are rounded
            to 11 significant bits.

    Raises:
        ValueError: Not a generator of this project, another suffix or storage, or weights that
            float16 cannot hold.
        OSError: The file cannot be written; names `path`.
    """
    path = Path(path)
    if type(model) not in GENERATORS.values():
        raise ValueError(
            f"{path}: can only save a generator ({', '.join(GENERATORS)}), "
            f"received a {type(model).__name__}"
        )
    if path.suffix != ".keras":
        raise ValueError(f"{path}: a weights archive must end in .keras; rename the output")
    if storage not in STORAGES:
        raise ValueError(f"storage must be one of {', '.join(STORAGES)}, received {storage!r}")

    # A copy, so that neither the policy of training nor this object's name gets into the file.
    name = next(key for key, kind in GENERATORS.items() if kind is type(model))
    copy = type(model)(**{**model.get_config(), "name": name, "dtype": storage})
    weights = [np.asarray(weight, np.float32) for weight in model.get_weights()]
    largest = max(float(np.abs(weight).max()) for weight in weights)
    if storage == "float16" and not largest <= FLOAT16_MAX:
        raise ValueError(
            f"{path}: a weight of {largest:g} does not fit float16; save with storage='float32'"
        )
    copy.set_weights(weights)

    # Keras wants the suffix, os.replace the same file system.
    temporary = path.with_name(f".{path.stem[:100]}.{secrets.token_hex(6)}.keras")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            copy.save(temporary)
            os.replace(temporary, path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
    except OSError as error:
        # The same error, told of the file that the caller knows.
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def load_generator(path: str | os.PathLike[str], *, precision: str = "float32") -> keras.Model:
    """Loads a generator from an archive.

    Args:
        path: The archive.
        precision: Dtype policy that the generator is built under: "float32", "mixed_float16",
            "mixed_bfloat16" or any other name that `keras.DTypePolicy` knows; whatever number type
            the archive stores is converted.

    Returns:
        The generator, built, with the archive's weights.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a whole archive of a generator of this project, or Keras knows no
            such precision.
    """
    path = Path(path)
    policy = keras.DTypePolicy(precision)
    kind, config = _read_config(path)
    try:
        model = kind(**{**config, "dtype": policy})
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: its config does not fit {kind.__name__} ({first_line(error)}); "
            "was it written by another version of anime_tf?"
        ) from error
    try:
        model.load_weights(path)
    except (ValueError, KeyError, OSError, RuntimeError) as error:
        raise ValueError(
            f"{path}: its weights do not fit {kind.__name__} ({first_line(error)}); "
            "was it written by another version of anime_tf?"
        ) from error
    return model


def _read_config(path: Path) -> tuple[type[keras.Model], dict[str, Any]]:
    """Checks that a file is a whole archive; returns its generator's class and arguments."""
    if path.is_dir():
        raise ValueError(f"{path}: expected a .keras archive, found a folder; name the file in it")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; expected a .keras archive")
    with path.open("rb") as file:
        start = file.read(4)
    if start != b"PK\x03\x04":
        found = "an empty file" if not start else "another kind of file"
        raise ValueError(
            f"{path}: expected a .keras archive, found {found}; legacy weights are converted with "
            "anime-tf convert"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            missing = _PARTS.difference(archive.namelist())
            if missing:
                raise ValueError(
                    f"{path}: expected a .keras archive, found a zip file without "
                    f"{' and '.join(sorted(missing))}"
                )
            if archive.testzip() is not None:
                raise zipfile.BadZipFile("wrong checksum")
            content = json.loads(archive.read("config.json"))
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError) as error:
        raise ValueError(
            f"{path}: the .keras archive is cut off or damaged ({first_line(error)}); "
            "copy or make it anew"
        ) from error
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise ValueError(f"{path}: its config.json is not JSON ({first_line(error)})") from error

    known = {keras.saving.get_registered_name(kind): kind for kind in GENERATORS.values()}
    name = content.get("registered_name") if isinstance(content, dict) else None
    config = content.get("config") if isinstance(content, dict) else None
    if name not in known or not isinstance(config, dict):
        holds = content.get("class_name") if isinstance(content, dict) else None
        raise ValueError(
            f"{path}: holds {holds or 'no model'}, expected a generator of anime_tf "
            f"({', '.join(GENERATORS)})"
        )
    return known[name], config
