"""Speed of stylizing videos, compared with the network alone on the same frames."""

from __future__ import annotations

import os
import time
from fractions import Fraction
from pathlib import Path

from anime_tf.inference.stylizer import Stylizer
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.video.pipeline import frame_by_frame, stylize_frames
from benchmarks.timing import Candidate


def video_candidates(
    video: str | os.PathLike[str], weights: str, frames: int, folder: Path
) -> list[Candidate]:
    """Make candidates for the network alone, and from file to file.

    Each frame is stylized independently, as with ``--stabilize=off``, in its own size.

    Args:
        video: The video file.
        weights: As of `Stylizer`.
        frames: Number of frames from the first on, or all if it has fewer; kept in memory.
        folder: Folder for the result, which each round overwrites.
    """
    stylizer = Stylizer(weights)
    with VideoFileReader(video) as reader:
        end = Fraction(2 * frames - 1, 2) / reader.rate
    with VideoFileReader(video, end=end) as reader:
        decoded = [frame.rgb_u8 for frame in reader.frames()]

    def run_network(_number: int) -> float:
        start = time.perf_counter()
        for rgb_u8 in decoded:
            stylizer(rgb_u8)
        return (time.perf_counter() - start) / len(decoded)

    def run_pipeline(_number: int) -> float:
        start = time.perf_counter()
        with VideoFileReader(video, audio=True, end=end) as reader:
            report = stylize_frames(reader, folder / "stylized.mp4", frame_by_frame(stylizer))
        return (time.perf_counter() - start) / report.frames

    return [
        Candidate("video", {"task": "network alone"}, run_network),
        Candidate("video", {"task": "video to video"}, run_pipeline),
    ]
