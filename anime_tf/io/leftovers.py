"""Names of temporary files and folders, and removal of those that killed processes left.

A name tells the process that it belongs to: ``.NAME.MACHINE-PROCESS-RANDOM.tmp``, in hexadecimal.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import secrets
import shutil
import threading
import time
from pathlib import Path

OLD = ".old"  # suffix of what is being replaced, which is put back if nothing replaced it
MAX_NAME = 180  # bytes of NAME; file systems allow 255 for all

_PATTERN = re.compile(r"\.(.+)\.([0-9a-f]{6})-([0-9a-f]+)-[0-9a-f]{8}((?:\.\w+)+)", re.DOTALL)
_FOREIGN_SECONDS = 86400.0  # age at which another machine's files, or those before a reboot, go

_swept: set[Path] = set()
_lock = threading.Lock()


def temporary_name(name: str, suffix: str) -> str:
    """Return a hidden name for a temporary file or folder that becomes `name`."""
    short = os.fsencode(name)[:MAX_NAME].decode("utf-8", "ignore")
    return f".{short}.{_machine()}-{os.getpid():x}-{secrets.token_hex(4)}{suffix}"


def sweep_once(folder: Path) -> None:
    """Remove the leftovers of a folder at the first call for it; errors are ignored."""
    with _lock, contextlib.suppress(OSError):
        if folder not in _swept:
            _swept.add(folder)
            for path in find_leftovers(folder):
                with contextlib.suppress(OSError):
                    remove_leftover(path)


def find_leftovers(folder: Path) -> list[Path]:
    """List the temporary files and folders of processes that no longer run, sorted."""
    return sorted(Path(entry.path) for entry in os.scandir(folder) if _is_left(entry))


def remove_leftover(path: Path) -> str:
    """Remove a leftover, or put it back; return "removed", "restored" or, if unsure, "left"."""
    found = _PATTERN.fullmatch(path.name)
    target = path.with_name(found[1]) if found else path
    if found and found[4] == OLD and not os.path.lexists(target):
        # Its process was killed between moving the old export away and putting the new one there.
        if len(os.fsencode(found[1])) > MAX_NAME - 4:  # it may be shortened
            return "left"
        os.rename(path, target)
        return "restored"
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink()
    return "removed"


def _is_left(entry: os.DirEntry[str]) -> bool:
    found = _PATTERN.fullmatch(entry.name)
    if found is None:
        return False
    if found[2] != _machine():
        return time.time() - entry.stat(follow_symlinks=False).st_mtime > _FOREIGN_SECONDS
    return not _is_running(int(found[3], 16))


def _is_running(process: int) -> bool:
    if os.name == "nt":  # os.kill would end it
        return True
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


@functools.cache
def _machine() -> str:
    """Return a digest of machine, start and container, which number processes."""
    facts = [platform.node()]
    for read in (
        lambda: Path("/proc/sys/kernel/random/boot_id").read_text(),
        lambda: os.readlink("/proc/self/ns/pid"),
    ):
        with contextlib.suppress(OSError):
            facts.append(read())
    return hashlib.sha256("\0".join(facts).encode()).hexdigest()[:6]
