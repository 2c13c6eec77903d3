"""Small weights, a small built page, and waiting on a page, for tests of the web server."""

from __future__ import annotations

import time
from pathlib import Path


def write_weights(path: Path) -> Path:
    """Save a small network with random weights."""
    import keras

    from anime_tf.models.archive import save_generator
    from anime_tf.models.registry import GENERATORS

    keras.utils.set_random_seed(5)
    save_generator(GENERATORS["whitebox"](width=4), path)  # the fewest layers
    return path


def write_page(folder: Path) -> Path:
    """Write the files of a built page, and a file outside it that must stay private."""
    (folder / "assets").mkdir(parents=True)
    (folder / "index.html").write_text("<!doctype html><title>anime</title>\n")
    (folder / "assets" / "page-1a2b.js").write_text("export {}\n")
    (folder / "assets" / "run-3c4d.wasm").write_bytes(b"\0asm")
    (folder / "models").mkdir()
    (folder / "models" / "cel.tflite").write_bytes(b"for the static page")
    (folder.parent / "secret.txt").write_text("secret")
    return folder


def wait_until(page, expression: str, seconds: float = 30) -> None:
    """Wait for an expression on a page; playwright's own function breaks the page's policy."""
    end = time.monotonic() + seconds
    while not page.evaluate(expression):
        assert time.monotonic() < end, expression
        page.wait_for_timeout(50)
