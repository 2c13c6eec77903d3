"""A bulk job: its plan, its results in the manifest, and its summary."""

from __future__ import annotations

import hashlib
import json
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from absl import logging

from anime_tf.bulk import engine, storage
from anime_tf.bulk.config import BulkConfig, ClusterConfig
from anime_tf.bulk.engine import Row
from anime_tf.bulk.inputs import Source, find_sources
from anime_tf.bulk.manifest import DONE, FAILED, FOLDER, UNCHANGED, Manifest
from anime_tf.bulk.pictures import PictureJob, PictureWorker, WeightsFile
from anime_tf.bulk.videos import VideoJob, stylize_videos
from anime_tf.faces.config import FaceConfig
from anime_tf.inference.config import InferConfig, StylizerConfig
from anime_tf.io.terminal import Progress, write_line
from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.styles.registry import weights_path
from anime_tf.video.config import StabilizerConfig
from anime_tf.video.stylize import record_settings

SUMMARY = f"{FOLDER}/summary.json"


@dataclass
class BulkReport:
    """Result of `run_job`."""

    skipped: int = 0  # done by an earlier run
    done: int = 0
    failures: list[str] = field(default_factory=list)  # one line each
    summary: dict[str, Any] = field(default_factory=dict)


def run_job(
    config: BulkConfig,
    cluster: ClusterConfig,
    infer: InferConfig,
    stylizer: StylizerConfig,
    faces: FaceConfig,
    stabilizer: StabilizerConfig,
    encoding: VideoEncoding,
    decoding: VideoDecoding,
) -> BulkReport:
    """Stylize the pictures and videos of an input on a cluster; see `BulkConfig`.

    Each result is written whole under a name that follows from the input's. A lost worker's tasks
    are done again, with the same bytes.

    Raises:
        FileNotFoundError: There are no such inputs or weights.
        ValueError: Wrong settings, or no cluster.
    """
    start = time.monotonic()
    weights = WeightsFile.read(weights_path(stylizer.weights))
    if faces.weights:
        weights_path(faces.weights)
    recorded = record_settings(infer, stylizer, faces, stabilizer, encoding, decoding)
    # Two paths of the same weights make the same pictures.
    for name in ("--weights", "--face_weights"):
        recorded.pop(name, None)
    settings = hashlib.sha256(json.dumps(recorded, sort_keys=True).encode()).hexdigest()
    sources = find_sources(config.input, config.output, infer.bits, crops=infer.faces == "crop")
    manifest = Manifest(config.output)
    rows, skipped = _plan(sources, manifest, config, settings)
    report = BulkReport(skipped=skipped)
    if skipped:
        logging.info("%d of %d are done already", skipped, len(sources))
    job = PictureJob(config.output, settings, infer, stylizer, faces, weights, config.batch_size)
    videos = VideoJob(job, stabilizer, encoding, decoding, config.segment_frames)
    watch = _Summary(len(sources), report)
    if rows:
        with engine.cluster(cluster):
            watch.workers = min(engine.worker_count(cluster), max(1, len(rows)))
            _collect(
                _results(rows, sources, job, videos, config.task_size, cluster),
                manifest,
                report,
                watch,
            )
    report.summary = watch.facts(time.monotonic() - start)
    text = json.dumps(report.summary, indent=2) + "\n"
    storage.write(storage.join(config.output, SUMMARY), text.encode())
    return report


def _plan(
    sources: Sequence[Source], manifest: Manifest, config: BulkConfig, settings: str
) -> tuple[list[Row], int]:
    """Return the rows that are to be done, and how many results are there already."""
    known = manifest.read() if config.resume else {}
    there = storage.list_files(config.output) if known else {}
    rows, skipped = [], 0
    for source in sources:
        row = known.get(source.output, {})
        is_done = (
            row.get("status") in (DONE, UNCHANGED)
            and (row["input"], row["settings"]) == (source.address, settings)
            and all(name in there for name in row["outputs"] or ())
            and sum(there[name].size for name in row["outputs"] or ()) == row["output_bytes"]
        )
        info = source.info
        if is_done and info and info == (row["input_bytes"], row["input_modified"]):
            skipped += 1
            continue
        size, modified = info or (0, 0)
        rows.append(
            {
                "input": source.address,
                "output": source.output,
                "input_bytes": size,
                "input_modified": modified,
                "problem": source.problem,
                # A new time of change of the same bytes: the worker compares digests.
                "previous": row["input_digest"] if is_done else "",
            }
        )
        if is_done:
            rows[-1] |= {name: row[name] for name in ("outputs", "output_bytes")}
    return rows, skipped


def _results(
    rows: list[Row],
    sources: Sequence[Source],
    job: PictureJob,
    videos: VideoJob,
    task_size: int,
    cluster: ClusterConfig,
) -> Iterator[Row]:
    of_videos = {source.output for source in sources if source.is_video}
    pictures = [row for row in rows if row["output"] not in of_videos]
    yield from engine.run(pictures, task_size, PictureWorker, job, cluster)
    yield from stylize_videos([row for row in rows if row["output"] in of_videos], videos, cluster)


def _collect(
    results: Iterator[Row], manifest: Manifest, report: BulkReport, watch: _Summary
) -> None:
    """Put results into manifest, report and summary, and show progress."""
    try:
        with Progress(watch.total, "files", done=report.skipped) as progress:
            for row in results:
                manifest.add(row)
                watch.add(row)
                if row["status"] == FAILED:
                    report.failures.append(row["reason"])
                    write_line(row["reason"])
                else:
                    report.done += 1
                count = len(report.failures)
                progress.update(f"{count} failed" if count else "")
    finally:
        manifest.flush()


class _Summary:
    """Counts of a run, for summary.json."""

    def __init__(self, total: int, report: BulkReport) -> None:
        self.total, self.workers, self._report = total, 0, report
        self._seconds: list[float] = []
        self._kinds: Counter[str] = Counter()
        self._sums: Counter[str] = Counter()
        self._processes: Counter[str] = Counter()

    def add(self, row: Row) -> None:
        """Count the row of a result."""
        if row["status"] == FAILED:
            self._kinds[row["kind"]] += 1
        elif row["status"] == DONE:
            self._seconds.append(row["seconds"])
            for name in ("pixels", "output_bytes"):
                self._sums[name] += row[name]
        self._sums["input_bytes"] += row["input_bytes"]
        self._processes[row["worker"]] += 1

    def facts(self, wall: float) -> dict[str, Any]:
        """Return the summary."""
        seconds = self._seconds or [0.0]
        percentiles = np.percentile(seconds, (50, 90, 99))
        return {
            "files": self.total,
            "skipped": self._report.skipped,
            "done": self._report.done,
            "failed": len(self._report.failures),
            "failures_by_kind": dict(self._kinds),
            "wall_seconds": round(wall, 3),
            "files_per_second": round((self._report.done + sum(self._kinds.values())) / wall, 3),
            "megapixels_per_second": round(self._sums["pixels"] / 1e6 / wall, 3),
            "worker_seconds_per_file": {
                f"p{rank}": round(float(value), 4)
                for rank, value in zip((50, 90, 99), percentiles, strict=True)
            },
            "worker_seconds": round(float(sum(self._seconds)), 3),
            "bytes_read": self._sums["input_bytes"],
            "bytes_written": self._sums["output_bytes"],
            "workers": self.workers,
            "files_by_worker": dict(self._processes),
        }
