import json
import logging
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tensorflow as tf
from golden_files import assert_close
from small_data_set import NO_VGG, SETTINGS, make_data_set

from anime_tf.cli import app
from anime_tf.cli.train import COMMAND
from anime_tf.errors import command_line
from anime_tf.io.pictures import read_picture
from anime_tf.models.archive import load_generator
from anime_tf.training.config import TrainConfig
from anime_tf.training.dry_run import dry_run
from anime_tf.training.loop import NonFiniteLossError, train
from anime_tf.training.run_dir import RunDir, resumed_config
from anime_tf.training.trainer import Trainer

ROOT = Path(__file__).parents[2]

THREAD_ORDER = 1e-2  # relative, of losses: here threads add in any order, in train.py always in one


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data_set(tmp_path_factory.mktemp("data"))


def config(data, run_dir, **settings):
    paths = {"dataset_dir": str(data), "run_dir": str(run_dir)}
    return TrainConfig(**{**SETTINGS, **paths, **settings})


def rows(run_dir):
    return [json.loads(line) for line in (run_dir / "stats.jsonl").read_text().splitlines()]


def losses(run_dir):
    """Every logged value but the time it took."""
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows(run_dir)]


@pytest.fixture(scope="module")
def whole_run(data, tmp_path_factory):
    run_dir = tmp_path_factory.mktemp("runs") / "whole"
    process = start(data, run_dir)
    _, told = process.communicate(timeout=300)
    assert process.returncode == 0, told
    return run_dir


def test_contents_of_a_run_directory(whole_run, data):
    names = {path.name for path in whole_run.iterdir()}
    assert names == {
        "config.json",
        "stats.jsonl",
        "checkpoints",
        "samples",
        "events",
        "generator.keras",
    }
    logged = rows(whole_run)
    # The longer of 5 photos and 3 style pictures: 5 steps an epoch.
    assert [row["step"] for row in logged] == list(range(1, 11))
    assert [row["epoch"] for row in logged] == [0] * 5 + [1] * 5
    assert [row["phase"] for row in logged] == ["init"] * 5 + ["gan"] * 5
    assert set(logged[0]) == {"step", "epoch", "phase", "seconds", "g/content", "g/loss"}
    g_terms = {"g/adv", "g/content", "g/style", "g/color", "g/tv", "g/loss"}
    d_terms = {"d/real", "d/gray", "d/fake", "d/smooth", "d/loss"}
    assert set(logged[-1]) == {"step", "epoch", "phase", "seconds"} | g_terms | d_terms
    assert {path.name for path in (data / "Dots/smooth").glob("*.png")} == {
        "0.png",
        "1.png",
        "2.png",
    }


@pytest.mark.eager
def test_the_end_of_a_training_names_the_next_commands(tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="absl")
    data, run_dir = make_data_set(tmp_path / "data"), tmp_path / "my run"
    settings = config(data, run_dir, **NO_VGG, epochs=1, init_epochs=0, d_smooth_weight=0.0)
    assert train(settings) == 0
    weights = run_dir / "generator.keras"
    assert load_generator(weights).width == SETTINGS["generator_width"]
    command = command_line(["anime-tf", "infer", f"--weights={weights}", "photos", "anime"])
    assert f"trained: {weights}; stylize with: {command}" in caplog.messages
    first = "gan: step 1 compiles the step first, minutes of work on a CPU"
    assert caplog.messages.count(first) == 1
    assert not any(line.startswith("init: ") for line in caplog.messages)
    assert train(settings, resume=True) == 0
    more = f"{run_dir}: all of 1 epoch done; more epochs continue it: --resume --epochs=N"
    assert more in caplog.messages
    # Without their term the edge-smoothed pictures are not made.
    assert "d/fake" in rows(run_dir)[-1] and "d/smooth" not in rows(run_dir)[-1]
    assert not (data / "Dots/smooth").exists()


def test_samples_show_photo_and_result(whole_run, data):
    names = sorted(path.name for path in (whole_run / "samples").iterdir())
    assert names == ["epoch_0001.png", "epoch_0002.png"]
    sheet = read_picture(whole_run / "samples" / names[0]).rgb_u8
    photo = read_picture(data / "val/0.png").rgb_u8
    assert sheet.shape[0] == photo.shape[0]
    assert_close(sheet[:, : photo.shape[1]], photo)


