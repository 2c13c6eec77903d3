import json

import numpy as np
import pytest
import tensorflow as tf
from small_data_set import SETTINGS

from anime_tf.training.config import TrainConfig
from anime_tf.training.run_dir import RunDir, resumed_config
from anime_tf.training.trainer import Trainer


def config(run_dir, **settings):
    without_vgg = {"content_weight": 0.0, "style_weight": 0.0}
    return TrainConfig(**{**SETTINGS, **without_vgg, "run_dir": str(run_dir), **settings})


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
        pytest.raises(BlockingIOError, match="another process trains here"),
        RunDir(settings, Trainer(settings), resume=True),
    ):
        pass
    with RunDir(settings, Trainer(settings), resume=True):
        pass


def test_only_the_newest_checkpoints_stay(tmp_path):
    settings = config(tmp_path, keep_checkpoints=2)
    trainer = Trainer(settings)
    with RunDir(settings, trainer, resume=False) as run:
        for step in (1, 2, 3):
            trainer.step.assign(step)
            run.save()
    names = sorted(path.name for path in (tmp_path / "checkpoints").glob("*.index"))
    assert names == ["step-2.index", "step-3.index"]
