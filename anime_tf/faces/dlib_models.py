"""dlib and its model files, asked for by name where one is missing."""

from __future__ import annotations

import importlib
import importlib.util
import os
from pathlib import Path
from types import ModuleType
from typing import Any

from anime_tf.errors import import_optional

REQUIREMENTS = ("dlib-bin", "face-recognition-models")
"""What the extra ``faces`` installs: the library, and its models."""

MODELS = {
    "68": "shape_predictor_68_face_landmarks.dat",
    "5": "shape_predictor_5_face_landmarks.dat",
    "cnn": "mmod_human_face_detector.dat",
}
"""Name -> file in ``face-recognition-models``."""


def import_dlib() -> ModuleType:
    """Imports dlib.

    Returns:
        The module.

    Raises:
        ValueError: It is not installed.
    """
    return import_optional("dlib", "faces are found by dlib", " ".join(REQUIREMENTS))


def model_path(name_or_path: str | os.PathLike[str]) -> Path:
    """Finds a model file.

    Args:
        name_or_path: A key of `MODELS`, or the path of a file.

    Returns:
        The path of a file that exists.

    Raises:
        FileNotFoundError: There is no such file, or the package that brings it is missing.
    """
    name = os.fspath(name_or_path)
    if name not in MODELS:
        if not os.path.isfile(name):
            raise FileNotFoundError(
                f"{name}: no such model file; expected {', '.join(MODELS)} or the path of one of "
                "dlib's .dat files"
            )
        return Path(name)
    # Not imported: the package asks for pkg_resources, which Python has given up.
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
    """Loads a model.

    Args:
        kind: The class of dlib: "shape_predictor" or "cnn_face_detection_model_v1".
        path: Its file.

    Returns:
        An object of that class.

    Raises:
        ValueError: dlib is missing, or the file holds no such model.
    """
    dlib = import_dlib()
    try:
        return getattr(dlib, kind)(str(path))
    except RuntimeError as error:
        raise ValueError(
            f"{path}: expected a {kind} of dlib, found something else "
            f"({' '.join(str(error).split())}); name another file"
        ) from error
