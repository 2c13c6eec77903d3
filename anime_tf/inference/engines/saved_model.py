"""`SavedModelEngine`: exported SavedModels by TensorFlow."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.errors import first_line
from anime_tf.inference.engines.graph import run_graph
from anime_tf.io.native_stderr import import_tensorflow

SAVED_MODEL_FILE = "saved_model.pb"  # file that every SavedModel folder contains


class SavedModelEngine:
    """Runs an exported SavedModel folder by TensorFlow, without classes of this package.

    A SavedModel is a program: open only those from a source that you trust.

    Raises:
        FileNotFoundError: No such folder.
        ValueError: A damaged SavedModel, or one that export did not make.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import_tensorflow()
        import tensorflow as tf

        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such folder; expected an exported SavedModel")
        if not (path / SAVED_MODEL_FILE).is_file():
            found = f"a folder without {SAVED_MODEL_FILE}" if path.is_dir() else "a file"
            near = path / "saved_model"
            remedy = f"; name {near}" if (near / SAVED_MODEL_FILE).is_file() else ""
            raise ValueError(f"{path}: expected a SavedModel folder, got {found}{remedy}")
        try:
            self._loaded = tf.saved_model.load(os.fspath(path))  # keeps the variables alive
        except (OSError, ValueError, KeyError, RuntimeError, tf.errors.OpError) as error:
            raise ValueError(
                f"{path}: the SavedModel is incomplete or damaged ({first_line(error)}); "
                "export it again"
            ) from error
        run = self._loaded.signatures.get("serving_default")
        if run is None or not _takes_pictures(run):
            raise ValueError(
                f"{path}: expected a SavedModel whose signature serving_default takes and returns "
                "float32 pictures (n, height, width, 3) of any size, got another network; make "
                "one with export.py"
            )
        (self._output,) = run.structured_outputs
        (self._input,) = run.structured_input_signature[1]
        self._run = run

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Run the network; see `Engine`."""
        return run_graph(lambda x: self._run(**{self._input: x}), pictures_pm1)[self._output]


def _takes_pictures(run: Any) -> bool:
    """Whether the only input and the only output are float32 pictures of any size."""
    sides = [run.structured_input_signature[1], run.structured_outputs]
    return all(
        [(tuple(spec.shape), spec.dtype.name) for spec in side.values()]
        == [((None, None, None, 3), "float32")]
        for side in sides
    )
