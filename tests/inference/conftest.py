"""A small generator that is quick to run: the real layers at an eighth of the published width."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest

from anime_tf.models.archive import save_generator
from anime_tf.models.registry import GENERATORS


@pytest.fixture(scope="session")
def generator():
    keras.utils.set_random_seed(7)
    return GENERATORS["animegan_v2"](width=4)


@pytest.fixture(scope="session")
def archive(generator, tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "small.keras"
    save_generator(generator, path)
    return path


@pytest.fixture(scope="session")
def photo():
    """Make a smooth, photo-like uint8 picture of a size, with three different channels."""

    def make(height: int, width: int, channels: int = 3, seed: int = 0) -> np.ndarray:
        random = np.random.default_rng(seed)
        y, x = np.mgrid[:height, :width]
        waves = [np.sin(x * a + y * b + c) for a, b, c in random.uniform(0.02, 0.3, (channels, 3))]
        return np.rint(np.stack(waves, -1) * 100 + 120).astype(np.uint8)

    return make
