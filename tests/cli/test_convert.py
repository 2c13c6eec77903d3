"""The verb convert, through its command line."""

from __future__ import annotations

import dataclasses
import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from golden_recipe import value
from small_data_set import make_data_set
from tf1_trainings import state_of, write
from torch_files import write_state_dict

from anime_tf.cli import app
from anime_tf.cli.convert import COMMAND
from anime_tf.conversion.convert import SOURCES
from anime_tf.conversion.tf1 import convert_tf1
from anime_tf.models.archive import load_generator
from anime_tf.training.config import TrainConfig
from anime_tf.training.trainer import Trainer

ROOT = Path(__file__).parents[2]


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
            *(sys.executable, "-m", "anime_tf", "convert", "--source=tf1"),
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
    assert "verified: all 77 weights equal the source's" in done.stderr
    assert "of 2 from TensorFlow 1's operations" in done.stderr
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
    flags = ["--source=tf1", f"--input={tmp_path / 'x.ckpt'}", "--model=animegan_v2"]
    code = app.run(COMMAND, [*flags, f"--output={output}"])
    err = capsys.readouterr().err
    assert code == 2
    assert len(err.splitlines()) > 80
    assert "missing: weight <- array that the file lacks: 77" in err
    assert "generator/Conv/weights (3, 3, 3, 32)" in err
    assert not output.exists()


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--source=tf1", "--input=none", "--output=x.keras"], "none.index: no such file"),
        (
            ["--source=tf1", "--input=none", "--output=x.h5"],
            "output: expected a file that ends in .keras, got x.h5",
        ),
        (
            ["--source=onnx", "--input=none", "--output=x.keras"],
            "expected one of tf1, torch, cartoongan",
        ),
        (
            ["--source=torch", "--input=none", "--output=x.keras"],
            "none: no such file or folder; expected a state dict",
        ),
        (["--source=cartoongan", "--input=none", "--output=x.keras"], "none: no such folder"),
        (["--input=none", "--output=x.keras"], "--source is required"),
        (
            ["--source=tf1", "--input=none", "--output=x.keras", "--upsampling=half_pixel"],
            "upsampling: expected only for weights of animegan2-pytorch",
        ),
        (
            ["--source=torch", "--input=none", "--output=x.keras", "--upsampling=legacy"],
            "expected one of align_corners, half_pixel",
        ),
        (["--source=tf1", "--input=a", "--output=x.keras", "--model=v9"], "--model=v9"),
        (
            ["--source=tf1", "--input=a", "--output=x", "--training"],
            "--dataset_dir and --style are required",
        ),
        (
            ["--source=torch", "--input=a", "--output=x", "--training"],
            "source: expected tf1 with training",
        ),
        (
            ["--source=tf1", "--input=a", "--output=x.keras", "--training"],
            "output: expected a run directory",
        ),
        (
            ["--source=tf1", "--input=a", "--output=x.keras", "--epoch=3"],
            "epoch: expected only with training",
        ),
    ],
)
def test_wrong_command_lines_are_one_line(flags, words, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert app.run(COMMAND, flags) == 2
    err = capsys.readouterr().err
    assert words in err
    assert len(err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_wrong_conversion_is_not_written(checkpoint, tmp_path, capsys, monkeypatch):
    def shifted(values):
        conversion = convert_tf1(values.input, values.model)
        return dataclasses.replace(conversion, reference=lambda x: conversion.reference(x) + 0.01)

    monkeypatch.setitem(SOURCES, "tf1", shifted)
    output = tmp_path / "x.keras"
    flags = ["--source=tf1", f"--input={checkpoint}", f"--output={output}"]
    assert app.run(COMMAND, flags) == 1
    assert "a picture differs by at most 0.01 of 2" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())
    assert app.run(COMMAND, [*flags, "--noverify"]) == 0
    assert [path.name for path in tmp_path.iterdir()] == ["x.keras"]


def small(more: bytes = b""):
    """Writes a state dict of one tensor, with more pickled pairs after it."""
    return lambda path: write_state_dict(path, {"a": np.zeros(3, np.float32)}, more)


def zip_of_notes(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")


def cut_off(path: Path) -> None:
    data = small()(path).read_bytes()
    path.write_bytes(data[: len(data) // 2])


TEXT = b"X\x01\x00\x00\x00x"  # a pickled key


@pytest.mark.parametrize(
    ("source", "write", "words"),
    [
        ("torch", small(), "expected the generator animegan_v2, got"),
        ("torch", lambda path: path.write_text("hello\n"), "another kind of file"),
        ("torch", zip_of_notes, "expected a state dict, got a zip file of notes.txt"),
        ("torch", cut_off, "got another kind of file or one cut off"),
        ("torch", small(TEXT + b"c__main__\nNet\n)R"), "it asks for __main__.Net"),
        ("torch", small(TEXT + b"cos\nsystem\n(X\x07\x00\x00\x00touch xtR"), "asks for os.system"),
        ("torch", small(TEXT + b"c__torch__.net\nNet\n)R"), "got a TorchScript program"),
        ("cartoongan", small(), "expected the generator cartoongan, got"),
        ("tf1", lambda path: path.write_text("hello\n"), "got another kind of file"),
    ],
)
def test_unreadable_files_are_reported_and_nothing_is_written(
    source, write, words, tmp_path, capsys, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "given.pt"
    write(path)
    assert app.run(COMMAND, [f"--source={source}", f"--input={path}", "--output=x.keras"]) == 2
    err = capsys.readouterr().err
    assert str(path) in err
    assert words in err
    assert [file.name for file in tmp_path.iterdir()] == ["given.pt"]


def test_an_imported_training_resumes_with_train_py(tmp_path, capsys):
    small = {"generator_width": 2, "discriminator_width": 4, "discriminator_depth": 2}
    trainer = Trainer(TrainConfig(**small, content_weight=0.0, style_weight=0.0))
    state = state_of(trainer)
    checkpoint = write(tmp_path / "AnimeGANv2.model-0", state)
    data, run = make_data_set(tmp_path / "data", photos=2, styles=1), tmp_path / "runs" / "dots"
    flags = ["--source=tf1", f"--input={checkpoint}", f"--output={run}"]
    where = [f"--dataset_dir={data}", "--style=Dots", "--batch_size=1", "--image_size=32"]
    assert app.run(COMMAND, [*flags, "--training", *where, "--init_epochs=1"]) == 0
    told = capsys.readouterr().err
    assert f"{run}: animegan_v2, all {len(state) - 6} variables, step 0 (from " in told
    assert "at 2 steps per epoch; updates: init 0, g 0, d 0" in told
    assert [path.name for path in run.parent.iterdir()] == ["dots"]
    command = [sys.executable, "train.py", f"--run_dir={run}", "--resume", "--epochs=1"]
    command += ["--content_weight=0", "--style_weight=0", "--paired_weight=0", "--samples=0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    assert done.returncode == 0, done.stderr
    rows = [json.loads(line) for line in (run / "stats.jsonl").read_text().splitlines()]
    assert [(row["step"], row["phase"]) for row in rows] == [(1, "init"), (2, "init")]
    assert app.run(COMMAND, [*flags, "--training", *where]) == 2
    assert f"{run}: exists already" in capsys.readouterr().err
