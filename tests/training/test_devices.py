"""Several devices and several machines: the losses of one device at the same global batch."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from golden_files import assert_close
from small_data_set import SETTINGS, make_data_set

from anime_tf.models.archive import load_generator
from anime_tf.training.devices import make_strategy

ROOT = Path(__file__).parents[2]

LOSSES = 1e-4  # relative; sums in another order, six updates deep

STEPS = 3  # an epoch; one epoch of each phase

# VGG-19 is an eighth as wide; all it does is give the initialization phase a loss.
TRAIN = """
import sys
from anime_tf.models import vgg19
vgg19.BLOCKS = tuple((count, channels // 8) for count, channels in vgg19.BLOCKS)
from anime_tf.cli.app import main
sys.exit(main(["train", *sys.argv[1:]]))
"""

# Two devices on one processor, which must be asked for before TensorFlow begins.
TWO_DEVICES = """
import tensorflow as tf
(cpu,) = tf.config.list_physical_devices("CPU")
two = [tf.config.LogicalDeviceConfiguration()] * 2
tf.config.set_logical_device_configuration(cpu, two)
"""

# A step of each phase of AnimeGANv3 on one device and on both; a line of losses each. All pictures
# of the batch are the same, because each device has its own statistics of batch norm.
TWO_TAILS = """
import json, sys, numpy as np
tf.config.run_functions_eagerly(True)
from anime_tf.training.config import TrainConfig
from anime_tf.training.trainer import Trainer
config = TrainConfig.from_preset("animegan_v3_hayao", json.loads(sys.argv[1]))
random = np.random.default_rng(0)
names = ("photo", "anime", "smooth", "photo_superpixel")
batch = {name: random.uniform(-1, 1, (1, 32, 32, 3)).astype("float32") for name in names}
batch = {name: tf.constant(np.repeat(x, 2, axis=0)) for name, x in batch.items()}
for strategy in (None, tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])):
    trainer = Trainer(config, strategy=strategy)
    steps = [trainer.init_step(batch), *(trainer.gan_step(batch, following=batch) for _ in "12")]
    terms = {f"{i}/{name}": value for i, step in enumerate(steps) for name, value in step.items()}
    print(json.dumps({name: float(value) for name, value in terms.items()}))
"""


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = make_data_set(tmp_path_factory.mktemp("data"), photos=12, styles=12)
    # The machines of a run do not make it at the same time.
    subprocess.run(
        [
            sys.executable,
            "-m",
            "anime_tf",
            "dataset",
            "smooth",
            f"--style_dir={folder}/Dots/style",
            "--image_size=32",
        ],
        cwd=ROOT,
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder


def start(data, run_dir, *flags, program=TRAIN, config=None, **more):
    settings = {
        **SETTINGS,
        "batch_size": 4,
        "steps_per_epoch": STEPS,
        "content_weight": 1e-9,  # the initialization phase must have a loss
        "style_weight": 0,
        "tv_weight": 10,
        **{"dataset_dir": data, "run_dir": run_dir, **more},
    }
    given = [] if "--resume" in flags else [f"--{k}={v}" for k, v in settings.items()]
    return subprocess.Popen(
        [
            sys.executable,
            "-c",
            program,
            *given,
            *(f"--run_dir={run_dir}" for _ in flags[:1]),
            *flags,
        ],
        cwd=ROOT,
        env={**os.environ, **({"TF_CONFIG": json.dumps(config)} if config else {})},
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(*processes):
    for process in processes:
        _, told = process.communicate(timeout=300)
        assert process.returncode == 0, told


def losses(run_dir):
    rows = [json.loads(line) for line in (run_dir / "stats.jsonl").read_text().splitlines()]
    return [{k: v for k, v in row.items() if k != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def one(data, tmp_path_factory):
    """A run on one device, which keeps the checkpoint after its first epoch."""
    run_dir = tmp_path_factory.mktemp("one") / "run"
    finish(start(data, run_dir, keep_every_epochs=1))
    return run_dir


def assert_same(found, expected):
    assert len(found) == len(expected)
    for row, wanted in zip(found, expected, strict=True):
        assert set(row) == set(wanted)
        for name, value in wanted.items():
            if isinstance(value, str):
                assert row[name] == value
            else:
                assert_close(row[name], value, rtol=LOSSES)


@pytest.mark.slow
def test_started_on_one_device_and_resumed_on_two(data, one, tmp_path):
    run_dir = Path(shutil.copytree(one, tmp_path / "run"))
    flags = ("--resume", "--from_epoch=1", "--distribute=mirrored")
    finish(start(data, run_dir, *flags, program=TWO_DEVICES + TRAIN))
    assert_same(losses(run_dir), losses(one))
    log = "stats.jsonl"
    assert (run_dir / log).read_text() != (one / log).read_text(), "seconds of steps that ran again"


@pytest.mark.slow
def test_two_tails_on_two_devices():
    tiny = {
        **{"generator_width": 2, "discriminator_width": 4, "discriminator_depth": 1},
        **{"batch_size": 2, "image_size": 32, "ema_decay": 0.5},
        **{"perceptual": "mobilenetv1", "perceptual_weights": "random"},
    }
    command = [sys.executable, "-c", TWO_DEVICES + TWO_TAILS, json.dumps(tiny)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    one, two = map(json.loads, done.stdout.splitlines())
    assert set(one) == set(two) and "2/d/fake_main" in two
    for name, value in one.items():
        assert_close(two[name], value, rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_two_machines(data, one, tmp_path):
    run_dir = tmp_path / "run"
    hosts = [f"localhost:{port}" for port in free_ports(2)]
    workers = [
        start(
            data,
            run_dir,
            "--distribute=multi_worker",
            config={"cluster": {"worker": hosts}, "task": {"type": "worker", "index": index}},
        )
        for index in (0, 1)
    ]
    finish(*workers)
    assert_same(losses(run_dir), losses(one))
    assert len(list((run_dir / "samples").iterdir())) == 2, "written by the chief alone"
    load_generator(run_dir / "generator.keras")


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def test_missing_tf_config(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    with pytest.raises(ValueError, match="distribute=multi_worker: expected .* TF_CONFIG"):
        make_strategy("multi_worker")
    assert make_strategy("none") is None
