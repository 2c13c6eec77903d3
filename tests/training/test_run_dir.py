import json
import os
import shutil

import numpy as np
import pytest
import tensorflow as tf
from full_disk import file_size_limit
from small_data_set import NO_VGG, SETTINGS

from anime_tf.training.config import TrainConfig
from anime_tf.training.run_dir import RunDir, resumed_config
from anime_tf.training.trainer import Trainer


def config(run_dir, **settings):
    return TrainConfig(**{**SETTINGS, **NO_VGG, "run_dir": str(run_dir), **settings})


def test_no_run_to_resume(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"config\.json: no such file; --resume needs"):
        resumed_config(tmp_path, {})


def test_a_damaged_config_is_named(tmp_path):
    (tmp_path / "config.json").write_text('{"epochs": ')
    with pytest.raises(ValueError, match=r"config\.json: expected the config of a run"):
        resumed_config(tmp_path, {})
    (tmp_path / "config.json").write_text('{"epochs_": 3}')
    with pytest.raises(ValueError, match="got epochs_"):
        resumed_config(tmp_path, {})


def test_fixed_settings_cannot_change(tmp_path):
    settings = config(tmp_path)
    with RunDir(settings, Trainer(settings), resume=False):
        pass
    assert resumed_config(tmp_path, {"epochs": 7}).epochs == 7
    with pytest.raises(ValueError, match="expected batch_size=1, .* got 4"):
        resumed_config(tmp_path, {"batch_size": 4})


def test_the_log_is_truncated_to_the_checkpoint(tmp_path):
    settings = config(tmp_path)
    trainer = Trainer(settings)
    with RunDir(settings, trainer, resume=False) as run:
        for step in (1, 2, 3):
            trainer.step.assign(step)
            run.log({"step": step}, {"g/loss": step / 2})
            if step == 2:
                run.save()
    with (tmp_path / "stats.jsonl").open("a") as file:
        file.write('{"step": 4, "g/lo')  # killed while writing
    with RunDir(settings, Trainer(settings), resume=True) as run:
        assert run.step == 2
    lines = [json.loads(line) for line in (tmp_path / "stats.jsonl").read_text().splitlines()]
    assert lines == [{"step": 1, "g/loss": 0.5}, {"step": 2, "g/loss": 1.0}]


@pytest.mark.parametrize("precision", ["float32", "mixed_float16"])
def test_a_checkpoint_holds_every_variable(tmp_path, precision):
    settings = config(tmp_path, precision=precision)
    trainer = Trainer(settings)
    variables = [trainer.step, trainer.epoch, trainer.seed]
    for name in ("generator", "discriminator", "init_optimizer", "g_optimizer", "d_optimizer"):
        variables += [
            variable
            for variable in getattr(trainer, name).variables
            if not variable.path.endswith("learning_rate")  # a setting, not a state
        ]
    values = [np.array(variable.numpy()) for variable in variables]
    with RunDir(settings, trainer, resume=False) as run:
        run.save()
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value + 1 if variable is not trainer.seed else value)
    with RunDir(settings, trainer, resume=True):
        pass
    for variable, value in zip(variables, values, strict=True):
        np.testing.assert_array_equal(variable.numpy(), value, err_msg=str(variable))


def test_non_finite_weights_are_never_saved(tmp_path):
    settings = config(tmp_path)
    trainer = Trainer(settings)
    with RunDir(settings, trainer, resume=False) as run:
        run.save()
        good = run.newest_checkpoint
        weight = trainer.generator.weights[0]
        weight.assign(tf.fill(weight.shape, float("nan")))
        trainer.step.assign(1)
        with pytest.raises(ValueError, match=rf"step 1: expected finite .*kernel.* {good}"):
            run.save()
        assert run.newest_checkpoint == good


def test_a_damaged_checkpoint_is_named(tmp_path):
    settings = config(tmp_path)
    trainer = Trainer(settings)
    with RunDir(settings, trainer, resume=False) as run:
        run.save()
    (tmp_path / "checkpoints" / "step-0.index").write_bytes(b"nothing")
    damaged = "step-0: does not fit this run's networks, or is damaged"
    with pytest.raises(ValueError, match=damaged), RunDir(settings, trainer, resume=True):
        pass


def test_two_processes_cannot_train_in_one_directory(tmp_path):
    pytest.importorskip("fcntl", reason="folders cannot be locked here")
    settings = config(tmp_path)
    with (
        RunDir(settings, Trainer(settings), resume=False),
        pytest.raises(BlockingIOError, match=rf"process {os.getpid()} trains here"),
        RunDir(settings, Trainer(settings), resume=True),
    ):
        pass
    with RunDir(settings, Trainer(settings), resume=True):
        pass


