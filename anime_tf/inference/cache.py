"""What is remembered from one start to the next: entries in a folder of the user's.

Nothing depends on it: an entry that is not there, damaged or made by something else is made anew,
and a folder that cannot be written is no error.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
import sys
from pathlib import Path
from typing import Any

from absl import logging

from anime_tf import __version__
from anime_tf.io.atomic import write_bytes

FOLDER_VARIABLE = "ANIME_TF_CACHE"
"""Environment variable that names another folder; empty where nothing is to be remembered."""

MOST_BYTES = 1 << 30
"""Of all entries together; beyond it those go that were not used for longest."""

_DIGITS = 64  # of a SHA-256 in hexadecimal, the first line of an entry
_PACKAGES = ("tensorflow", "keras", "openvino", "onnxruntime")
_CODE = ("models", "inference")  # folders of this package whose code is in what is remembered


def folder() -> Path | None:
    """Where entries are; None where nothing is remembered. The folder may not exist yet."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named) if named else None
    try:
        home = Path.home()
    except RuntimeError:  # no home
        return None
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "anime_tf"


def entry(kind: str, *facts: Any) -> str:
    """The name of the entry that all of `facts` decide, beside the package, which always does.

    Args:
        kind: What it holds, in a word.
        facts: Anything that JSON can hold.
    """
    text = json.dumps([__version__, _code(), *facts], sort_keys=True)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def recall(name: str) -> bytes | None:
    """What an entry holds; None where there is none that is whole."""
    base = folder()
    if base is None:
        return None
    path = base / name
    try:
        content = path.read_bytes()
    except OSError:
        return None
    digest, _, data = content.partition(b"\n")
    if digest != _digest(data):
        logging.debug("%s is damaged; it is made anew", path)
        return None
    with contextlib.suppress(OSError):  # of a folder that can only be read
        os.utime(path)  # used now
    return data


def remember(name: str, data: bytes) -> None:
    """Keeps an entry, whole or not at all; those that are too old for the folder's size go."""
    base = folder()
    if base is None:
        return
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_bytes(base / name, _digest(data) + b"\n" + data)
        _drop_oldest(base)
    except OSError as error:
        logging.debug("nothing is remembered: %s", error)


def recall_json(name: str) -> Any:
    """What an entry of `remember_json` holds; None where there is none."""
    data = recall(name)
    try:
        return None if data is None else json.loads(data)
    except ValueError:
        return None


def remember_json(name: str, content: Any) -> None:
    """Keeps what JSON can hold."""
    remember(name, json.dumps(content, indent=1).encode())


def digest_of(path: Path) -> str:
    """SHA-256 of a file, or of all files in a folder, in hexadecimal."""
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        with file.open("rb") as stream:
            while block := stream.read(1 << 20):
                digest.update(block)
    return digest.hexdigest()


def versions() -> dict[str, str]:
    """Name -> version of the packages that run networks; empty where one is not installed."""
    return {name: version(name) for name in _PACKAGES}


@functools.cache
def version(package: str) -> str:
    """The version of a package, empty where it is not installed; found without importing it."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def machine() -> dict[str, Any]:
    """What the speed of a network on a CPU depends on."""
    return {"cpu": cpu_facts()[0], "cores": cores(), "system": platform.system()}


def cores() -> int:
    """How many cores this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@functools.cache
def cpu_facts() -> tuple[str, frozenset[str]]:
    """The name of the CPU, and what Linux says that it can do; empty on other systems."""
    name, features = "", frozenset[str]()
    try:
        with open("/proc/cpuinfo", encoding="utf-8", errors="replace") as file:
            for line in file:
                key, _, value = (part.strip() for part in line.partition(":"))
                if key == "model name":
                    name = name or value
                elif key in ("flags", "Features"):
                    features = features or frozenset(value.split())
                if name and features:
                    break
    except OSError:
        pass
    return name or platform.processor() or platform.machine(), features


def _digest(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


@functools.cache
def _code() -> str:
    """Of the code that makes networks, for a checkout changes more often than its version."""
    digest = hashlib.sha256()
    for name in _CODE:
        for file in sorted((Path(__file__).parents[1] / name).glob("*.py")):
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _drop_oldest(base: Path) -> None:
    found = []
    for path in base.iterdir():
        try:
            status = path.stat()
        except OSError:  # another process has dropped it
            continue
        found.append((status.st_mtime, status.st_size, path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > MOST_BYTES:
            path.unlink(missing_ok=True)
