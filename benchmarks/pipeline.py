"""Speed of the training pipeline, and generated data sets."""

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
from benchmarks.timing import Candidate

PHASE_STREAMS = {"init": ("photo",), "gan": ("photo", "anime", "smooth")}
"""Phase of training -> streams of the pipeline that each of its steps consumes."""

GENERATED_PICTURES = 16
"""Number of generated photos, and of generated style pictures."""


def pipeline_candidates(
    sources: dict[str, TrainingPictures], phases: Sequence[str], *, steps: int
) -> list[Candidate]:
    """Make candidates for the pipeline alone, with the streams of each phase.

    Starting the pipeline counts, and every round reads other steps. Files are in the system's cache
    after the first round: this measures decoding, not the disk.

    Args:
        sources: Fit -> pictures.
        phases: Keys of `PHASE_STREAMS`.
        steps: Batches per round.

    Returns:
        A candidate for each phase and fit.
    """
    import tensorflow as tf

    def make_run(source: TrainingPictures, streams: Sequence[str]) -> Callable[[int], float]:
        def run(number: int) -> float:
            dataset = source.batches(number * steps, steps, streams)
            start = time.perf_counter()
            try:
                for _ in dataset:
                    pass
            except tf.errors.OpError as error:
                raise ValueError(f"the pipeline failed: {error.message}") from error
            return (time.perf_counter() - start) / steps

        return run

    return [
        Candidate("pipeline", {"phase": phase, "fit": fit}, make_run(source, PHASE_STREAMS[phase]))
        for phase in phases
        for fit, source in sources.items()
    ]


def generate_photo(random: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Generate noise of all scales, with amplitudes such that it compresses like a photo.

    Args:
        random: Source of the noise.
        size_hw: Height and width, pixels.

    Returns:
        (height, width, 3) uint8.
    """
    height, width = size_hw
    total = np.zeros((height, width, 3), np.float32)
    scale = 1
    while scale <= max(size_hw):
        coarse = random.standard_normal((-(-height // scale) + 1, -(-width // scale) + 1, 3))
        # 8 bits suffice: JPEG removes smaller differences anyway.
        levels = np.clip(128 + 40 * coarse, 0, 255).astype(np.uint8)
        total += scale**0.5 * (resize(levels, size_hw).astype(np.float32) - 128)
        scale *= 2
    return np.clip(128 + total * (50 / total.std()), 0, 255).astype(np.uint8)


def generate_dataset(
    folder: Path, *, side: int, image_size: int, count: int = GENERATED_PICTURES
) -> dict[str, DatasetFolders]:
    """Write JPEG photos, style pictures and their smooth halves.

    Args:
        folder: Output folder.
        side: Longer side of the pictures, pixels; they are 4:3.
        image_size: Training size.
        count: Number of photos, and of style pictures.

    Returns:
        Fit -> pictures. The fits share all but the smooth half, which has the training size for
        "resize" and full size for "crop".
    """
    random = np.random.default_rng(0)
    for name in ("train_photo", "style"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            photo = generate_photo(random, (max(1, side * 3 // 4), side))
            write_picture(folder / name / f"{i:03d}.jpg", photo)
    photos, styles = (find_pictures(folder / name) for name in ("train_photo", "style"))
    sets = {}
    for fit, size_hw in {"resize": (image_size, image_size), "crop": None}.items():
        smooth_folder(folder / "style", folder / f"smooth_{fit}", size_hw)
        smooths = find_pictures(folder / f"smooth_{fit}")
        sets[fit] = DatasetFolders(tuple(photos), tuple(styles), tuple(smooths), (), None)
    return sets
