"""Folders that are made once for all processes of a test run."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest


def make_once(
    tmp_path_factory: pytest.TempPathFactory, name: str, make: Callable[[Path], None]
) -> Path:
    """Returns the folder `name`, which the first process that asks for it makes.

    Args:
        tmp_path_factory: pytest's own.
        name: of the folder, unique in the test run.
        make: fills the empty folder that it is given.
    """
    root = tmp_path_factory.getbasetemp()
    try:
        import fcntl
    except ImportError:  # Windows: each process makes its own
        fcntl = None
    if fcntl and "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent
    folder, done = root / name, root / f"{name}.done"
    with (root / f"{name}.lock").open("w") as lock:
        if fcntl:
            fcntl.flock(lock, fcntl.LOCK_EX)
        if not done.exists():
            folder.mkdir()
            make(folder)
            done.touch()
    return folder
