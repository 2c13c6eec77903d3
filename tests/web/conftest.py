"""A small network with random weights, and a server with it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    import keras

    from anime_tf.models.archive import save_generator
    from anime_tf.models.registry import GENERATORS

    keras.utils.set_random_seed(5)
    path = tmp_path_factory.mktemp("weights") / "small.keras"
    save_generator(GENERATORS["animegan_v2"](width=4), path)
    return path


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """(48, 64, 3) uint8, smooth and in colour."""
    y, x = np.mgrid[:48, :64]
    waves = [np.sin(x * a + y * b) for a, b in ((0.1, 0.2), (0.3, 0.05), (0.02, 0.1))]
    return np.rint(np.stack(waves, -1) * 100 + 120).astype(np.uint8)


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory) -> Path:
    """What a built page looks like, in little."""
    folder = tmp_path_factory.mktemp("page")
    (folder / "assets").mkdir()
    (folder / "index.html").write_text("<!doctype html><title>anime</title>\n")
    (folder / "assets" / "page-1a2b.js").write_text("export {}\n")
    (folder / "assets" / "run-3c4d.wasm").write_bytes(b"\0asm")
    (folder / "models").mkdir()
    (folder / "models" / "cel.tflite").write_bytes(b"for the static form")
    (folder.parent / "secret.txt").write_text("secret")
    return folder


@pytest.fixture(scope="session")
def server(weights, page_folder, tmp_path_factory):
    """A server of small limits: 4 pictures at once, 200 kB each; clips of 20 seconds."""
    pytest.importorskip("aiohttp", reason="aiohttp (the extra web) is not installed")
    from web_server import WebServer

    from anime_tf.web.limits import Limits
    from anime_tf.web.page import find_page

    limits = Limits(
        picture_bytes=200_000,
        pixels=1_000_000,
        queue=4,
        queue_bytes=600_000,
        clip_bytes=400_000,
        clip_pixels=100_000,
        clip_seconds=20.0,
        clips=3,
        idle_seconds=0.5,
    )
    folder = tmp_path_factory.mktemp("private")
    with WebServer(weights, limits, find_page([page_folder]), folder) as running:
        yield running
    assert list(folder.iterdir()) == [], "the private folder is gone"
