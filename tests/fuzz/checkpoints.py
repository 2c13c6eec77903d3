"""Runs with one mutated file: another checkpoint is whole, so every run resumes."""

from __future__ import annotations

import functools
import tempfile
from pathlib import Path

from fuzz.cases import Seed
from small_data_set import NO_VGG, SETTINGS

from anime_tf.training.config import TrainConfig
from anime_tf.training.run_dir import RunDir, resumed_config
from anime_tf.training.trainer import Trainer


@functools.cache
def trainer() -> Trainer:
    """Return the one trainer of this process."""
    return Trainer(TrainConfig(**{**SETTINGS, **NO_VGG}))


def seeds() -> list[Seed]:
    """Return a run with checkpoints of steps 1 and 2."""
    with tempfile.TemporaryDirectory() as folder:
        config = trainer().config.replace(run_dir=folder)
        with RunDir(config, trainer(), resume=False) as run:
            for step in (1, 2):
                trainer().step.assign(step)
                run.log({"step": step}, {"g/loss": 0.5})
                run.save()
        files = [path for path in sorted(Path(folder).rglob("*")) if path.is_file()]
        state = [path for path in files if path.parent.name != "events"]
        return [Seed({p.relative_to(folder).as_posix(): p.read_bytes() for p in state}, resume)]


def resume(path: Path) -> None:
    """Resume the run whose first file is `path`."""
    run_dir = path.parents[1]
    config = resumed_config(run_dir, {})
    with RunDir(config, trainer(), resume=True) as run:
        if run.step not in (1, 2):
            raise AssertionError(f"{run_dir}: resumed from step {run.step}")
