"""Bulk jobs: two workers of one core against one process of two, and the scheduler's overhead.

python -m benchmarks.bulk FOLDER, with a folder of pictures; prints JSON.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from anime_tf.bulk import engine
from anime_tf.bulk.config import ClusterConfig
from anime_tf.bulk.inputs import find_sources
from anime_tf.bulk.pictures import PictureJob, PictureWorker
from anime_tf.faces.batch import make_picture_work
from anime_tf.faces.config import FaceConfig
from anime_tf.inference.batch import Task, stylize_files
from anime_tf.inference.config import InferConfig, StylizerConfig

ROUNDS = 3
REPEATS = 3  # of the pictures by workers, which start anew each time
EMPTY_ROWS = 3200


class TimedWorker(PictureWorker):
    """Adds the CPU seconds of each picture, which other load hardly changes."""

    def work(self, rows: list[engine.Row]) -> list[engine.Row]:
        """Stylize pictures."""
        start = time.process_time()
        done = super().work(rows)
        each = (time.process_time() - start) / len(rows)
        return [{**row, "cpu_seconds": each} for row in done]


class EmptyWorker:
    """Does nothing."""

    def __init__(self, _job: Any) -> None:
        pass

    def work(self, rows: list[engine.Row]) -> list[engine.Row]:
        """Return time and worker."""
        return [{"finished": time.time(), "worker": str(os.getpid())} for _ in rows]

    def give_up(self, row: engine.Row) -> engine.Row:
        """Return the row."""
        return row


def main(folder: str) -> None:
    """Measure in turn, and print the results."""
    os.environ["RAY_worker_niceness"] = "0"  # noqa: SIM112 - not 15, as the process
    faces, stylizer = FaceConfig(), StylizerConfig(engine="keras", engine_precision="float32")
    cluster = ClusterConfig(workers=2)
    with tempfile.TemporaryDirectory() as output, engine.cluster(cluster):
        config = InferConfig(folder, output)
        sources = find_sources(folder, output)
        tasks = [Task(Path(s.address), Path(output, "infer", s.output)) for s in sources]
        job = PictureJob(f"{output}/bulk", "", config, stylizer, faces, None, 1)
        rows = [
            {"input": s.address, "output": s.output, "input_bytes": 0, "input_modified": 0}
            | {"problem": "", "previous": ""}
            for s in sources
        ]
        work = make_picture_work(config, stylizer, faces)
        stylize_files(tasks[:2], work)  # warm
        rates: dict[str, list[float]] = {"process": [], "workers": []}
        cpu_seconds: dict[str, list[float]] = {"process": [], "workers": []}
        for _ in range(ROUNDS):
            start, cpu_start = time.perf_counter(), time.process_time()
            stylize_files(tasks, work)
            cpu_seconds["process"].append((time.process_time() - cpu_start) / len(tasks))
            rates["process"].append(len(tasks) / (time.perf_counter() - start))
            made = list(engine.run(REPEATS * rows, 4, TimedWorker, job, cluster))
            rates["workers"].append(_rate(made))
            # Without the first tasks, in which engines start.
            last = sorted(made, key=lambda row: row["finished"])[8:]
            cpu_seconds["workers"].append(statistics.mean(row["cpu_seconds"] for row in last))
        overhead = {}
        for size in (1, 32):
            made = list(engine.run([{}] * EMPTY_ROWS, size, EmptyWorker, None, cluster))
            overhead[f"task_size {size}"] = round(1e3 / _rate(made), 3)
    ratios = [b / a for a, b in zip(rates["process"], rates["workers"], strict=True)]
    result = {
        "pictures_per_second": rates,
        "cpu_seconds_per_picture": cpu_seconds,
        "ratio": statistics.median(ratios),
        "overhead_ms_per_picture": overhead,
        "cores": os.cpu_count(),
    }
    print(json.dumps(result, indent=2))


def _rate(rows: list[engine.Row]) -> float:
    """Return rows a second while all workers run, without their start and the end of the first."""
    times: dict[str, list[float]] = {}
    for row in rows:
        times.setdefault(row["worker"], []).append(row["finished"])
    start, end = max(map(min, times.values())), min(map(max, times.values()))
    return sum(start < row["finished"] <= end for row in rows) / (end - start)


if __name__ == "__main__":
    main(sys.argv[1])
