"""Everything that a run needs, tried without writing anything."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from pathlib import Path

import tensorflow as tf
from absl import logging

from anime_tf.datasets.pipeline import TrainingPictures
from anime_tf.io.folders import dataset_folders
from anime_tf.training.config import TrainConfig
from anime_tf.training.objective import network_inputs
from anime_tf.training.run_dir import CONFIG, kept_checkpoint
from anime_tf.training.trainer import Trainer

TIMED_STEPS = 2
"""Steps of each phase that are timed, after one that compiles it."""


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a run will take.

    Attributes:
        steps: Phase -> steps that are left.
        seconds: Phase -> seconds a step, pictures read and networks updated; phases with no steps
            left are not among them.
        memory: Most memory that was in use, bytes: the GPU's where there is one, else the
            process'; None where that cannot be told.
    """

    steps: dict[str, int]
    seconds: dict[str, float]
    memory: int | None

    @property
    def total_seconds(self) -> float:
        """Seconds for all steps that are left; checkpoints and samples are not among them."""
        return sum(self.steps[phase] * seconds for phase, seconds in self.seconds.items())


def dry_run(config: TrainConfig, *, resume: bool = False, from_epoch: int = 0) -> Estimate:
    """Checks data set, settings, networks and memory, and times a few steps of each phase.

    Nothing is written but weights of a perceptual network that must be fetched. Edge-smoothed
    pictures that a run would make are stood in for by the pictures themselves.

    Args:
        config: The run's settings.
        resume: Whether the run of `config.run_dir` would be gone on with.
        from_epoch: After how many epochs, by a checkpoint that was kept; 0 for the newest.

    Returns:
        What the run will take; told on the log as well.

    Raises:
        FileNotFoundError: The data set lacks a folder or pictures, or there is no such checkpoint.
        FileExistsError: `run_dir` holds a run already and `resume` is False.
        ValueError: A setting is wrong, or is for several machines.
    """
    if config.distribute != "none":
        raise ValueError(f"dry_run tries one device, leave out distribute={config.distribute}")
    run_dir = Path(config.run_dir)
    if not resume and (run_dir / CONFIG).exists():
        raise FileExistsError(
            f"{run_dir}: already holds a run; go on with --resume, or choose another run_dir"
        )
    source = _pictures(config)
    per_epoch = config.steps_per_epoch or source.steps_per_epoch
    done = 0
    if resume and from_epoch:
        kept_checkpoint(run_dir, from_epoch)
        done = from_epoch * per_epoch
    elif resume:
        done = _steps_done(run_dir)
    begin_gan = min(config.init_epochs, config.epochs) * per_epoch
    end = config.epochs * per_epoch
    steps = {"init": max(0, begin_gan - done), "gan": max(0, end - max(done, begin_gan))}
    logging.info(
        "%d photos, %d style pictures, %d steps an epoch",
        len(source.folders.train_photo),
        len(source.folders.style),
        per_epoch,
    )
    trainer = Trainer(config)
    seconds = {phase: _seconds(phase, trainer, source) for phase in steps if steps[phase]}
    estimate = Estimate(steps, seconds, _memory())
    for phase, pace in seconds.items():
        logging.info("%s: %d steps of %.2f s", phase, steps[phase], pace)
    memory = estimate.memory
    logging.info(
        "%s in all%s; nothing was written",
        _duration(estimate.total_seconds),
        "" if memory is None else f", {memory / 2**30:.1f} GiB of memory",
    )
    if source.broken:
        logging.warning("%d broken pictures so far", len(source.broken))
    return estimate


def _pictures(config: TrainConfig) -> TrainingPictures:
    adversarial = config.init_epochs < config.epochs
    smooth_dir = Path(config.dataset_dir) / config.style / "smooth"
    is_there = smooth_dir.exists()
    folders = dataset_folders(
        config.dataset_dir,
        config.style,
        need_smooth=adversarial and is_there,
        need_paired=config.is_paired,
    )
    if adversarial and not is_there:
        logging.info("%s: missing, the run will make it", smooth_dir)
        folders = dataclasses.replace(folders, smooth=folders.style)
    return TrainingPictures(
        folders,
        image_size=config.image_size,
        batch_size=config.batch_size,
        seed=config.seed,
        fit=config.fit,
        augment_flip=config.augment_flip,
        augment_resize=config.augment_resize,
    )


def _steps_done(run_dir: Path) -> int:
    newest = tf.train.latest_checkpoint(str(run_dir / "checkpoints"))
    return int(newest.rsplit("-", 1)[1]) if newest else 0


def _seconds(phase: str, trainer: Trainer, source: TrainingPictures) -> float:
    """Median seconds of a step of that phase, the reading of its pictures among them."""
    objective = trainer.objective
    streams = objective.init_streams if phase == "init" else objective.gan_streams
    run = trainer.init_step if phase == "init" else trainer.gan_step
    took = []
    begun_at = time.monotonic()
    for batch in source.iterate(0, 1 + TIMED_STEPS, streams):
        losses = run(network_inputs(batch))
        wrong = [name for name, value in losses.items() if not bool(tf.math.is_finite(value))]
        if wrong:
            raise ValueError(f"a step of the phase {phase} has losses that are not finite: {wrong}")
        now = time.monotonic()
        took.append(now - begun_at)
        begun_at = now
    return statistics.median(took[1:])


def _memory() -> int | None:
    if tf.config.list_physical_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    if minutes < 120:
        return f"{minutes} min"
    return f"{minutes / 60:.1f} h"
