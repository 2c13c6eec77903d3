"""Free memory, and the memory that networks take."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile

import pytest

from anime_tf.inference import memory
from anime_tf.models.registry import GENERATORS


def test_free_memory(tmp_path):
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemAvailable:   1234 kB\n")
    assert list(memory._available(tmp_path / "meminfo")) == [1234 * 1024]
    assert list(memory._available(tmp_path / "none")) == []
    for name, text in (("max", "max"), ("current", "600"), ("stat", "anon 1\ninactive_file 50\n")):
        (tmp_path / f"memory.{name}").write_text(text)
    assert list(memory._left_of_cgroup(tmp_path)) == [], "no limit"
    (tmp_path / "memory.max").write_text("1000\n")
    assert list(memory._left_of_cgroup(tmp_path)) == [450]


def test_bytes_per_pixel(archive, tmp_path):
    assert memory.bytes_per_pixel(archive, "float32") == 850
    assert memory.bytes_per_pixel(archive, "bfloat16") == pytest.approx(552.5)
    path = tmp_path / "x.keras"
    path.write_bytes(b"none")
    assert memory.bytes_per_pixel(path, "float32") == 850
    with zipfile.ZipFile(path, "w") as archive_file:
        archive_file.writestr("config.json", '{"class_name": "AnimeGANv1Generator"}')
    assert memory.bytes_per_pixel(path, "float32") == 2800
    assert max(kind.BYTES_PER_PIXEL for kind in GENERATORS.values()) < memory.MAX_BYTES_PER_PIXEL


def test_networks_are_imported_without_messages_of_tensorflow(archive):
    code = (
        "import pathlib, sys; from anime_tf.inference.memory import bytes_per_pixel; "
        "assert 'keras' not in sys.modules; bytes_per_pixel(pathlib.Path(sys.argv[1]), 'float32')"
    )
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(
        [sys.executable, "-c", code, archive],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert done.stderr == ""


def test_fits_into_memory(archive, monkeypatch):
    needed = 1000 * 850
    for free, fits in ((None, True), (needed, False), (2 * needed, True), (10 * needed, True)):
        monkeypatch.setattr(memory, "free_memory", lambda free=free: free)
        assert memory.fits_into_memory(1000, archive, "float32") == fits
