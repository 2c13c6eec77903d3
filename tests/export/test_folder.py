"""The folder of an export: whole or not at all, and only ours is replaced."""

from __future__ import annotations

import hashlib
import json
import shutil
import sys
from pathlib import Path

import keras
import pytest

from anime_tf.export.folder import RECORD, check_request, export
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS


@pytest.fixture
def exported(exports, tmp_path) -> Path:
    """A copy, to be spoilt."""
    return Path(shutil.copytree(exports["animegan_v2"].folder, tmp_path / "exported"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_what_is_in_it(exports):
    for name, (_, archive, folder) in exports.items():
        assert {p.name for p in folder.iterdir()} == {"saved_model", "model.tflite", RECORD}
        assert (folder / "saved_model/saved_model.pb").is_file()
        assert {p.name for p in folder.parent.iterdir()} == {archive.name, folder.name}
        record = json.loads((folder / RECORD).read_text())
        assert (record["generator"], record["quantize"]) == (name, "none")
        assert record["weights_sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
        assert record["differences_in_grey_levels"]["model.tflite"]["largest"] < 0.01


def test_nothing_else_is_replaced(exported, tmp_path):
    check_request(exported, ["saved_model"])
    check_request(tmp_path / "new/folder", ["saved_model"])
    (tmp_path / "empty").mkdir()
    check_request(tmp_path / "empty", ["saved_model"])

    (exported / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="only an export of ours is replaced.*notes.txt"):
        check_request(exported, ["saved_model"])
    (exported / "notes.txt").unlink()
    (exported / RECORD).write_text('{"kind": "another"}')
    with pytest.raises(ValueError, match="holds no export.json of one; name a new folder"):
        check_request(exported, ["saved_model"])
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError, match="expected a folder for the export, found a file"):
        check_request(file, ["saved_model"])
    with pytest.raises(NotADirectoryError, match="but .*file is a file"):
        check_request(file / "exported", ["saved_model"])


def test_a_failed_export_leaves_everything_as_it_was(exported, tmp_path):
    """Weights that are not numbers: the network gives none either, and the check says so."""
    keras.utils.set_random_seed(1)
    model = GENERATORS["animegan_v2"](width=1)
    model.out_layer.kernel.assign(model.out_layer.kernel * float("nan"))
    save_generator(model, tmp_path / "nan.keras")
    before = content(tmp_path)
    with pytest.raises(ValueError, match="model.tflite .*by nan"):
        export(tmp_path / "nan.keras", exported, formats=["tflite"])
    assert content(tmp_path) == before
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exported", "nan.keras"]


def test_what_is_asked_for(exports, tmp_path, monkeypatch):
    new = tmp_path / "new"
    for formats, quantize, words in (
        (["onnx"], "none", "formats must be some of saved_model, tflite, received onnx"),
        ([], "none", "received none"),
        (["tflite"], "int4", "quantize must be one of none, float16, dynamic, not 'int4'"),
        (["saved_model"], "float16", "quantize=float16 is for tflite"),
    ):
        with pytest.raises(ValueError, match=words):
            check_request(new, formats, quantize)
    with pytest.raises(ValueError, match="expected a .keras archive, found a folder"):
        export(exports["animegan_v2"].folder / "saved_model", new, formats=["saved_model"])
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match="pip install ai-edge-litert"):
        check_request(new, ["tflite"])
    check_request(new, ["saved_model"])
    assert not new.exists()
