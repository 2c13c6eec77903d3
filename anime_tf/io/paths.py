"""Expansion of globs, and checks of file names."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

_WILDCARD = re.compile(r"[*?[]")


def has_wildcard(text: str) -> bool:
    """Tell whether a text is a glob."""
    return _WILDCARD.search(text) is not None


def glob_root(text: str) -> Path:
    """Return the folder of a glob before its first wildcard."""
    return Path(os.path.dirname(_WILDCARD.split(text, maxsplit=1)[0]))


def expand_glob(text: str) -> list[Path]:
    """List the paths that match a glob, sorted; ``**`` matches any depth."""
    return [Path(name) for name in sorted(set(glob.glob(text, recursive=True)))]


def check_unique_stems(paths: Iterable[Path]) -> None:
    """Check that no two files have one name but for suffix and folder.

    Raises:
        ValueError: Two share a stem.
    """
    stems: dict[str, Path] = {}
    for path in paths:
        first = stems.setdefault(path.stem, path)
        if first is not path:
            raise ValueError(
                f"{path}: expected distinct names, got that of {first}; rename one of them, or use "
                "separate output folders"
            )