def test_tensorboard_has_the_terms(whole_run):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(whole_run / "events"))
    events.Reload()
    tags = set(events.Tags()["tensors"])
    assert {"g/content", "g/adv", "d/fake", "samples"} <= tags
    assert {"generator/x0/kernel", "discriminator/conv_0/u"} <= tags
    assert [event.step for event in events.Tensors("discriminator/conv_0/u")] == [10]


def test_kept_checkpoints(whole_run):
    kept = whole_run / "checkpoints" / "kept"
    assert {path.name.split(".")[0] for path in kept.iterdir()} == {"epoch-2"}
    kernels = [
        load_generator(path).x0.kernel.numpy()
        for path in (kept / "epoch-2.keras", whole_run / "generator.keras")
    ]
    assert_close(*kernels)
    reader = tf.train.load_checkpoint(str(kept / "epoch-2"))
    assert reader.get_tensor("step/.ATTRIBUTES/VARIABLE_VALUE") == 10


def test_a_guessing_discriminator_stops_the_run(data, tmp_path, caplog, monkeypatch):
    updates = 20  # instead of hundreds; test_collapse.py tests the real number
    monkeypatch.setattr("anime_tf.training.collapse.MINIMUM_UPDATES", updates)
    settings = {"content_weight": 0.0, "style_weight": 0.0, "init_epochs": 0, "epochs": 4}
    settings["steps_per_epoch"] = updates // 2
    guessing = config(data, tmp_path / "run", **settings, d_learning_rate=0.0, collapse_epochs=2)
    with caplog.at_level("ERROR"):
        assert train(guessing) == 1
    assert "stopped after epoch 2 of 4: for 2 epochs D tells no pictures apart" in caplog.text
    assert rows(tmp_path / "run")[-1]["step"] == updates
    assert (tmp_path / "run" / "checkpoints" / f"step-{updates}.index").exists()


def test_the_saved_generator_loads(whole_run):
    model = load_generator(whole_run / "generator.keras")
    assert model.width == 2
    assert np.isfinite(model(np.zeros((1, 32, 32, 3), np.float32))).all()


def test_a_run_is_not_overwritten(whole_run, data):
    before = (whole_run / "stats.jsonl").read_bytes()
    with pytest.raises(FileExistsError, match="already holds a run; continue it with --resume"):
        train(config(data, whole_run))
    assert (whole_run / "stats.jsonl").read_bytes() == before


def test_resuming_a_finished_run_changes_nothing(whole_run):
    before = losses(whole_run)
    assert train(resumed_config(whole_run, {}), resume=True) == 0
    assert losses(whole_run) == before


def start(data, run_dir, *flags):
    command = [sys.executable, "train.py", f"--run_dir={run_dir}", *flags]
    if "--resume" not in flags:
        values = {**SETTINGS, "dataset_dir": data, "histogram_epochs": 2, "keep_every_epochs": 2}
        command += [f"--{name}={value}" for name, value in values.items()]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True)


def wait_for_step(process, run_dir, step):
    """Waits until the log has the step; a run that ends before that has failed."""
    while not (run_dir / "stats.jsonl").exists() or len(rows_so_far(run_dir)) < step:
        assert process.poll() is None, process.stderr.read()
        time.sleep(0.002)


def rows_so_far(run_dir):
    return (run_dir / "stats.jsonl").read_text().splitlines()


@pytest.mark.slow
def test_killed_stopped_and_resumed_equals_uninterrupted(whole_run, data, tmp_path):
    """SIGKILL, then SIGTERM, both in the middle of an epoch: the log ends up the same."""
    run_dir = tmp_path / "broken"
    killed_at = random.randint(2, 4)
    first = start(data, run_dir, "--checkpoint_steps=1")
    wait_for_step(first, run_dir, killed_at)
    first.kill()
    first.wait()
    assert len(rows_so_far(run_dir)) < 10

    second = start(data, run_dir, "--resume")
    wait_for_step(second, run_dir, 7)
    second.send_signal(signal.SIGTERM)
    _, told = second.communicate(timeout=120)
    assert second.returncode == 128 + signal.SIGTERM, told
    assert "SIGTERM: saving, then stopping" in told
    stopped = rows(run_dir)[-1]
    assert 7 <= stopped["step"] < 10

    third = start(data, run_dir, "--resume")
    _, told = third.communicate(timeout=300)
    assert third.returncode == 0, told
    assert losses(run_dir) == losses(whole_run), f"killed at step {killed_at}"


