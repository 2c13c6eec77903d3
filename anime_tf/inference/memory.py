"""Free memory, and the memory that inference takes."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

from anime_tf.io.arrays import read_member
from anime_tf.io.native_stderr import import_tensorflow

MAX_BYTES_PER_PIXEL = 3000  # more than every network takes
BFLOAT16_SHARE = 0.65  # memory that networks take in bfloat16, as a share of float32
USABLE_SHARE = 0.7  # share of the free memory that a picture may take


def fits_into_memory(pixels: int, path: Path, precision: str) -> bool:
    """Tell whether a network in an archive can stylize that many pixels in the free memory."""
    free = free_memory()
    if free is None or pixels * MAX_BYTES_PER_PIXEL <= USABLE_SHARE * free:
        return True  # without importing the networks, which OpenVINO does not need
    return pixels * bytes_per_pixel(path, precision) <= USABLE_SHARE * free


def bytes_per_pixel(path: Path, precision: str) -> float:
    """Return the approximate memory that a network takes per pixel of a picture."""
    # Keras imports it otherwise, with messages that another thread takes for those of a decoder.
    import_tensorflow()
    from anime_tf.models.generator import Generator
    from anime_tf.models.registry import GENERATORS

    try:
        with zipfile.ZipFile(path) as archive:
            name = json.loads(read_member(archive, "config.json")).get("class_name")
    except Exception:
        name = None  # opening the archive reports what is wrong with it
    kinds = {kind.__name__: kind for kind in GENERATORS.values()}
    needed = kinds.get(name, Generator).BYTES_PER_PIXEL
    return needed * (BFLOAT16_SHARE if precision == "bfloat16" else 1.0)


def free_memory() -> int | None:
    """Return the bytes that this process can take without swapping; None if unknown."""
    found = [*_available(Path("/proc/meminfo")), *_left_of_cgroup(Path("/sys/fs/cgroup"))]
    return min(found, default=None)


def _available(meminfo: Path) -> Iterator[int]:
    try:
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                yield int(line.split()[1]) * 1024
    except (OSError, ValueError, IndexError):
        return  # not Linux


def _left_of_cgroup(root: Path) -> Iterator[int]:
    """Bytes left to a container, by control groups of version 2 or 1."""
    for limit, used, facts in (
        ("memory.max", "memory.current", "memory.stat"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes", "memory/memory.stat"),
    ):
        try:
            most, taken = int((root / limit).read_text()), int((root / used).read_text())
            lines = dict(line.split() for line in (root / facts).read_text().splitlines())
        except (OSError, ValueError):
            continue  # no limit, or "max"
        # Cached files count as used, but are dropped when memory is needed.
        yield max(most - taken + int(lines.get("inactive_file", 0)), 0)
