"""Speed of a training step."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from anime_tf.training.config import TrainConfig
from benchmarks.pipeline import PHASE_STREAMS, generate_photo
from benchmarks.timing import Candidate


def train_step_candidates(
    config: TrainConfig,
    precisions: Sequence[str],
    phases: Sequence[str],
    *,
    steps: int,
    warmup: int,
) -> list[Candidate]:
    """Make candidates for the step of each phase and precision, on one generated batch.

    A step is timed as in the training loop: from a uint8 batch of the pipeline to the losses on the
    host and the updated variables. All trainers are in memory at once.

    Args:
        config: Settings of training, apart from the precision.
        precisions: Dtype policies.
        phases: Keys of `PHASE_STREAMS`.
        steps: Training steps per round.
        warmup: Training steps of the warm-up; the first one compiles.

    Returns:
        A candidate for each phase and precision.
    """
    import tensorflow as tf

    from anime_tf.training.objective import network_inputs
    from anime_tf.training.trainer import Trainer

    trainers = {name: Trainer(config.replace(precision=name)) for name in precisions}
    size_hw = (config.image_size, config.image_size)
    random = np.random.default_rng(config.seed)
    batch = {
        stream: tf.constant(
            np.stack([generate_photo(random, size_hw) for _ in range(config.batch_size)])
        )
        for stream in PHASE_STREAMS["gan"]
    }

    def make_run(phase: str, trainer: Trainer) -> Callable[[int], float]:
        pictures_u8 = {stream: batch[stream] for stream in PHASE_STREAMS[phase]}
        train = trainer.init_step if phase == "init" else trainer.gan_step

        def run(number: int) -> float:
            count = steps if number else warmup
            start = time.perf_counter()
            for _ in range(count):
                losses = {key: float(x) for key, x in train(network_inputs(pictures_u8)).items()}
                # On a GPU the losses arrive before the variables are updated.
                tf.test.experimental.sync_devices()
            seconds = (time.perf_counter() - start) / count
            wrong = [f"{key} is {loss}" for key, loss in losses.items() if not np.isfinite(loss)]
            if wrong:
                logging.warning(
                    "%s, %s: %s; the time is valid nevertheless",
                    phase,
                    trainer.config.precision,
                    ", ".join(wrong),
                )
            return seconds

        return run

    return [
        Candidate("train_step", {"phase": phase, "precision": name}, make_run(phase, trainer))
        for phase in phases
        for name, trainer in trainers.items()
    ]