def test_a_full_disk_keeps_the_checkpoint_before(tmp_path):
    settings = config(tmp_path)
    trainer = Trainer(settings)
    with RunDir(settings, trainer, resume=False) as run:
        trainer.step.assign(1)
        run.save()
        trainer.step.assign(2)
        words = r"step-2: TensorFlow cannot write it \(File too large"
        with pytest.raises(OSError, match=words), file_size_limit(5000):
            run.save()
    assert not [path for path in (tmp_path / "checkpoints").iterdir() if "step-2" in path.name]
    with RunDir(settings, Trainer(settings), resume=True) as run:
        assert run.step == 1


def test_only_the_newest_checkpoints_stay(tmp_path):
    settings = config(tmp_path, keep_checkpoints=2)
    trainer = Trainer(settings)
    with RunDir(settings, trainer, resume=False) as run:
        for step in (1, 2, 3):
            trainer.step.assign(step)
            run.save()
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("*.index"))
    assert names == ["step-2.index", "step-3.index"]


def saved_twice(run_dir):
    """Write a run with whole checkpoints of steps 1 and 2, and a logged step after them."""
    settings = config(run_dir)
    trainer = Trainer(settings)
    with RunDir(settings, trainer, resume=False) as run:
        for step in (1, 2):
            trainer.step.assign(step)
            trainer.generator.weights[0].assign(tf.fill(trainer.generator.weights[0].shape, step))
            run.log({"step": step}, {"g/loss": step / 2})
            run.save()
    return run_dir


def damaged_copies(path):
    """Yield the contents that a power loss can leave of a file; None for no file."""
    data = path.read_bytes()
    yield from (None, b"", data[: len(data) // 2], data[:-1], bytes(len(data)))


def test_a_power_loss_resumes_from_the_newest_whole_checkpoint(tmp_path, caplog):
    whole = saved_twice(tmp_path / "whole")
    state = [path for path in whole.rglob("*") if path.is_file() and path.parent.name != "events"]
    names = {path.relative_to(whole).as_posix() for path in state}
    assert {"config.json", "stats.jsonl", "generator.keras", "checkpoints/checkpoint"} < names
    trainer = Trainer(config(whole))
    cases = 0
    for path in sorted(state):
        name = path.relative_to(whole).as_posix()
        for content in damaged_copies(path):
            run_dir = tmp_path / "run"
            shutil.rmtree(run_dir, ignore_errors=True)
            shutil.copytree(whole, run_dir)
            caplog.clear()
            if content is None:
                (run_dir / name).unlink()
            else:
                (run_dir / name).write_bytes(content)
            newest = 1 if name.startswith("checkpoints/step-2.") else 2
            with RunDir(resumed_config(run_dir, {}), trainer, resume=True) as run:
                case = f"{name}: {None if content is None else len(content)} bytes"
                assert run.step == newest, case
                assert np.all(trainer.generator.weights[0] == newest), case
                assert run.newest_checkpoint.endswith(f"step-{newest}"), case
            if newest == 1 and content is not None:
                assert f"skipped: {run_dir / 'checkpoints/step-2'}" in caplog.text, case
            steps = [json.loads(line)["step"] for line in (run_dir / "stats.jsonl").open()]
            assert steps == ([1, 2][:newest] if name != "stats.jsonl" else steps), case
            assert resumed_config(run_dir, {}) == config(run_dir), case
            cases += 1
    assert cases == 45


def test_a_run_whose_checkpoints_are_all_damaged_is_left_alone(tmp_path):
    run_dir = saved_twice(tmp_path)
    log = (run_dir / "stats.jsonl").read_bytes()
    for path in (run_dir / "checkpoints").glob("*.index"):
        path.write_bytes(b"")
    settings = resumed_config(run_dir, {})
    with pytest.raises(ValueError, match="step-2: .* no checkpoint of the run can be read$"):
        RunDir(settings, Trainer(settings), resume=True).__enter__()
    assert (run_dir / "stats.jsonl").read_bytes() == log
    (run_dir / "config.json").unlink()
    with pytest.raises(FileExistsError, match="already holds a run"):
        RunDir(settings, Trainer(settings), resume=False).__enter__()


def test_damaged_lines_of_the_log_are_named(tmp_path, caplog):
    run_dir = saved_twice(tmp_path)
    path = run_dir / "stats.jsonl"
    path.write_bytes(path.read_bytes().splitlines(keepends=True)[1] + bytes(40) + b"\n[3]\n")
    settings = resumed_config(run_dir, {})
    with RunDir(settings, Trainer(settings), resume=True):
        pass
    assert f"{path}: removed the damaged lines [2, 3]" in caplog.text
    assert [json.loads(line)["step"] for line in path.open()] == [2]
