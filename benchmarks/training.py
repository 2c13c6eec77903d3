"""How fast a step of training is."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
from absl import logging

from anime_tf.training.config import TrainConfig
from benchmarks.pipeline import PHASE_STREAMS, made_up_photo
from benchmarks.timing import Contender


def train_step_contenders(
    config: TrainConfig,
    precisions: Sequence[str],
    phases: Sequence[str],
    *,
    steps: int,
    warmup: int,
) -> list[Contender]:
    """The step of each phase of training, at every precision, on one made-up batch.

    A step is timed as the training loop goes through it: from a uint8 batch of the pipeline to the
    losses on the host and the variables updated. All trainers live at once.

    Args:
        config: Settings of training; its precision is not looked at.
        precisions: Dtype policies.
        phases: Keys of `PHASE_STREAMS`.
        steps: Training steps a turn.
        warmup: Training steps before the first turn; the first of them compiles.

    Returns:
        Phase by phase, each with the precisions in the order given.
    """
    import tensorflow as tf

    from anime_tf.training.objective import network_inputs
    from anime_tf.training.trainer import Trainer

    trainers = {name: Trainer(config.replace(precision=name)) for name in precisions}
    size_hw = (config.image_size, config.image_size)
    random = np.random.default_rng(config.seed)
    batch = {
        stream: tf.constant(
            np.stack([made_up_photo(random, size_hw) for _ in range(config.batch_size)])
        )
        for stream in PHASE_STREAMS["gan"]
    }

    def runner(phase: str, trainer: Trainer) -> Callable[[int], float]:
        pictures_u8 = {stream: batch[stream] for stream in PHASE_STREAMS[phase]}
        train = trainer.init_step if phase == "init" else trainer.gan_step

        def run(turn: int) -> float:
            count = steps if turn else warmup
            begun_at = time.perf_counter()
            for _ in range(count):
                losses = {key: float(x) for key, x in train(network_inputs(pictures_u8)).items()}
                # On a GPU the losses arrive before the variables are updated.
                tf.test.experimental.sync_devices()
            seconds = (time.perf_counter() - begun_at) / count
            wrong = [f"{key} is {loss}" for key, loss in losses.items() if not np.isfinite(loss)]
            if wrong:
                logging.warning(
                    "%s, %s: %s; time is what it was all the same",
                    phase,
                    trainer.config.precision,
                    ", ".join(wrong),
                )
            return seconds

        return run

    return [
        Contender("train_step", {"phase": phase, "precision": name}, runner(phase, trainer))
        for phase in phases
        for name, trainer in trainers.items()
    ]
