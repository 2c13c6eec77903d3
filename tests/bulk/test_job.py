"""Pictures on a cluster that loses workers and a node: every result once, with the bytes of infer.

ANIME_TF_BULK_PICTURES=500 runs the large version.
"""

from __future__ import annotations

import collections
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest

pytest.importorskip("ray", reason="Ray (the extra cluster) is not installed")

from anime_tf.bulk import storage
from anime_tf.bulk.config import BulkConfig, ClusterConfig
from anime_tf.bulk.job import SUMMARY, run_job
from anime_tf.bulk.manifest import FAILED, Manifest
from anime_tf.faces.config import FaceConfig
from anime_tf.inference.config import InferConfig, StylizerConfig
from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.video.config import StabilizerConfig

COUNT = int(os.environ.get("ANIME_TF_BULK_PICTURES", "75"))
BROKEN = COUNT // 25
SIDES = (24, 32, 40, 56)


@pytest.fixture(scope="module")
def photos(tmp_path_factory) -> tuple[Path, set[str]]:
    """A folder of pictures of mixed sizes and formats, and the names of the broken ones."""
    folder, generator = tmp_path_factory.mktemp("photos"), np.random.default_rng(5)
    names = []
    for number in range(COUNT):
        size_hw = generator.choice(SIDES, 2)
        picture = generator.integers(0, 256, (*size_hw, 3), np.uint8)
        name = f"{number % 7}/{number:04d}.{('png', 'jpg', 'bmp')[number % 3]}"
        (folder / name).parent.mkdir(exist_ok=True)
        cv2.imwrite(str(folder / name), picture)
        names.append(name)
    broken = names[:: COUNT // BROKEN][:BROKEN]
    for number, name in enumerate(broken):
        data = (folder / name).read_bytes()
        (folder / name).write_bytes((data[: len(data) // 3], b"", b"no picture")[number % 3])
    return folder, set(broken)


def run(source: str, output: str, weights: Path, cluster: ClusterConfig, **settings):
    stylizer = StylizerConfig(weights=weights, engine="keras")
    return run_job(
        BulkConfig(source, output, **settings),
        cluster,
        InferConfig(source, output),
        stylizer,
        FaceConfig(),
        StabilizerConfig(),
        VideoEncoding(),
        VideoDecoding(),
    )


def test_every_picture_is_made_once_although_workers_and_a_node_are_lost(
    s3, nodes, photos, exports, tmp_path
):
    folder, broken = photos
    weights = exports["whitebox"].archive
    for path in folder.rglob("*.*"):
        storage.write(f"{s3}/in/{path.relative_to(folder).as_posix()}", path.read_bytes())
    expected = tmp_path / "expected"
    # A process of its own: with other numbers of threads, sums are rounded in another order.
    names = ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS")
    command = [sys.executable, "-m", "anime_tf", "infer", str(folder), str(expected)]
    done = subprocess.run(
        [*command, f"--weights={weights}", "--engine=keras"],
        env={**os.environ, **dict.fromkeys(names, "1")},
        check=False,
        capture_output=True,
    )
    assert done.returncode == 1, "some are broken"
    source, output = f"{s3}/in", f"{s3}/out"
    killer = Killer(nodes, output)
    cluster = ClusterConfig(address=nodes.address, workers=2)
    killer.start()
    report = run(source, output, weights, cluster, task_size=4)
    killer.join()

    assert killer.killed == ["worker", "node"]
    names = {path.relative_to(expected).as_posix() for path in expected.rglob("*.*")}
    made = {name for name in storage.list_files(output) if not name.startswith("_bulk/")}
    assert made == names and len(made) == COUNT - BROKEN
    for name in names:
        assert storage.read(f"{output}/{name}") == (expected / name).read_bytes(), name
    rows = Manifest(output).read()
    assert {name for name, row in rows.items() if row["status"] == FAILED} == broken
    assert len(report.failures) == BROKEN and report.done == COUNT - BROKEN
    assert all(f"{source}/{name}: " in "\n".join(report.failures) for name in broken)
    summary = json.loads(storage.read(f"{output}/{SUMMARY}"))
    assert summary["failures_by_kind"] == {"picture": BROKEN}
    assert len(collections.Counter(summary["files_by_worker"])) >= 2

    nodes.add_node(**nodes.settings)
    # A second run does what is missing, changed or failed, and nothing else.
    first, second, third = sorted(names)[:3]
    storage.delete(f"{output}/{first}")
    time.sleep(1.1)  # S3 counts seconds
    storage.write(f"{source}/{second}", (folder / second).read_bytes())
    storage.write(f"{source}/{third}", (folder / second).read_bytes())
    again = run(source, output, weights, ClusterConfig(address=nodes.address, workers=1))
    assert (again.skipped, again.done) == (COUNT - BROKEN - 3, 3)
    rows = Manifest(output).read()
    statuses = [rows[name]["status"] for name in (first, second, third)]
    assert statuses == ["done", "unchanged", "done"]
    assert storage.read(f"{output}/{first}") == (expected / first).read_bytes()


class Killer(threading.Thread):
    """Kills a worker, then a node with its worker, at random moments of a job."""

    def __init__(self, cluster, output: str) -> None:
        super().__init__(daemon=True)
        self._cluster, self._output = cluster, output
        self.killed: list[str] = []

    def run(self) -> None:
        generator = random.Random(0)
        usable = COUNT - BROKEN
        self._wait_for(generator.randint(1, usable // 5))
        worker = self._workers()[0]
        os.kill(worker, signal.SIGKILL)
        self.killed.append("worker")
        self._wait_for(generator.randint(usable * 2 // 5, usable * 3 // 5))
        node = next(iter(self._cluster.worker_nodes))
        self._cluster.remove_node(node, allow_graceful=False)
        self.killed.append("node")

    def _wait_for(self, count: int) -> None:
        while len(storage.list_files(self._output)) < count:
            time.sleep(0.1)

    def _workers(self) -> list[int]:
        """Process numbers of the workers on the nodes of this cluster."""
        raylets = {
            info.process.pid
            for node in self._cluster.worker_nodes
            for info in node.all_processes["raylet"]
        }
        found = []
        for entry in Path("/proc").iterdir():
            try:
                words = (entry / "cmdline").read_bytes()
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (OSError, ValueError, IndexError):
                continue
            if parent in raylets and words.startswith(b"ray::MapWorker"):
                found.append(int(entry.name))
        return found
