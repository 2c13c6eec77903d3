"""How fast the pipeline of training delivers batches, and data sets that are made up for that."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from anime_tf.datasets.edge_smooth import smooth_folder
from anime_tf.datasets.pipeline import TrainingPictures
from anime_tf.io.folders import DatasetFolders, find_pictures
from anime_tf.io.geometry import resize
from anime_tf.io.pictures import write_picture
from benchmarks.timing import Contender

PHASE_STREAMS = {"init": ("photo",), "gan": ("photo", "anime", "smooth")}
"""Phase of training -> the streams of the pipeline that each of its steps consumes."""

MADE_UP_PICTURES = 16
"""Photos, and as many pictures of a style, that are made up where no data set is given."""


def pipeline_contenders(
    sources: dict[str, TrainingPictures], phases: Sequence[str], *, steps: int
) -> list[Contender]:
    """The pipeline alone, with the streams of each phase: batches are read and thrown away.

    The time to start it counts, and every turn reads other steps. Files that were read before come
    from the system's cache: this is the speed of decoding, not that of the disk.

    Args:
        sources: Fit -> pictures.
        phases: Keys of `PHASE_STREAMS`.
        steps: Batches a turn.

    Returns:
        Phase by phase, each with the fits in the order given.
    """
    import tensorflow as tf

    def runner(source: TrainingPictures, streams: Sequence[str]) -> Callable[[int], float]:
        def run(turn: int) -> float:
            dataset = source.batches(turn * steps, steps, streams)
            begun_at = time.perf_counter()
            try:
                for _ in dataset:
                    pass
            except tf.errors.OpError as error:
                raise ValueError(f"the pipeline failed: {error.message}") from error
            return (time.perf_counter() - begun_at) / steps

        return run

    return [
        Contender("pipeline", {"phase": phase, "fit": fit}, runner(source, PHASE_STREAMS[phase]))
        for phase in phases
        for fit, source in sources.items()
    ]


def made_up_photo(random: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Noise of all sizes, each as strong as it is large: a picture that compresses like a photo.

    Args:
        random: Where the noise comes from.
        size_hw: Height and width, pixels.

    Returns:
        (height, width, 3) uint8.
    """
    height, width = size_hw
    sums = np.zeros((height, width, 3), np.float32)
    scale = 1
    while scale <= max(size_hw):
        coarse = random.standard_normal((-(-height // scale) + 1, -(-width // scale) + 1, 3))
        # 8 bits are enough: what is rounded away here is below what JPEG keeps.
        levels = np.clip(128 + 40 * coarse, 0, 255).astype(np.uint8)
        sums += scale**0.5 * (resize(levels, size_hw).astype(np.float32) - 128)
        scale *= 2
    return np.clip(128 + sums * (50 / sums.std()), 0, 255).astype(np.uint8)


def made_up_data_set(
    folder: Path, *, side: int, image_size: int, count: int = MADE_UP_PICTURES
) -> dict[str, DatasetFolders]:
    """Writes JPEG photos, pictures of a style, and their smooth halves as training makes them.

    Args:
        folder: Where they go.
        side: Longest side of the pictures, pixels; they are 4 to 3.
        image_size: Training size.
        count: Photos, and pictures of the style.

    Returns:
        Fit -> pictures; the fits share all but the smooth half, which has the training size for
        "resize" and full size for "crop".
    """
    random = np.random.default_rng(0)
    for name in ("train_photo", "style"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            photo = made_up_photo(random, (max(1, side * 3 // 4), side))
            write_picture(folder / name / f"{i:03d}.jpg", photo)
    photos, styles = (find_pictures(folder / name) for name in ("train_photo", "style"))
    sets = {}
    for fit, size_hw in {"resize": (image_size, image_size), "crop": None}.items():
        smooth_folder(folder / "style", folder / f"smooth_{fit}", size_hw)
        smooths = find_pictures(folder / f"smooth_{fit}")
        sets[fit] = DatasetFolders(tuple(photos), tuple(styles), tuple(smooths), (), None)
    return sets
