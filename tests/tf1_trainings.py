"""Checkpoints of whole trainings as TensorFlow 1 writes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf
from golden_files import discriminator_names, generator_names

from anime_tf.training.trainer import Trainer

SLOTS = {
    "init": ("Adam", "Adam_1", ""),
    "g": ("Adam_2", "Adam_3", "_1"),
    "d": ("Adam", "Adam_1", "_2"),
}


def power(beta: float, updates: int) -> np.ndarray:
    """TensorFlow 1's power of beta after so many updates: repeated float32 products."""
    result = np.float32(beta)
    for _ in range(updates):
        result = np.float32(result * np.float32(beta))
    return np.asarray(result)


def initial_power(name: str) -> np.ndarray:
    """TensorFlow 1's power of beta before the first update, for the variable of this name."""
    return power(0.5 if name.startswith("beta1") else 0.999, 0)


def save(prefix: Path, variables: dict[str, np.ndarray]) -> Path:
    """Write a checkpoint with TensorFlow 1's Saver from a graph with these variables."""
    v1 = tf.compat.v1
    with tf.Graph().as_default(), v1.Session() as session:
        # Fed, because constants would be in the graph, too.
        feeds = {name: v1.placeholder(x.dtype, x.shape) for name, x in variables.items()}
        made = [
            v1.get_variable(name, initializer=feed, use_resource=False)
            for name, feed in feeds.items()
        ]
        session.run(
            v1.variables_initializer(made), {feeds[name]: x for name, x in variables.items()}
        )
        v1.train.Saver(made).save(session, str(prefix))
    return prefix


def write(prefix: Path, variables: dict[str, np.ndarray]) -> Path:
    """Write the same file as `save`, faster, without a graph."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(variables),
        shape_and_slices=[""] * len(variables),
        tensors=[tf.constant(array) for array in variables.values()],
    )
    return prefix


def state_of(trainer: Trainer) -> dict[str, np.ndarray]:
    """Return a trainer's state under TensorFlow 1's names."""
    names = generator_names(trainer.generator) | discriminator_names(trainer.discriminator)
    weights = [*trainer.generator.weights, *trainer.discriminator.weights]
    state = {names[weight.path]: weight.numpy() for weight in weights}
    for ours, (momentum, velocity, powers) in SLOTS.items():
        optimizer = getattr(trainer, f"{ours}_optimizer")
        slots = {variable.path: variable for variable in optimizer.variables}
        network = trainer.discriminator if ours == "d" else trainer.generator
        for weight in network.trainable_variables:
            path = f"{ours}_adam/{weight.path.replace('/', '_')}"
            state[f"{names[weight.path]}/{momentum}"] = slots[f"{path}_momentum"].numpy()
            state[f"{names[weight.path]}/{velocity}"] = slots[f"{path}_velocity"].numpy()
        updates = int(optimizer.iterations)
        state[f"beta1_power{powers}"] = power(0.5, updates)
        state[f"beta2_power{powers}"] = power(0.999, updates)
    return state
