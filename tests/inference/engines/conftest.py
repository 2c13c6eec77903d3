"""Pictures of every generator by Keras, which tests compare other engines with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from shared_folders import make_once

from anime_tf import Stylizer


@pytest.fixture(scope="session")
def keras_pictures(exports, photo, tmp_path_factory):
    """Function from a generator's name to pairs of a picture, or a batch, and its result."""
    photos = [photo(48, 64), photo(1, 1), photo(37, 22, channels=4), np.stack([photo(9, 30)] * 2)]

    def pairs(name: str) -> list[tuple[np.ndarray, np.ndarray]]:
        def make(folder: Path) -> None:
            by_keras = Stylizer(exports[name].archive)
            np.savez(folder / "anime.npz", *map(by_keras, photos))

        folder = make_once(tmp_path_factory, f"keras_pictures_{name}", make)
        with np.load(folder / "anime.npz") as anime:
            return list(zip(photos, anime.values(), strict=True))

    return pairs
