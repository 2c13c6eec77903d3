"""Cache of compiled networks and measurements in a folder of the user.

A missing, damaged or outdated entry is made again, and a folder that is not writable is no error.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import platform
from pathlib import Path
from typing import Any

from absl import logging

from anime_tf import __version__
from anime_tf.inference import cpu
from anime_tf.io.atomic import write_bytes
from anime_tf.io.paths import cache_folder
from anime_tf.io.plain_file import open_plain_file

# environment variable that names another folder; empty disables the cache
FOLDER_VARIABLE = "ANIME_TF_CACHE"

MAX_BYTES = 1 << 30  # size of all entries, above which the least recently used are deleted
_PACKAGES = ("tensorflow", "keras", "openvino", "onnxruntime")
_CODE = ("models", "inference")  # folders of this package that cached networks depend on


def folder() -> Path | None:
    """Return the folder, which may not exist yet; None if the cache is disabled."""
    named = os.environ.get(FOLDER_VARIABLE)
    if named is not None:
        return Path(named) if named else None
    return cache_folder()


def make_key(kind: str, *facts: Any) -> str:
    """Make the key of an entry that depends on facts, JSON values, and on this package's code."""
    text = json.dumps([__version__, _code_digest(), *facts], sort_keys=True)
    return f"{kind}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"


def load(key: str) -> bytes | None:
    """Load an entry; None if it is missing or damaged."""
    base = folder()
    if base is None:
        return None
    path = base / key
    try:
        content = path.read_bytes()
    except OSError:
        return None
    checksum, _, data = content.partition(b"\n")
    if checksum != _checksum(data):
        logging.debug("%s: damaged cache entry; making it again", path)
        return None
    with contextlib.suppress(OSError):  # a read-only folder
        os.utime(path)  # mark as recently used
    return data


def store(key: str, data: bytes) -> None:
    """Store an entry atomically and delete the least recently used beyond `MAX_BYTES`."""
    base = folder()
    if base is None:
        return
    try:
        base.mkdir(mode=0o700, parents=True, exist_ok=True)
        # The checksum detects what a power loss damages.
        write_bytes(base / key, _checksum(data) + b"\n" + data, durable=False)
        _delete_oldest(base)
    except OSError as error:
        logging.debug("nothing is cached: %s", error)


def load_json(key: str) -> Any:
    """Load an entry of `store_json`; None if it is missing or damaged."""
    data = load(key)
    try:
        return None if data is None else json.loads(data)
    except (ValueError, RecursionError):
        return None


def store_json(key: str, content: Any) -> None:
    """Store what JSON can hold."""
    store(key, json.dumps(content, indent=1).encode())


def digest(path: Path, expected: str = "weights") -> str:
    """Return the SHA-256 of a file, or of all files in a folder, in hexadecimal.

    `expected` names the contents in errors.
    """
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    sha = hashlib.sha256()
    for file in files:
        with open_plain_file(file, expected) as stream:
            while block := stream.read(1 << 20):
                sha.update(block)
    return sha.hexdigest()


def versions() -> dict[str, str]:
    """Return the versions of the packages that run networks; empty if not installed."""
    return {name: version(name) for name in _PACKAGES}


@functools.cache
def version(package: str) -> str:
    """Return the version of a package without importing it; empty if it is not installed."""
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return ""


def machine() -> dict[str, Any]:
    """Return the facts that the speed of a network on a CPU depends on."""
    return {"cpu": cpu.cpu_name(), "cores": cpu.core_count(), "system": platform.system()}


def _checksum(data: bytes) -> bytes:
    return hashlib.sha256(data).hexdigest().encode()


@functools.cache
def _code_digest() -> str:
    """Digest of the code that makes networks: a checkout changes more often than its version."""
    sha = hashlib.sha256()
    for name in _CODE:
        for file in sorted((Path(__file__).parents[1] / name).rglob("*.py")):
            sha.update(file.read_bytes())
    return sha.hexdigest()


def _delete_oldest(base: Path) -> None:
    found = []
    for path in base.iterdir():
        try:
            status = path.stat()
        except OSError:  # deleted by another process
            continue
        found.append((status.st_mtime, status.st_size, path))
    total = 0
    for _, size, path in sorted(found, reverse=True):
        total += size
        if total > MAX_BYTES:
            path.unlink(missing_ok=True)
