"""The verb export, through its command line."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf

from anime_tf.cli import app, infer
from anime_tf.cli.export import COMMAND
from anime_tf.io.pictures import encode_picture, read_picture, write_picture
from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS

ROOT = Path(__file__).parents[2]


def test_the_script_and_its_exports_in_use(exports, tmp_path):
    _, archive, folder = exports["live"]
    out = tmp_path / "out"
    shutil.copytree(exports["animegan_v2"].folder, out)  # an earlier one, replaced as a whole
    flags = [f"--weights={archive}", f"--output={out}", "--formats=tflite"]
    done = subprocess.run(
        [sys.executable, "export.py", *flags],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    (told,) = (line for line in done.stderr.splitlines() if "XNNPACK" not in line)  # LiteRT's own
    assert f"{out}/model.tflite: 0.14 MB, differs from the network by" in told
    assert "dB), " in told and "ms for 256 x 256 pixels (width x height)" in told
    assert [p.name for p in tmp_path.iterdir()] == ["out"]
    assert sorted(p.name for p in out.iterdir()) == ["export.json", "model.tflite"]
    assert json.loads((out / "export.json").read_text())["generator"] == "live"

    gradient = np.mgrid[:30, :41].sum(0)[..., None] * [3, 2, 1]
    write_picture(tmp_path / "photo.png", gradient.astype(np.uint8))
    results = []
    for weights in (archive, folder / "saved_model", out / "model.tflite"):
        target = tmp_path / "anime" / f"{weights.stem}.png"
        flags = [f"--weights={weights}", f"--input={tmp_path}/photo.png", f"--output={target}"]
        assert app.run(infer.COMMAND, flags) == 0
        results.append(read_picture(target).rgb_u8.astype(int))
    level = 1  # where float rounding lies on the border between two levels
    assert np.abs(results[1] - results[0]).max() <= level
    assert np.abs(results[2] - results[0]).max() <= level


def test_a_part_beyond_its_tolerance_is_exit_code_1(tmp_path, capsys):
    model = GENERATORS["live"](width=1)
    model.out_layer.kernel.assign(model.out_layer.kernel * float("nan"))
    save_generator(model, tmp_path / "nan.keras")
    flags = [f"--weights={tmp_path}/nan.keras", f"--output={tmp_path}/out", "--formats=saved_model"]
    assert app.run(COMMAND, flags) == 1
    err = capsys.readouterr().err
    assert f"{tmp_path}/out/saved_model: expected a difference of at most 1e-05, got nan" in err
    assert err.rstrip().endswith("not written (--noverify writes it)")
    assert not (tmp_path / "out").exists()
    told = ["--style_name=Nothing", "--license=CC0-1.0", "--training_data=none", "--max_pixels=99"]
    flags += ["--precision=mixed_bfloat16", *told, "--noverify"]
    assert app.run(COMMAND, flags) == 0
    extra = tmp_path / "out/saved_model/assets.extra"
    card = json.loads((extra / "model_card.json").read_text(encoding="utf-8"))
    assert (card["style"], card["license"], card["training_data"]) == ("Nothing", "CC0-1.0", "none")
    assert card["precision"] == "mixed_bfloat16"
    stylize = tf.saved_model.load(str(tmp_path / "out/saved_model")).signatures["bytes"]
    photo = encode_picture(np.zeros((10, 10, 3), np.uint8), ".png")
    (error,) = stylize(picture_bytes=tf.constant([photo]))["error"].numpy()
    assert b"10x10 pixels: expected at most 99" in error


def test_wrong_inputs_are_one_line_and_touch_no_file(exports, tmp_path, capsys):
    archive, folder = exports["animegan_v2"].archive, exports["animegan_v2"].folder
    out = f"--output={tmp_path}/out"
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/a.jpg").touch()
    before = sorted(tmp_path.rglob("*"))
    for flags, words in (
        ([f"--weights={archive}"], "--output is required"),
        ([f"--weights={tmp_path}/none.keras", out], "none.keras: no such weights"),
        ([f"--weights={folder / 'saved_model'}", out], "expected a .keras archive, got a folder"),
        ([f"--weights={folder / 'model.tflite'}", out], "expected a .keras archive, got another"),
        (
            [f"--weights={archive}", out, "--formats=tflit"],
            "expected different ones of saved_model, tflite, onnx; did you mean tflite?",
        ),
        ([f"--weights={archive}", out, "--quantize=float8"], "--quantize=float8"),
        ([f"--weights={archive}", f"--output={tmp_path}/photos"], "got one with a.jpg"),
    ):
        assert app.run(COMMAND, flags) == 2, flags
        err = capsys.readouterr().err
        assert words in err
        assert len(err.splitlines()) == 1, err
    assert sorted(tmp_path.rglob("*")) == before


def test_help_does_not_load_tensorflow():
    for command, program in (
        (["export.py"], "python export.py"),
        (["-m", "anime_tf", "export"], "anime-tf export"),
    ):
        done = subprocess.run(
            [sys.executable, "-X", "importtime", *command, "--help"],
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "100"},
            capture_output=True,
            text=True,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        assert done.stdout.startswith(f"{program} --weights=cel --output=exported\n")
        assert not {"tensorflow", "keras", "cv2"} & set(done.stderr.split())
        assert f"; {1 << 24}," in " ".join(done.stdout.split())
        for flag in (
            "precision=float32",
            "weights=cel",
            "formats=saved_model,tflite",
            "quantize=none",
            "verify=true",
        ):
            assert f"  --{flag}\n" in done.stdout
