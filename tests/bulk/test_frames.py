"""Frames of many videos on a cluster."""

from __future__ import annotations

import numpy as np
import pytest
from small_videos import write_video
from video_scenes import scene

pytest.importorskip("ray", reason="Ray (the extra cluster) is not installed")

from anime_tf.bulk.config import ClusterConfig
from anime_tf.bulk.frames import extract_frames_on_cluster
from anime_tf.datasets.extract.extractor import FrameSettings, extract_frames


def test_pictures_are_those_of_one_process_after_another(nodes, tmp_path):
    videos = []
    for number in range(3):
        videos.append(tmp_path / f"video{number}.mp4")
        shots = [scene(i) for i in (10 * number, 10 * number + 1, 7)]  # 7 is in all
        write_video(videos[-1], [np.roll(s, i, 1) for s in shots for i in range(4)])
    (tmp_path / "broken.mp4").write_bytes(b"no video")
    videos.append(tmp_path / "broken.mp4")
    settings = FrameSettings(every=2)
    expected = extract_frames(videos, tmp_path / "expected", settings)
    output = tmp_path / "output"
    cluster = ClusterConfig(address=nodes.address, workers=2)
    report = extract_frames_on_cluster(videos, output, settings, cluster)
    assert [path.name for path in report.written] == [path.name for path in expected.written]
    for path in expected.written:
        assert (output / path.name).read_bytes() == path.read_bytes()
    assert len(report.problems) == 1 and "broken.mp4" in report.problems[0]
    assert report.listed == expected.listed
    assert {path.name for path in output.iterdir() if path.name.startswith(".")} == set()
    again = extract_frames_on_cluster(videos[:3], output, settings, cluster)
    assert again.written == () and all(video.finished_before for video in again.videos)
