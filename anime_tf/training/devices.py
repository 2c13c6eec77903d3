"""Distribution strategies: one device, several of one machine, or several machines."""

from __future__ import annotations

import os

import tensorflow as tf


def make_strategy(distribute: str) -> tf.distribute.Strategy | None:
    """Make the strategy of a run; for several machines before TensorFlow runs anything else.

    "mirrored" takes all GPUs of this machine, or without a GPU all its logical CPU devices;
    "multi_worker" the machines of TF_CONFIG; "none" returns None.
    """
    if distribute == "mirrored":
        devices = tf.config.list_logical_devices("GPU") or tf.config.list_logical_devices("CPU")
        return tf.distribute.MirroredStrategy([device.name for device in devices])
    if distribute == "multi_worker":
        if not os.environ.get("TF_CONFIG"):
            raise ValueError(
                "distribute=multi_worker: expected the machines in the environment variable "
                'TF_CONFIG, got none; set it to {"cluster": {"worker": ["host0:port", '
                '"host1:port"]}, "task": {"type": "worker", "index": 0}}'
            )
        return tf.distribute.MultiWorkerMirroredStrategy()
    return None


def make_deterministic() -> None:
    """Make training on one CPU bit-exact; call it before TensorFlow runs anything.

    Two things change the order in which gradients are summed: parallel operations share the threads
    anew each time, and the graph optimizer rewrites a graph differently from process to process. So
    one operation runs at a time (on all cores), as written.
    """
    if not tf.config.list_physical_devices("GPU"):
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """Return whether this process writes the run directory: the first of several workers."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    if "chief" in resolver.cluster_spec().jobs:
        return resolver.task_type == "chief"
    return resolver.task_id == 0


def worker_rank(strategy: tf.distribute.Strategy) -> tuple[int, int]:
    """Return this worker's number, and so its part of every batch, and the number of workers."""
    local = len(strategy.extended.worker_devices) if strategy.num_replicas_in_sync > 1 else 1
    workers = strategy.num_replicas_in_sync // local
    if workers == 1:
        return 0, 1
    resolver = strategy.cluster_resolver
    # The order of replicas: the chief first, then the workers.
    after_chief = "chief" in resolver.cluster_spec().jobs and resolver.task_type != "chief"
    return resolver.task_id + after_chief, workers
