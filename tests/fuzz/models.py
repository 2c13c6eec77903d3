"""Mutated exports through the engines: TFLite, ONNX and SavedModel, opened and run on a picture."""

from __future__ import annotations

import tempfile
from pathlib import Path

import numpy as np
from fuzz.cases import Seed

from anime_tf.export.config import ExportConfig
from anime_tf.export.exporter import export
from anime_tf.inference.stylizer import Stylizer
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS

PICTURE = np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)


def seeds() -> list[Seed]:
    """Return the exports of a tiny network."""
    with tempfile.TemporaryDirectory() as folder:
        weights, output = Path(folder, "small.keras"), Path(folder, "exported")
        save_generator(GENERATORS["animegan_v2_light"](width=2), weights)
        formats = ("saved_model", "tflite", "onnx")
        export(ExportConfig(weights=weights, output=output, formats=formats, verify=False))
        made = []
        for path in (*output.rglob("*.tflite"), *output.rglob("*.onnx")):
            made.append(Seed({path.name: path.read_bytes()}, stylize))
        (graph,) = output.rglob("saved_model.pb")
        files = [graph, *sorted((graph.parent / "variables").iterdir())]
        names = [f"saved_model/{path.relative_to(graph.parent).as_posix()}" for path in files]
        contents = [path.read_bytes() for path in files]
        made.append(Seed(dict(zip(names, contents, strict=True)), lambda p: stylize(p.parent)))
        return made


def stylize(path: Path) -> None:
    """Open a model and run it."""
    Stylizer(path)(PICTURE)
