"""dlib and its model files."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from anime_tf.errors import first_line, import_optional
from anime_tf.io.plain_file import check_plain_file

REQUIREMENTS = ("dlib-bin", "face-recognition-models")
"""The extra ``faces``: the library and its models."""

MODELS = {
    "68": "shape_predictor_68_face_landmarks.dat",
    "5": "shape_predictor_5_face_landmarks.dat",
    "cnn": "mmod_human_face_detector.dat",
}
"""Name -> file in ``face-recognition-models``."""


def import_dlib() -> ModuleType:
    """Import dlib; raises a ValueError if it is not installed."""
    return import_optional("dlib", "faces need dlib", " ".join(REQUIREMENTS))


def model_path(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the path of a model file from a key of `MODELS` or a path.

    Raises:
        FileNotFoundError: There is no such file, or the package of models is not installed.
    """
    name = os.fspath(name_or_path)
    if name not in MODELS:
        check_plain_file(name, f"{', '.join(MODELS)} or the path of a .dat file of dlib")
        return Path(name)
    # Not imported, because the package needs pkg_resources, which setuptools removed.
    spec = importlib.util.find_spec("face_recognition_models")
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / "models" / MODELS[name]
        if path.is_file():
            return path
    raise FileNotFoundError(
        f"{MODELS[name]}: no such model file; pip install {REQUIREMENTS[1]}, or give the path of "
        "the file"
    )


def load_model(kind: str, path: Path) -> Any:
    """Load a model of dlib's class `kind`: "shape_predictor", "cnn_face_detection_model_v1".

    Raises:
        ValueError: dlib is missing, or the file is not such a model.
    """
    dlib = import_dlib()
    try:
        return getattr(dlib, kind)(str(path))
    except Exception as error:  # of damaged files dlib raises anything
        raise ValueError(
            f"{path}: expected a {kind} of dlib, got another file ({first_line(error)})"
        ) from error
