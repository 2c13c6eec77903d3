"""A video in segments on a cluster equals that of one process.

ANIME_TF_BULK_FRAMES=2000 runs the large version.
"""

from __future__ import annotations

import os
from fractions import Fraction

import av
import numpy as np
import pytest
from small_videos import read, write_video
from video_scenes import scene

pytest.importorskip("ray", reason="Ray (the extra cluster) is not installed")

from anime_tf.bulk import storage
from anime_tf.bulk.config import BulkConfig, ClusterConfig
from anime_tf.bulk.job import run_job
from anime_tf.bulk.manifest import FAILED, Manifest
from anime_tf.bulk.pictures import PictureJob
from anime_tf.bulk.videos import VideoJob, _Scanner
from anime_tf.faces.config import FaceConfig
from anime_tf.inference.config import InferConfig, StylizerConfig
from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.io.video.span import Span
from anime_tf.video.config import StabilizerConfig, VideoConfig
from anime_tf.video.stylize import stylize_video

COUNT = int(os.environ.get("ANIME_TF_BULK_FRAMES", "64"))
SHOT = 9  # frames


def clip(path, tick=Fraction(1, 90)):
    """Write shots with a moving pattern and a tone, at times that are not evenly spaced."""
    frames = [np.roll(scene(i // SHOT, 32, 48), i % SHOT, axis=1) for i in range(COUNT)]
    times = list(np.cumsum([3 + i % 2 for i in range(COUNT)]))
    times = [int(time - times[0]) for time in times]
    write_video(path, frames, times=times, time_base=tick, audio="aac", options={"bf": "2"})


def packets(path):
    """Times and durations of all packets in order of time, and the content of those of audio."""
    with av.open(str(path)) as container:
        return sorted(
            (p.stream.type, p.pts, p.duration, bytes(p) if p.stream.type == "audio" else b"")
            for p in container.demux()
            if p.size
        )


def test_segments_make_the_video_of_one_process(s3, nodes, exports, tmp_path):
    source = tmp_path / "clip.mp4"
    clip(source)
    storage.upload(source, f"{s3}/videos/clip.mp4")
    (tmp_path / "broken.mp4").write_bytes(source.read_bytes()[:300])
    storage.upload(tmp_path / "broken.mp4", f"{s3}/videos/broken.mp4")
    weights = exports["animegan_v3"].archive
    stylizer = StylizerConfig(weights=weights, engine="keras")
    lossless, stabilizer = VideoEncoding(crf=0), StabilizerConfig()
    expected = tmp_path / "expected.mp4"
    stylize_video(
        VideoConfig(str(source), str(expected)),
        stylizer,
        stabilizer,
        FaceConfig(),
        lossless,
        Span(),
    )
    output = f"{s3}/anime"
    config = BulkConfig(f"{s3}/videos", output, segment_frames=SHOT + 1)

    def run():
        return run_job(
            config,
            ClusterConfig(address=nodes.address, workers=2),
            InferConfig("", ""),
            stylizer,
            FaceConfig(),
            stabilizer,
            lossless,
            VideoDecoding(),
        )

    report = run()
    assert report.done == 1
    (failure,) = report.failures
    assert "broken.mp4" in failure
    assert Manifest(output).read()["clip.mp4"]["frames"] == COUNT
    left = [name for name in storage.list_files(output) if "segments" in name]
    assert not left
    with storage.local_copy(f"{output}/clip.mp4") as made:
        one, other = read(made), read(expected)
        assert packets(made) == packets(expected)
        assert (one.seconds, one.metadata) == (other.seconds, other.metadata)
        assert len(one.frames) == len(other.frames) == COUNT
        for number, (frame, same) in enumerate(zip(one.frames, other.frames, strict=True)):
            np.testing.assert_array_equal(frame, same, err_msg=f"frame {number}")
    again = run()
    assert (again.skipped, again.done, len(again.failures)) == (1, 0, 1)


def test_a_named_pipe_among_videos_is_a_failure(tmp_path):
    pipe = tmp_path / "pipe.mp4"
    os.mkfifo(pipe)
    pictures = PictureJob(
        "", "", InferConfig(str(tmp_path)), StylizerConfig(), FaceConfig(), None, 1
    )
    job = VideoJob(pictures, StabilizerConfig(), VideoEncoding(), VideoDecoding(), 100)
    row = {"input": str(pipe), "output": "pipe.mp4", "previous": ""}
    (failed,) = _Scanner(job).work([row])
    assert (failed["status"], failed["kind"]) == (FAILED, "picture")
    assert failed["reason"] == f"{pipe}: expected a video, got a named pipe"
