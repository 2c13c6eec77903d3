"""Globs, checks of file names, and the cache folder."""

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
    """List the paths that match a glob, sorted; ``**`` matches any depth.

    FileNotFoundError if there are none.
    """
    found = sorted(set(glob.glob(text, recursive=True)))
    if not found:
        remedy = ""
        if text[0] == "'" or text[-1] == "'":  # the Command Prompt of Windows passes them on
            remedy = "; use double quotes instead of single quotes"
        raise FileNotFoundError(f"{text}: no file or folder matches this pattern{remedy}")
    return [Path(name) for name in found]


def cache_folder() -> Path:
    """Return the user's cache folder of this package, which may not exist yet."""
    import platformdirs  # not for start-ups that only write files

    return platformdirs.user_cache_path("anime_tf", appauthor=False, opinion=False)


def check_writable(folder: Path) -> None:
    """Raise NotADirectoryError or PermissionError if files cannot be written to a folder.

    It need not exist yet.
    """
    existing = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"{folder}: expected a folder, got the file {existing}")
    if not os.access(existing, os.W_OK | os.X_OK):
        raise PermissionError(f"{folder}: expected a writable folder; choose another --output")


def check_unique_stems(paths: Iterable[Path]) -> None:
    """Raise ValueError if two files have one name but for suffix and folder."""
    stems: dict[str, Path] = {}
    for path in paths:
        first = stems.setdefault(path.stem, path)
        if first is not path:
            raise ValueError(
                f"{path}: expected distinct names, got that of {first}; rename one of them, or use "
                "separate output folders"
            )
