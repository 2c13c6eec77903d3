"""Workers on Ray: rows in, rows out; a lost worker is restarted and its task repeated."""

from __future__ import annotations

import contextlib
import logging as python_logging
import os
import pickle
from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from anime_tf.bulk.config import LOCAL, ClusterConfig
from anime_tf.errors import first_line, import_optional

Row = dict[str, Any]

_OBJECT_STORE_BYTES = 256 << 20  # of an embedded Ray: only rows travel, never pictures

MAX_ATTEMPTS = 3  # workers that a row may end before it is given up
GIVE_UP_REASON = f"ended {MAX_ATTEMPTS} workers, by lack of memory or a crash"


class Worker(Protocol):
    """Processes rows; each actor makes one worker and keeps it."""

    def work(self, rows: list[Row]) -> list[Row]:
        """Return the results of rows; a failure is a row, too."""

    def give_up(self, row: Row) -> Row:
        """Return the result of a row that ended `MAX_ATTEMPTS` workers."""


@contextlib.contextmanager
def cluster(config: ClusterConfig) -> Iterator[None]:
    """Connect to Ray, or start it on this machine until the block ends.

    Raises:
        ValueError: Ray is not installed, or there is no cluster at the address.
    """
    ray = import_optional("ray", "bulk jobs need Ray", "'anime_tf[cluster]'")
    import_optional("ray.data", "bulk jobs need Ray Data", "'anime_tf[cluster]'")
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    settings: dict[str, Any] = {"address": config.address}
    if config.address == LOCAL:
        settings |= {"object_store_memory": _OBJECT_STORE_BYTES, "include_dashboard": False}
        if config.workers:
            settings["num_cpus"] = config.workers * config.num_cpus
    try:
        ray.init(logging_level=python_logging.WARNING, log_to_driver=False, **settings)
    except (ConnectionError, RuntimeError, ValueError) as error:
        raise ValueError(
            f"--address={config.address}: expected a running Ray cluster ({first_line(error)})"
        ) from error
    python_logging.getLogger("ray.data").setLevel(python_logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    try:
        yield
    finally:
        ray.shutdown()


def worker_count(config: ClusterConfig) -> int:
    """Return the number of workers that the cluster has room for, or that the user chose."""
    import ray

    if config.workers:
        return config.workers
    resources = ray.cluster_resources()
    count = resources.get("CPU", 0) / config.num_cpus
    if config.num_gpus:
        count = min(count, resources.get("GPU", 0) / config.num_gpus)
    if count < 1:
        raise ValueError(
            f"expected a cluster with room for a worker of {config.num_cpus} CPUs and "
            f"{config.num_gpus:g} GPUs, got {resources.get('CPU', 0):g} CPUs and "
            f"{resources.get('GPU', 0):g} GPUs; for one that grows on demand give --workers"
        )
    return int(count)


def run(
    rows: Sequence[Row], task_size: int, worker: type, arguments: Any, config: ClusterConfig
) -> Iterator[Row]:
    """Process rows by workers; yield their results as they finish, in any order.

    Args:
        rows: Anything that can be pickled.
        task_size: Rows per task. The task of a lost worker is repeated as a whole.
        worker: Class with the methods of `Worker`.
        arguments: Argument of its constructor.
        config: Number and size of workers.
    """
    import pyarrow as pa
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    if not rows:
        return
    # Near this process, which rarely is on a node that goes away; counts may be lost with it.
    here = NodeAffinitySchedulingStrategy(ray.get_runtime_context().get_node_id(), soft=True)
    options = {"num_cpus": 0, "max_restarts": -1, "max_task_retries": -1}
    attempts = ray.remote(_Attempts).options(scheduling_strategy=here, **options).remote()
    tasks = [
        pa.table({"number": [start], "row": [_pack(rows[start : start + task_size])]})
        for start in range(0, len(rows), task_size)
    ]
    count = min(worker_count(config), len(tasks))
    results = ray.data.from_arrow(tasks).map_batches(
        _Actor,
        fn_constructor_args=(worker, arguments, attempts, config.num_cpus),
        batch_size=None,
        batch_format="pyarrow",
        num_cpus=config.num_cpus,
        num_gpus=config.num_gpus or None,
        compute=ray.data.ActorPoolStrategy(min_size=1, max_size=count, initial_size=count),
    )
    tables: Any = results.iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0)
    for table in tables:
        yield from _unpack(table["row"].to_pylist())


def _pack(rows: Sequence[Row]) -> list[bytes]:
    return [pickle.dumps(row) for row in rows]


def _unpack(packed: Sequence[bytes]) -> list[Row]:
    return [pickle.loads(data) for data in packed]  # noqa: S301 - from our own processes


class _Attempts:
    """Counts how often a task or a row was begun and not finished."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}

    def begin(self, key: str) -> int:
        self._counts[key] = self._counts.get(key, 0) + 1
        return self._counts[key]

    def finish(self, key: str) -> None:
        self._counts.pop(key, None)


class _Actor:
    """A `Worker` in a process of Ray."""

    def __init__(self, worker: type, arguments: Any, attempts: Any, num_cpus: int) -> None:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"):
            os.environ[name] = str(num_cpus)
        self._worker, self._attempts = worker(arguments), attempts

    def __call__(self, table: Any) -> Any:
        import pyarrow as pa

        done: list[Row] = []
        for number, packed in zip(
            table["number"].to_pylist(), table["row"].to_pylist(), strict=True
        ):
            rows = _unpack(packed)
            if self._begin(f"task {number}") == 1:
                done += self._worker.work(rows)
                continue
            # A worker was lost here. One row after another, to find the one that ends workers.
            for key, row in enumerate(rows, start=number):
                lost = self._begin(f"row {key}") >= MAX_ATTEMPTS
                done += [self._worker.give_up(row)] if lost else self._worker.work([row])
                self._attempts.finish.remote(f"row {key}")
        return pa.table({"row": _pack(done)})

    def _begin(self, key: str) -> int:
        import ray

        return ray.get(self._attempts.begin.remote(key))
