import os
import subprocess
import sys
import types

import pytest
from full_disk import file_size_limit

from anime_tf.io.locks import locked, locked_output

HOLD = """
import sys, pathlib
from anime_tf.io.locks import locked
with locked(pathlib.Path(sys.argv[1]), "out"):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_a_lock_dies_with_its_owner(tmp_path):
    lock = tmp_path / "a.lock"
    command = [sys.executable, "-c", HOLD, str(lock)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen(command, **pipes) as owner:
        assert owner.stdout.readline() == b"held\n"
        with pytest.raises(BlockingIOError, match=f"out: process {owner.pid} writes here; wait"):
            locked(lock, "out").__enter__()
        owner.kill()
        owner.wait()
    with locked(lock, "out"):
        assert lock.read_text() == f"{os.getpid()}\n"
    assert not lock.exists()


def test_the_way_of_windows(tmp_path, monkeypatch):
    """With a stand-in for msvcrt, which only Windows has."""
    fcntl = pytest.importorskip("fcntl", reason="the stand-in needs it")

    def locking(descriptor, mode, count):
        assert (mode, count) == (2, 1)
        assert os.lseek(descriptor, 0, os.SEEK_CUR) > 100  # not on the content
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise PermissionError(13, "Permission denied") from None  # as Windows says

    monkeypatch.setitem(sys.modules, "fcntl", None)
    monkeypatch.setitem(sys.modules, "msvcrt", types.SimpleNamespace(LK_NBLCK=2, locking=locking))
    lock = tmp_path / "a.lock"
    with locked(lock, "out", "trains"):
        assert lock.read_text() == f"{os.getpid()}\n"
        with pytest.raises(BlockingIOError, match=f"out: process {os.getpid()} trains here"):
            locked(lock, "out", "trains").__enter__()
    assert not lock.exists()


def test_an_output_has_one_lock_by_any_of_its_names(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        locked_output(tmp_path / "a.mp4"),
        pytest.raises(BlockingIOError, match=f"^a.mp4: process {os.getpid()} writes here"),
    ):
        locked_output("a.mp4").__enter__()
    with locked_output("a.mp4"):
        pass


def test_a_full_disk_is_no_reason_to_refuse(tmp_path):
    with file_size_limit(0), locked(tmp_path / "a.lock", "out"):
        held = (tmp_path / "a.lock").exists()
    assert held
