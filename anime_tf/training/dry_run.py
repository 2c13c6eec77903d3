"""Dry runs: check everything that a run needs and estimate its duration, without writing."""

from __future__ import annotations

import dataclasses
import statistics
import sys
import time
from pathlib import Path

import tensorflow as tf
from absl import logging

from anime_tf.datasets.pipeline import TrainingPictures
from anime_tf.errors import counted
from anime_tf.training.config import TrainConfig
from anime_tf.training.loop import prepare_pictures
from anime_tf.training.objective import network_inputs
from anime_tf.training.run_dir import check_unused, kept_checkpoint, list_checkpoints
from anime_tf.training.trainer import Trainer

TIMED_STEPS = 2  # of each phase, after one that compiles it


@dataclasses.dataclass(frozen=True)
class Estimate:
    """Cost of a run."""

    steps: dict[str, int]  # phase -> remaining steps
    seconds: dict[str, float]  # phase with remaining steps -> seconds per step, reading included
    memory: int | None  # peak bytes: the GPU's if there is one, else the process'

    @property
    def total_seconds(self) -> float:
        """Seconds for all remaining steps, without checkpoints and samples."""
        return sum(self.steps[phase] * seconds for phase, seconds in self.seconds.items())


def dry_run(config: TrainConfig, *, resume: bool = False, from_epoch: int = 0) -> Estimate:
    """Check data set, settings, networks and memory, and time a few steps of each phase.

    Writes nothing except caches: downloaded weights of a perceptual network, and superpixels. If
    the edge-smoothed pictures are missing, the style pictures stand in for them.

    Takes the arguments of `train` and raises its errors, and ValueError for several devices. Logs
    the estimate and returns it.
    """
    if config.distribute != "none":
        raise ValueError(f"dry_run: expected distribute=none, got distribute={config.distribute}")
    run_dir = Path(config.run_dir)
    if not resume:
        check_unused(run_dir)
    pictures = prepare_pictures(config, make_smooth=False)
    per_epoch = config.steps_per_epoch or pictures.steps_per_epoch
    done = 0
    if resume and from_epoch:
        kept_checkpoint(run_dir, from_epoch)
        done = from_epoch * per_epoch
    elif resume:
        names = [p.name for p in list_checkpoints(run_dir) if p.name.startswith("step-")]
        done = int(names[0].rpartition("-")[2]) if names else 0
    begin_gan = min(config.init_epochs, config.epochs) * per_epoch
    end = config.epochs * per_epoch
    steps = {"init": max(0, begin_gan - done), "gan": max(0, end - max(done, begin_gan))}
    photos, styles = len(pictures.folders.train_photo), len(pictures.folders.style)
    logging.info(
        "%s, %s, %s per epoch",
        *(counted(photos, "photo"), counted(styles, "style picture"), counted(per_epoch, "step")),
    )
    phases = " and ".join(phase for phase in steps if steps[phase])
    if phases:
        logging.info(
            "building the networks, then measuring %d steps of %s, minutes of work on a CPU",
            *(1 + TIMED_STEPS, phases),
        )
    trainer = Trainer(config)
    seconds = {phase: _time_steps(phase, trainer, pictures) for phase in steps if steps[phase]}
    estimate = Estimate(steps, seconds, _peak_memory())
    for phase, pace in seconds.items():
        logging.info("%s: %s of %.2f s", phase, counted(steps[phase], "step"), pace)
    total = _format_duration(estimate.total_seconds)
    memory = estimate.memory
    gibibytes = "" if memory is None else f", {memory / 2**30:.1f} GiB of memory"
    logging.info("%s in total%s; nothing was written", total, gibibytes)
    if pictures.broken:
        logging.warning("%d broken pictures so far", len(pictures.broken))
    return estimate


def _time_steps(phase: str, trainer: Trainer, pictures: TrainingPictures) -> float:
    """Return the median seconds of a step of a phase, reading included."""
    objective = trainer.objective
    streams = objective.init_streams if phase == "init" else objective.gan_streams
    step = trainer.init_step if phase == "init" else trainer.gan_step
    seconds = []
    count = 1 + TIMED_STEPS
    started_at = time.monotonic()
    for i, batch in enumerate(pictures.iterate(0, count, streams)):
        note = ", which compiles the step first" if i == 0 else ""
        logging.info("%s: measuring step %d of %d%s", phase, i + 1, count, note)
        losses = step(network_inputs(batch))
        wrong = [name for name, value in losses.items() if not bool(tf.math.is_finite(value))]
        if wrong:
            raise ValueError(f"phase {phase}: expected finite losses, got NaN or infinity: {wrong}")
        now = time.monotonic()
        seconds.append(now - started_at)
        started_at = now
    return statistics.median(seconds[1:])


def _peak_memory() -> int | None:
    if tf.config.list_physical_devices("GPU"):
        return int(tf.config.experimental.get_memory_info("GPU:0")["peak"])
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def _format_duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 120 else f"{minutes / 60:.1f} h"
