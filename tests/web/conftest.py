"""A small network with random weights, a server with it, and the page in a browser."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from web_files import write_page, write_weights

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="session")
def weights(tmp_path_factory) -> Path:
    return write_weights(tmp_path_factory.mktemp("weights") / "small.keras")


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """(48, 64, 3) uint8, smooth and in color."""
    y, x = np.mgrid[:48, :64]
    waves = [np.sin(x * a + y * b) for a, b in ((0.1, 0.2), (0.3, 0.05), (0.02, 0.1))]
    return np.rint(np.stack(waves, -1) * 100 + 120).astype(np.uint8)


@pytest.fixture(scope="session")
def page_folder(tmp_path_factory) -> Path:
    return write_page(tmp_path_factory.mktemp("page"))


@pytest.fixture(scope="session")
def server(weights, page_folder, tmp_path_factory):
    """A server of small limits: 4 pictures at once, 200 kB each; clips of 20 seconds."""
    pytest.importorskip("aiohttp", reason="aiohttp (the extra web) is not installed")
    from web_server import WebServer

    from anime_tf.web.config import Limits
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


# --- the page in a browser --------------------------------------------------------------------

OFFLINE = ("ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH")
"""What npm says where it reaches no registry."""

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome")

CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--use-fake-device-for-media-stream",
    "--use-fake-ui-for-media-stream",
)


@pytest.fixture(scope="session")
def built_page(tmp_path_factory) -> Path:
    """deploy/web built from its sources, once for all processes of a run; without its models."""
    if shutil.which("npm") is None:
        pytest.skip("npm is not installed, which builds the page")
    fcntl = pytest.importorskip("fcntl", reason="folders cannot be locked here")
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    source = shared / "checkout" / "deploy" / "web"
    with (shared / "page.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "page.built").exists():
            left_out = shutil.ignore_patterns("node_modules", "dist", "models")
            shutil.copytree(ROOT / "deploy" / "web", source, ignore=left_out)
            shutil.copytree(ROOT / "samples", shared / "checkout" / "samples")
            for command in ("npm ci --no-audit --no-fund --prefer-offline", "npm run build"):
                done = subprocess.run(
                    command.split(), cwd=source, capture_output=True, text=True, check=False
                )
                said = f"{command}\n{done.stdout}\n{done.stderr}"
                if done.returncode and any(code in said for code in OFFLINE):
                    pytest.skip("npm reaches no registry, and the page cannot be built")
                assert done.returncode == 0, said
            (shared / "page.built").touch()
    return source / "dist"


@pytest.fixture(scope="module")
def chromium():
    """A headless Chromium, driven by playwright."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    path = next(filter(None, map(shutil.which, CHROMIUM_NAMES)), None)
    if path is None:
        pytest.skip(f"no Chromium is installed ({', '.join(CHROMIUM_NAMES)})")
    # For a module at a time: in the meantime no other event loop can run on this thread.
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*CHROMIUM_FLAGS])
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """An empty page of 1280 x 800; errors on it, and what its policy forbids, fail the test."""
    context = chromium.new_context(viewport={"width": 1280, "height": 800})
    context.set_default_timeout(60_000)
    page = context.new_page()
    wrong: list[str] = []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on(
        "console",
        lambda said: wrong.append(said.text) if "Content Security Policy" in said.text else None,
    )
    yield page
    context.close()
    assert wrong == []
