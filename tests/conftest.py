"""What tests of several stages share: making it takes seconds."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import keras
import pytest


class Export(NamedTuple):
    model: keras.Model
    archive: Path
    folder: Path


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """A cache of the tests' own, of subprocesses too; "auto" measures in its own tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIME_TF_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("ANIME_TF_MEASURE", "0")
        yield


@pytest.fixture(scope="session")
def exports(tmp_path_factory) -> dict[str, Export]:
    """Name of each generator -> a small one with random weights, its archive and its export.

    Two are verified; of the others that takes seconds, and their tests compare them themselves.
    """
    from anime_tf.export.exporter import ExportOptions, export
    from anime_tf.models.archive import save_generator
    from anime_tf.models.registry import GENERATORS

    made = {}
    for name, kind in GENERATORS.items():
        keras.utils.set_random_seed(11)
        model = kind(width=8)
        root = tmp_path_factory.mktemp(name)
        save_generator(model, root / "small.keras")
        verify = name in ("animegan_v2", "animegan_v2_light")
        export(root / "small.keras", root / "exported", ExportOptions(verify=verify))
        made[name] = Export(model, root / "small.keras", root / "exported")
    return made


@pytest.fixture(scope="session")
def onnx_models(exports, tmp_path_factory) -> dict[str, Path]:
    """Name of each generator -> the ONNX model of the network of `exports`."""
    for name in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} (the extra onnx) is not installed")
    from anime_tf.export.onnx import convert_onnx
    from anime_tf.inference.padded_generator import AnyPicture

    made = {}
    for name, (model, _, _) in exports.items():
        made[name] = tmp_path_factory.mktemp("onnx") / f"{name}.onnx"
        made[name].write_bytes(convert_onnx(AnyPicture(model)))
    return made
