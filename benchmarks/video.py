"""How fast films are stylised, against the network alone on the same decoded frames."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

from anime_tf.inference.stylizer import Stylizer
from anime_tf.io.video.readers.video_file import VideoFileReader
from anime_tf.video.pipeline import frame_by_frame, stylize_frames


def speed_runs(
    film: str | os.PathLike[str], weights: str, frames: int, folder: Path
) -> dict[str, Callable[[int], float]]:
    """What is timed in turns: the network alone, and from file to file.

    Each frame is drawn by itself, as with ``--stabilize=off``, in its own size.

    Args:
        film: Any film.
        weights: As of `Stylizer`.
        frames: How many of its frames are taken, from the first on; fewer if it has fewer. They
            are held in memory.
        folder: Where results go, one over the other.

    Returns:
        Name -> what does the work of a turn, given its number, and returns seconds a frame.
    """
    stylizer = Stylizer(weights)
    with VideoFileReader(film) as reader:
        end = Fraction(2 * frames - 1, 2) / reader.rate
    with VideoFileReader(film, end=end) as reader:
        decoded = [frame.rgb_u8 for frame in reader.frames()]

    def network(turn: int) -> float:
        begun_at = time.perf_counter()
        for rgb_u8 in decoded:
            stylizer(rgb_u8)
        return (time.perf_counter() - begun_at) / len(decoded)

    def whole(turn: int) -> float:
        begun_at = time.perf_counter()
        with VideoFileReader(film, audio=True, end=end) as reader:
            report = stylize_frames(reader, folder / "stylised.mp4", frame_by_frame(stylizer))
        return (time.perf_counter() - begun_at) / report.frames

    return {"network alone": network, "film to film": whole}
