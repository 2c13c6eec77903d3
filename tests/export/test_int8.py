"""Calibration photos, and int8 through the command line."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from anime_tf.cli import app, infer
from anime_tf.cli.export import COMMAND
from anime_tf.export.int8 import CALIBRATION_PICTURES, CALIBRATION_SIDE, calibration_pictures
from anime_tf.io.pictures import read_picture, write_picture


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    y, x = np.mgrid[:40, :64]
    for i in range(3):
        waves = [
            np.sin(x * a + y * b + i) * 100 + 127 for a, b in ((0.3, 0.1), (0.1, 0.4), (0.2, -0.2))
        ]
        write_picture(folder / f"{i}.png", np.stack(waves, -1).astype(np.uint8))
    return folder


def test_calibration_pictures_are_centered_crops(tmp_path, photos):
    (first, *_, last) = found = calibration_pictures(photos, (40, 40))
    assert len(found) == 3
    assert first.dtype == np.uint8
    np.testing.assert_array_equal(first[0], read_picture(photos / "0.png").rgb_u8[:, 12:52])
    assert last.shape == (1, 40, 40, 3)
    assert calibration_pictures(photos)[0].shape == (1, CALIBRATION_SIDE, CALIBRATION_SIDE, 3)
    for i in range(CALIBRATION_PICTURES):
        write_picture(photos / f"more{i}.png", np.full((2, 2, 3), i, np.uint8))
    one, other = calibration_pictures(photos, (16, 16)), calibration_pictures(photos, (16, 16))
    assert len(one) == CALIBRATION_PICTURES
    np.testing.assert_array_equal(one, other)
    with pytest.raises(FileNotFoundError):
        calibration_pictures(tmp_path / "none")


@pytest.mark.parametrize("name", ["animegan_v2_light", "animegan_v3"])
def test_int8_model_of_one_size(exports, photos, tmp_path, capsys, name):
    pytest.importorskip("ai_edge_quantizer", reason="the extra int8 is not installed")
    archive = exports[name].archive
    out = tmp_path / "out"
    flags = [f"--weights={archive}", f"--output={out}", "--formats=tflite", "--quantize=int8"]
    flags += [f"--calibration={photos}", "--image_size=40x64", "--noverify"]
    assert app.run(COMMAND, flags) == 0
    few = f"{photos}: few photos to calibrate int8 on, {len(list(photos.iterdir()))}; with 10 or"
    assert few in capsys.readouterr().err
    assert sorted(p.name for p in out.iterdir()) == ["export.json", "model.tflite"]
    model = f"--weights={out}/model.tflite"
    for name in ("0.png", "small.png"):
        write_picture(photos / "small.png", read_picture(photos / "0.png").rgb_u8[:33, :50])
        results = []
        for weights in (model, f"--weights={archive}"):
            target = tmp_path / "anime.png"
            assert (
                app.run(infer.COMMAND, [weights, f"--input={photos}/{name}", f"--output={target}"])
                == 0
            )
            results.append(read_picture(target).rgb_u8.astype(int))
        assert results[0].shape == results[1].shape
        assert np.abs(results[0] - results[1]).mean() < 25  # random weights; 8 bits
    write_picture(photos / "large.png", np.zeros((41, 64, 3), np.uint8))
    capsys.readouterr()
    flags = [model, f"--input={photos}/large.png", f"--output={tmp_path}/large.png"]
    assert app.run(infer.COMMAND, flags) == 2
    err = capsys.readouterr().err
    assert "up to 64 x 40 pixels (width x height), got 64 x 41" in err
    assert "--max_side=62, or export" in err


def test_invalid_combinations_are_one_line(exports, photos, tmp_path, capsys, monkeypatch):
    common = [f"--weights={exports['animegan_v2'].archive}", f"--output={tmp_path}/out"]
    for flags, words in (
        (["--quantize=int8"], "quantize=int8: expected calibration, a folder of photos, got none"),
        ([f"--calibration={photos}"], "calibration: expected quantize=int8, got none"),
        (["--quantize=int8", f"--calibration={tmp_path}/none"], "none"),
        (["--image_size=0"], "--image_size=0: expected N or HEIGHTxWIDTH"),
        (["--image_size=2x3x4"], "--image_size=2x3x4: expected N"),
        (["--image_size=64", "--formats=saved_model"], "image_size: expected tflite"),
        (["--image_size=30", "--formats=tflite"], "the nearest is"),
    ):
        assert app.run(COMMAND, [*common, *flags]) == 2, flags
        err = capsys.readouterr().err
        assert words in err
        assert len(err.splitlines()) == 1, err
    assert not (tmp_path / "out").exists()
    monkeypatch.setitem(sys.modules, "ai_edge_quantizer", None)
    assert app.run(COMMAND, [*common, "--quantize=int8", f"--calibration={photos}"]) == 2
    assert "pip install ai-edge-quantizer" in capsys.readouterr().err
