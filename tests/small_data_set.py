"""A tiny data set, and settings for trainings of seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from anime_tf.io.pictures import write_picture

# The generator with the fewest variables, whose graph is built soonest.
QUICK = {"model": "whitebox"}

SETTINGS = {
    **QUICK,
    "style": "Dots",
    "generator_width": 2,
    "discriminator_width": 4,
    "discriminator_depth": 2,
    "image_size": 32,
    "batch_size": 1,
    "epochs": 2,
    "init_epochs": 1,
    "perceptual_weights": "random",
    "samples": 1,
}


# Settings of a trainer without a data set.
SMALL_NETWORKS = {
    "generator_width": 2,
    "discriminator_width": 8,
    "discriminator_depth": 2,
    "image_size": 32,
    "batch_size": 2,
}

NO_VGG = {"content_weight": 0.0, "style_weight": 0.0}  # the graph is built sooner without


def make_data_set(folder: Path, *, photos: int = 5, styles: int = 3) -> Path:
    random = np.random.default_rng(0)
    for place, count in {"train_photo": photos, "Dots/style": styles, "val": 1}.items():
        (folder / place).mkdir(parents=True)
        for i in range(count):
            picture = random.integers(0, 256, (40, 48, 3), np.uint8)
            write_picture(folder / place / f"{i}.png", picture)
    return folder
