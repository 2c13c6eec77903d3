"""Folder of an export: whole or not at all, and replaces only earlier exports."""

from __future__ import annotations

import hashlib
import json
import math
import shutil
import sys
from pathlib import Path

import keras
import pytest

from anime_tf.export.checks import Tolerance
from anime_tf.export.config import ExportConfig
from anime_tf.export.exporter import RECORD, check_request, export
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS


def saved_model(output) -> ExportConfig:
    return ExportConfig(output, formats=["saved_model"])


@pytest.fixture
def exported(exports, tmp_path) -> Path:
    """A copy to modify."""
    return Path(shutil.copytree(exports["animegan_v2"].folder, tmp_path / "exported"))


def content(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_contents(exports):
    for name, (_, archive, folder) in exports.items():
        assert {p.name for p in folder.iterdir()} == {"saved_model", "model.tflite", RECORD}
        assert (folder / "saved_model/saved_model.pb").is_file()
        assert {p.name for p in folder.parent.iterdir()} == {archive.name, folder.name}
        record = json.loads((folder / RECORD).read_text())
        assert (record["generator"], record["quantize"]) == (name, "none")
        assert record["weights_sha256"] == hashlib.sha256(archive.read_bytes()).hexdigest()
        assert set(record["files"]) == {"saved_model", "model.tflite"}
        verified = name in ("animegan_v2", "animegan_v2_light")
        for file, limit in (("saved_model", 1e-5), ("model.tflite", 1e-4)):
            assert ("largest" in record["files"][file]) is verified
            if verified:
                assert record["files"][file]["largest"] <= limit
                assert record["files"][file]["milliseconds"] > 0
        assert record["files"]["model.tflite"]["bytes"] == (folder / "model.tflite").stat().st_size


def test_only_exports_are_replaced(exported, tmp_path):
    check_request(saved_model(exported))
    check_request(saved_model(tmp_path / "new/folder"))
    (tmp_path / "empty").mkdir()
    check_request(saved_model(tmp_path / "empty"))

    (exported / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="expected an empty folder or an earlier.*notes.txt"):
        check_request(saved_model(exported))
    (exported / "notes.txt").unlink()
    (exported / RECORD).write_text('{"kind": "another"}')
    with pytest.raises(ValueError, match="got one with no export.json; choose a new folder"):
        check_request(saved_model(exported))
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(NotADirectoryError, match="expected a folder for the export, got a file"):
        check_request(saved_model(file))
    with pytest.raises(NotADirectoryError, match="expected a folder, got the file .*file"):
        check_request(saved_model(file / "exported"))


def test_formats_beyond_their_tolerance_are_left_out(exports, exported, tmp_path, monkeypatch):
    """NaN weights exceed every tolerance."""
    keras.utils.set_random_seed(1)
    model = GENERATORS["live"](width=1)
    model.out_layer.kernel.assign(model.out_layer.kernel * float("nan"))
    save_generator(model, tmp_path / "nan.keras")
    before = content(tmp_path)
    (part,) = export(ExportConfig(exported, tmp_path / "nan.keras", formats=["tflite"]))
    assert part.failure.startswith("expected a difference of at most 0.0001, got nan")
    assert content(tmp_path) == before, "the earlier export is kept"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exported", "nan.keras"]

    config = ExportConfig(exported, tmp_path / "nan.keras", formats=["tflite"], verify=False)
    (part,) = export(config)
    assert part.failure == "" and part.measurement is None
    assert [p.name for p in sorted(exported.iterdir())] == [RECORD, "model.tflite"]

    # One of two: the other is written.
    monkeypatch.setattr(
        "anime_tf.export.saved_model.TOLERANCE", Tolerance(psnr=math.inf, largest=-1)
    )
    bad, good = export(ExportConfig(exported, exports["live"].archive))
    assert bad.failure and not good.failure
    assert [p.name for p in sorted(exported.iterdir())] == [RECORD, "model.tflite"]
    assert set(json.loads((exported / RECORD).read_text())["files"]) == {"model.tflite"}


def test_invalid_requests(exports, tmp_path, monkeypatch):
    new = tmp_path / "new"
    for settings, words in (
        ({"formats": ["ncnn"]}, "formats: expected different ones of saved_model, tflite, onnx"),
        ({"formats": []}, "formats: expected different ones of saved_model, tflite, onnx"),
        ({"quantize": "int4"}, "quantize: expected one of none, float16, dynamic, int8"),
        ({"formats": ["saved_model"], "quantize": "float16"}, "quantize=float16: expected tflite"),
        ({"precision": "float64"}, "precision: expected one of float32, mixed_bfloat16"),
        ({"precision": "mixed_float16"}, "expected saved_model alone; export tflite into"),
        ({"max_pixels": 0}, "max_pixels: expected an integer of at least 1, got 0"),
    ):
        with pytest.raises(ValueError, match=words):
            ExportConfig(new, **settings)
    with pytest.raises(ValueError, match="expected a .keras archive, got a folder"):
        export(saved_model(new).replace(weights=exports["animegan_v2"].folder / "saved_model"))
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match="pip install ai-edge-litert"):
        check_request(ExportConfig(new, formats=["tflite"]))
    check_request(saved_model(new))
    assert not new.exists()
