"""``anime-tf web`` as a process: memory and shutdown."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests
from picture_files import smooth_noise
from small_videos import moving, write_video
from web_files import write_page, write_weights

from anime_tf.io.pictures import encode_picture

pytest.importorskip("aiohttp", reason="aiohttp (the extra web) is not installed")

ROOT = Path(__file__).resolve().parents[2]

MEMORY_KEPT = 64 << 20
"""By how much memory may have grown after a hundred uploads, in bytes.

A picture of 0.3 megapixels that is worked on needs as much by itself; what stays are the pieces
that allocators keep for the next one.
"""


def run(*arguments, **options):
    command = [sys.executable, "-m", "anime_tf", "web", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def process(tmp_path):
    """The server, and its address."""
    weights = write_weights(tmp_path / "small.keras")
    page_folder = write_page(tmp_path / "page")
    (tmp_path / "private").mkdir()
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "anime_tf", "web", "--port=0", "--engine=keras"),
            *(f"--weights={weights}", f"--page={page_folder}"),
        ],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(tmp_path / "private")},
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "log").open("w"),
        text=True,
    ) as running:
        try:
            yield running, running.stdout.readline().strip()
        finally:
            running.kill()


def resident(pid: int) -> int:
    """The memory that a process holds, in bytes."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.slow
def test_a_hundred_uploads_and_an_orderly_end(process, tmp_path):
    running, address = process
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", address)
    assert "<title>anime</title>" in requests.get(address, timeout=10).text
    photo = encode_picture(smooth_noise(480, 640), ".jpg")

    def upload(_=None) -> int:
        return requests.post(f"{address}api/pictures", data=photo, timeout=60).status_code

    measured = Path(f"/proc/{running.pid}/statm").exists()
    with ThreadPoolExecutor(4) as threads:
        assert set(threads.map(upload, range(8))) == {200}
    before = resident(running.pid) if measured else 0
    with ThreadPoolExecutor(100) as threads:
        codes = list(threads.map(upload, range(100)))
    assert set(codes) <= {200, 429} and codes.count(200) >= 16
    if measured:
        # Threads let go of what they hold when they wait again.
        end = time.monotonic() + 5
        while (kept := resident(running.pid) - before) > MEMORY_KEPT and time.monotonic() < end:
            time.sleep(0.1)
        print(f"{kept / 2**20:.1f} MiB more than before, of {before / 2**20:.0f}")
        assert kept <= MEMORY_KEPT, f"{kept / 2**20:.0f} MiB more than before"

    write_video(tmp_path / "clip.mp4", moving(200, 240, 320), options={"preset": "ultrafast"})
    sent = requests.post(
        f"{address}api/clips", data=(tmp_path / "clip.mp4").read_bytes(), timeout=10
    )
    assert sent.status_code == 202
    clip = f"{address}api/clips/{sent.json()['id']}"
    while (told := requests.get(clip, timeout=10).json())["done"] == 0:
        assert told["state"] in ("waiting", "working")
        time.sleep(0.02)
    (private,) = (tmp_path / "private").glob(".anime-tf*")
    assert private.stat().st_mode & 0o777 == 0o700
    running.send_signal(signal.SIGTERM)
    assert running.wait(60) == 0
    assert not private.exists()
    log = (tmp_path / "log").read_text()
    assert "the server has stopped" in log
    assert "Traceback" not in log, log


def test_a_checkout_without_the_page_tells_what_answers(tmp_path):
    weights = write_weights(tmp_path / "small.keras")
    # A copy, because this checkout may have the page.
    ignored = shutil.ignore_patterns("dist", "__pycache__")
    shutil.copytree(ROOT / "anime_tf", tmp_path / "copy" / "anime_tf", ignore=ignored)
    with subprocess.Popen(
        [
            *(sys.executable, "-m", "anime_tf", "web", "--port=0", "--engine=keras"),
            f"--weights={weights}",
        ],
        cwd=tmp_path / "copy",
        stdout=subprocess.PIPE,
        stderr=(tmp_path / "log").open("w"),
        text=True,
    ) as running:
        try:
            address = running.stdout.readline().strip()
            missing = requests.get(address, timeout=10)
            styles = requests.get(f"{address}api/styles", timeout=10).json()
        finally:
            running.send_signal(signal.SIGTERM)
    assert missing.status_code == 404
    assert missing.text.startswith("The page is not built, only the HTTP API answers; to build it")
    assert styles["styles"][0]["name"] == "small"
    log = (tmp_path / "log").read_text()
    assert "only the HTTP API answers; to build it (needs Node.js), run `npm ci`" in log
    assert f"programs can use the HTTP API: {address}api/styles lists the styles" in log
    assert "browser" not in log


def test_wrong_inputs_are_reported_at_once(tmp_path):
    missing = run("--weights=nothing.keras")
    assert missing.returncode == 2
    assert re.fullmatch(r".*nothing.keras: no such weights.*\n", missing.stderr)
    no_page = run(f"--page={tmp_path}")
    assert no_page.returncode == 2
    assert "expected the built page" in no_page.stderr
