"""Exports with frozen statistics, which consist of convolutions."""

from __future__ import annotations

import json

import numpy as np

from anime_tf import Stylizer
from anime_tf.cli import app
from anime_tf.cli.export import COMMAND
from anime_tf.inference.engines.tflite import import_litert
from anime_tf.io.pictures import write_picture

LEVEL = 1  # of 255: a float may lie between two levels


def test_exports_without_norms(exports, tmp_path, capsys):
    photos = tmp_path / "photos"
    photos.mkdir()
    random = np.random.default_rng(8)
    for i in range(2):
        noise = random.integers(0, 256, (8, 12, 3), np.uint8)
        write_picture(photos / f"{i}.png", noise.repeat(8, 0).repeat(8, 1))
    archive = exports["animegan_v2_light"].archive
    out = tmp_path / "out"
    (photos / "raw.nef").write_bytes(b"MM\0*\0\0\0\x08")
    assert app.run(COMMAND, [f"--weights={archive}", f"--output={out}", f"--freeze={photos}"]) == 1
    told = capsys.readouterr().err
    assert told.count("raw.nef: skipped, a raw photo") == 1 and "1 skipped file" in told
    assert json.loads((out / "export.json").read_text())["frozen_statistics"]

    x = random.integers(0, 64, (48, 64, 3), np.uint8)
    of_saved_model, of_tflite = (
        Stylizer(out / name)(x) for name in ("saved_model", "model.tflite")
    )
    assert np.abs(of_tflite.astype(int) - of_saved_model).max() <= LEVEL
    assert np.abs(Stylizer(archive)(x).astype(int) - of_saved_model).max() > 10 * LEVEL

    model = import_litert().Interpreter(model_path=str(out / "model.tflite"))
    operators = {operator["op_name"] for operator in model._get_ops_details()}
    assert not operators & {"RSQRT", "MEAN", "SQUARED_DIFFERENCE"}, operators


def test_missing_photos(exports, tmp_path, capsys):
    flags = [f"--weights={exports['animegan_v2_light'].archive}", f"--output={tmp_path}/out"]
    assert app.run(COMMAND, [*flags, f"--freeze={tmp_path}/none"]) == 2
    assert "none" in capsys.readouterr().err
