"""The verb convert, through its command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from golden_recipe import value

from anime_tf import cli
from anime_tf.convert import COMMAND
from anime_tf.models.archive import load_generator
from anime_tf.weights.tf1 import convert_tf1

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory) -> Path:
    names = json.loads((ROOT / "tests/golden/animegan_v2_generator_variables.json").read_text())
    folder = tmp_path_factory.mktemp("tf1")
    tf.raw_ops.SaveV2(
        prefix=str(folder / "Test-1.ckpt"),
        tensor_names=list(names),
        shape_and_slices=[""] * len(names),
        tensors=[tf.constant(value(name, shape)) for name, shape in names.items()],
    )
    return folder


def test_converts_to_an_archive_that_loads(checkpoint, tmp_path):
    output = tmp_path / "made" / "hayao.keras"
    done = subprocess.run(
        [
            *(sys.executable, "-m", "anime_tf.convert", "--source=tf1"),
            *(f"--input={checkpoint}", f"--output={output}"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2, done.stderr
    assert "verified: all 77 weights equal the source's to the last bit" in done.stderr
    assert f"{output}: animegan_v2 from 77 variables, 2,143,552 parameters" in done.stderr
    x = np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)).astype(np.float32)
    expected = convert_tf1(checkpoint).model(x)
    np.testing.assert_array_equal(load_generator(output)(x), expected)


def test_mismatch_is_reported_whole_and_nothing_is_written(tmp_path, capsys):
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "x.ckpt"),
        tensor_names=["generator/Conv/weights"],
        shape_and_slices=[""],
        tensors=[tf.zeros((3, 3, 3, 32))],
    )
    output = tmp_path / "x.keras"
    code = cli.run(
        COMMAND, ["--source=tf1", f"--input={tmp_path / 'x.ckpt'}", f"--output={output}"]
    )
    err = capsys.readouterr().err
    assert code == 2
    assert "missing, wanted <- expected in the file: 77" in err
    assert "generator/Conv/weights (3, 3, 3, 32)" in err
    assert not output.exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--source=tf1", "--input=none", "--output=x.keras"], "none.index: no such file"),
        (["--source=tf1", "--input=none", "--output=x.h5"], "--output=x.h5 must end in .keras"),
        (["--source=onnx", "--input=none", "--output=x.keras"], "one of <tf1|torch|cartoongan>"),
        (["--source=torch", "--input=none", "--output=x.keras"], "none: no such file"),
        (["--source=cartoongan", "--input=none", "--output=x.keras"], "none: no such folder"),
        (["--input=none", "--output=x.keras"], "--source is required"),
        (["--source=tf1", "--input=a", "--output=x.keras", "--model=v9"], "--model=v9"),
    ],
)
def test_wrong_command_lines_are_one_line(flags, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.run(COMMAND, flags) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())