@pytest.mark.eager
def test_resuming_from_a_kept_checkpoint(data, tmp_path):
    """The run directory then equals the one after that epoch, even if the run is killed."""
    settings = {"content_weight": 0.0, "style_weight": 0.0, "init_epochs": 0}
    settings |= {"steps_per_epoch": 2, "epochs": 3}
    first = config(data, tmp_path / "run", **settings, keep_every_epochs=1)
    assert train(first) == 0
    uninterrupted = losses(tmp_path / "run")
    again = resumed_config(tmp_path / "run", {"epochs": 2})
    with pytest.raises(FileNotFoundError, match=r"epoch-4: no such .* after epochs: 1, 2, 3"):
        train(again, resume=True, from_epoch=4)
    assert losses(tmp_path / "run") == uninterrupted, "nothing is touched"
    assert dry_run(again, resume=True, from_epoch=1).steps == {"init": 0, "gan": 2}

    trainer = Trainer(again)
    with RunDir(again, trainer, resume=True, from_epoch=1) as run:
        assert run.step == 2
        assert run.newest_checkpoint.endswith("step-2")
        assert len(rows(tmp_path / "run")) == 2
        kernels = [
            load_generator(path).weights[0].numpy()
            for path in (run.path / "generator.keras", run.path / "checkpoints/kept/epoch-1.keras")
        ]
        assert_close(*kernels)
    assert train(again, resume=True) == 0
    for row, expected in zip(losses(tmp_path / "run"), uninterrupted[:4], strict=True):
        assert row.pop("phase") == expected.pop("phase")
        assert row == pytest.approx(expected, rel=THREAD_ORDER)
    names = {path.stem for path in (tmp_path / "run" / "checkpoints").glob("*.index")}
    assert names == {"step-6", "step-2", "step-4"}, "what came later stays among the newest"
    assert tf.train.latest_checkpoint(tmp_path / "run" / "checkpoints").endswith("step-4")


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        (["--from_epoch=2"], "--from_epoch needs --resume"),
        (["--from_epoch=0", "--resume"], "--from_epoch=0"),
    ],
)
def test_from_epoch_needs_resume(tmp_path, capsys, flags, words):
    assert app.run(COMMAND, [f"--run_dir={tmp_path / 'run'}", *flags]) == app.EXIT_NOTHING_DONE
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not (tmp_path / "run").exists()


@pytest.mark.eager
def test_a_non_finite_loss_stops_the_run(data, tmp_path):
    run_dir = tmp_path / "run"
    assert train(config(data, run_dir, epochs=1)) == 0
    logged = losses(run_dir)
    # The loss of the next step is beyond float32, its gradients are not numbers.
    wild = resumed_config(run_dir, {"epochs": 2, "init_epochs": 2, "content_weight": 1e38})
    message = r"step 6: g/loss is (nan|inf); the newest good checkpoint is .*step-5"
    with pytest.raises(NonFiniteLossError, match=message):
        train(wild, resume=True)
    tame = resumed_config(run_dir, {"epochs": 1, "content_weight": 1.5})
    assert train(tame, resume=True) == 0
    assert losses(run_dir) == logged, "the step after the checkpoint is cut from the log"
    weights = load_generator(run_dir / "generator.keras").weights
    assert all(np.isfinite(w.numpy()).all() for w in weights)


@pytest.mark.eager
def test_broken_pictures_are_skipped(data, tmp_path, caplog):
    broken = tmp_path / "data"
    shutil.copytree(data, broken)
    (broken / "train_photo" / "bad.png").write_bytes(b"no picture")
    (broken / "train_photo" / "clip.mov").touch()
    with caplog.at_level("WARNING"):
        assert train(config(broken, tmp_path / "run", epochs=1)) == 1
    assert "bad.png" in caplog.text
    assert "clip.mov: skipped, a video" in caplog.text
    assert "skipped 2 broken pictures" in caplog.text


def test_missing_folders_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="train_photo"):
        train(config(tmp_path, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


def test_missing_perceptual_weights_are_named(data, tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none\.h5: no such file or folder; expected VGG-19"
    ):
        train(config(data, tmp_path / "run", perceptual_weights=os.fspath(tmp_path / "none.h5")))
    assert not (tmp_path / "run").exists()
