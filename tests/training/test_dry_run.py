import subprocess
import sys
from pathlib import Path

import pytest
from golden_files import assert_close
from small_data_set import NO_VGG, SETTINGS, make_data_set

from anime_tf.training.config import TrainConfig
from anime_tf.training.dry_run import Estimate, dry_run
from anime_tf.training.loop import train

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    return make_data_set(tmp_path_factory.mktemp("data"))


def everything(folder):
    return sorted(str(path) for path in folder.rglob("*"))


def test_estimates_a_run_and_writes_nothing(data, tmp_path):
    before = everything(data)
    run_dir = tmp_path / "run"
    flags = {**SETTINGS, **NO_VGG, "dataset_dir": data, "run_dir": run_dir, "color_weight": 1}
    command = [sys.executable, "train.py", "--dry_run", *(f"--{k}={v}" for k, v in flags.items())]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=200)
    told = done.stderr
    assert done.returncode == 0, told
    assert "5 photos, 3 style pictures, 5 steps per epoch" in told
    assert "Dots/smooth: missing, the run will make it" in told
    assert "building the networks, then measuring 3 steps of init and gan" in told
    for phase in ("init", "gan"):
        assert f"{phase}: measuring step 1 of 3, which compiles the step first\n" in told
        assert f"{phase}: measuring step 3 of 3\n" in told
    assert "init: 5 steps of " in told
    assert "gan: 5 steps of " in told
    assert "nothing was written" in told
    assert (everything(data), everything(tmp_path)) == (before, [])


@pytest.mark.eager
def test_estimates_the_rest_of_a_run(data, tmp_path):
    paths = {"dataset_dir": str(data), "run_dir": str(tmp_path / "run")}
    config = TrainConfig(**{**SETTINGS, **NO_VGG, **paths, "epochs": 1})
    assert train(config) == 0
    before = everything(tmp_path)
    with pytest.raises(FileExistsError, match="already holds a run; continue it with --resume"):
        dry_run(config)
    left = dry_run(config.replace(epochs=3, init_epochs=3), resume=True)
    assert left.steps == {"init": 10, "gan": 0}
    assert set(left.seconds) == {"init"}
    assert left.memory is None or left.memory > 2**20
    assert everything(tmp_path) == before


@pytest.mark.slow
@pytest.mark.eager
def test_estimates_a_run_of_two_tails(data, tmp_path, monkeypatch, caplog):
    """The cache of superpixels, which the run will need, is all that is written."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    before = everything(data)
    settings = {**SETTINGS, "model": "animegan_v3", "steps_per_epoch": 1}
    settings |= {"dataset_dir": str(data), "run_dir": str(tmp_path / "run")}
    settings |= {"discriminator_depth": 1, "perceptual": "mobilenetv1"}
    caplog.set_level("INFO", "absl")
    estimate = dry_run(TrainConfig.from_preset("animegan_v3_hayao", settings))
    assert "5 photos, 3 style pictures, 1 step per epoch" in caplog.text
    assert "init: 1 step of " in caplog.text
    assert estimate.steps == {"init": 1, "gan": 1} and set(estimate.seconds) == {"init", "gan"}
    assert [path.name for path in tmp_path.iterdir()] in ([], ["cache"])
    assert everything(data) == before


def test_invalid_runs_are_refused(data, tmp_path):
    config = TrainConfig(**{**SETTINGS, **NO_VGG, "dataset_dir": str(tmp_path), "run_dir": "run"})
    with pytest.raises(FileNotFoundError, match="train_photo"):
        dry_run(config)
    paired = config.replace(dataset_dir=str(data), paired_weight=1.0)
    with pytest.raises(FileNotFoundError, match="paired"):
        dry_run(paired)
    with pytest.raises(ValueError, match="expected distribute=none, got distribute=mirrored"):
        dry_run(config.replace(distribute="mirrored"))


def test_total_seconds():
    estimate = Estimate({"init": 10, "gan": 100}, {"init": 0.5, "gan": 2.0}, None)
    assert_close(estimate.total_seconds, 205)
