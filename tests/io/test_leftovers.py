"""Temporary files that killed processes left."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from anime_tf.cli.app import main
from anime_tf.io import leftovers
from anime_tf.io.atomic import atomic_folder, temporary_path, write_bytes
from anime_tf.io.leftovers import OLD, find_leftovers, remove_leftover, temporary_name

KILLED = """
import os, signal
from anime_tf.io.atomic import atomic_file, atomic_folder
with atomic_folder("export", replace=True) as folder, atomic_file("a.png") as file:
    (folder / "model").write_text("half")
    file.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def killed(tmp_path):
    """A folder in which a process was killed while it wrote a file and a folder."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    command = [sys.executable, "-c", KILLED]
    done = subprocess.run(command, cwd=tmp_path, env=environment, check=False, timeout=60)
    assert done.returncode == -9
    assert len(os.listdir(tmp_path)) == 2
    leftovers._swept.discard(tmp_path)
    return tmp_path


def test_the_next_write_removes_leftovers(killed):
    running = temporary_path(killed / "of this process")
    running.touch()
    write_bytes(killed / "b.png", b"b")
    assert sorted(os.listdir(killed)) == sorted([running.name, "b.png"])


def test_clean_names_and_removes_leftovers(killed, capsys, monkeypatch):
    (killed / ".hidden").mkdir()
    (killed / "a.partial.mp4").touch()
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(killed / ".hidden"))
    kept = [".hidden", "a.partial.mp4"]
    left = sorted(set(os.listdir(killed)) - set(kept))
    assert main(["clean", str(killed.parent), "--list_only"]) == 0
    assert capsys.readouterr().out == "".join(f"{killed / name}: left\n" for name in left)
    assert main(["clean", str(killed)]) == 0
    assert capsys.readouterr().out == "".join(f"{killed / name}: removed\n" for name in left)
    assert sorted(os.listdir(killed)) == kept
    assert main(["clean", str(killed / "none")]) == 2


def test_an_export_moved_away_is_put_back(tmp_path, monkeypatch):
    with atomic_folder(tmp_path / "export") as folder:
        (folder / "model").write_text("old")
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: 2**22 + 1)  # of no process
        away = tmp_path / temporary_name("export", OLD)
    os.rename(tmp_path / "export", away)
    assert find_leftovers(tmp_path) == [away]
    assert remove_leftover(away) == "restored"
    assert (tmp_path / "export" / "model").read_text() == "old"
    away.mkdir()
    assert remove_leftover(away) == "removed"


def test_long_names(tmp_path):
    for name in ("a" * 255, "あ" * 85, "a" + "\U0001f600" * 63, "\udcff" * 255):
        write_bytes(tmp_path / name, b"a")
    assert len(os.listdir(tmp_path)) == 4


def test_lock_files_of_other_programs_stay(tmp_path):
    """They look like any: our locks lie in the cache folder and in run directories."""
    (tmp_path / ".daemon.lock").write_text("4194305\n")
    (tmp_path / ".other.lock").write_text("of another program")
    assert find_leftovers(tmp_path) == []


def test_files_of_other_machines_stay_for_a_day(tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(leftovers, "_machine", lambda: "0" * 6)
        foreign = tmp_path / temporary_name("a.png", ".tmp")
    foreign.touch()
    assert find_leftovers(tmp_path) == []
    os.utime(foreign, (time.time() - 90_000,) * 2)
    assert find_leftovers(tmp_path) == [foreign]
    for name in (".a.png.tmp", ".git", ".a.123456789abc.tmp"):
        (tmp_path / name).touch()
    assert find_leftovers(tmp_path) == [foreign]
