"""``dataset frames`` over many videos: one video per task, merged in their order."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anime_tf.bulk import engine
from anime_tf.bulk.config import ClusterConfig
from anime_tf.bulk.engine import GIVE_UP_REASON, Row
from anime_tf.datasets.extract.extractor import (
    FrameSettings,
    FramesReport,
    VideoReport,
    extract_frames,
    merge_frames,
)
from anime_tf.datasets.extract.manifest import Manifest
from anime_tf.errors import error_line
from anime_tf.io.terminal import Progress, write_line

_PARTS = ".parts"  # folder below the output, with a folder per video; hidden from searches


@dataclass(frozen=True)
class _FramesJob:
    folder: Path
    settings: FrameSettings


def extract_frames_on_cluster(
    videos: Sequence[Path],
    output_dir: str | os.PathLike[str],
    settings: FrameSettings,
    cluster: ClusterConfig,
) -> FramesReport:
    """Extract pictures from videos as `extract_frames` does, many videos at once.

    All nodes must see videos and output under the same paths. Near-duplicates within a video are
    decided before those of earlier videos are, so a few more pictures may be rejected than by
    `extract_frames`.

    Raises:
        ValueError: As of `extract_frames`, or there is no cluster.
    """
    folder = Path(output_dir).absolute()
    known = Manifest(folder).videos
    new = [v.absolute() for v in videos if v.name not in known or not known[v.name].finished]
    parts = folder / _PARTS
    rows = [{"video": str(video)} for video in new]
    reports: dict[str, VideoReport] = {}
    if rows:
        with engine.cluster(cluster), Progress(len(rows), "videos") as progress:
            job = _FramesJob(parts, settings)
            for row in engine.run(rows, 1, _FramesWorker, job, cluster):
                reports[row["video"]] = row["report"]
                if row["report"].failure:
                    write_line(row["report"].failure)
                progress.update()
    whole = [video for video in new if reports[str(video)].failure is None]
    merged = merge_frames({video: parts / video.stem for video in whole}, folder, settings)
    shutil.rmtree(parts, ignore_errors=True)
    made = {report.video: report for report in merged}
    found = []
    for path in videos:
        video = path.absolute()
        before = VideoReport(path, (), known.get(path.name), finished_before=True)
        found.append(made.get(video) or reports.get(str(video), before))
    return FramesReport(tuple(found), full=False, listed=len(Manifest(folder).entries))


class _FramesWorker:
    """Extracts the pictures of a video into a folder of its own; see `engine.Worker`."""

    def __init__(self, job: _FramesJob) -> None:
        self._job = job

    def work(self, rows: list[Row]) -> list[Row]:
        return [{**row, "report": self._extract(Path(row["video"]))} for row in rows]

    def give_up(self, row: Row) -> Row:
        reason = f"{row['video']}: {GIVE_UP_REASON}"
        return {**row, "report": VideoReport(Path(row["video"]), (), None, failure=reason)}

    def _extract(self, video: Path) -> Any:
        try:
            part = self._job.folder / video.stem
            return extract_frames([video], part, self._job.settings).videos[0]
        except (OSError, ValueError) as error:
            return VideoReport(video, (), None, failure=error_line(error))
