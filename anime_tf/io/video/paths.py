"""Paths of videos and of numbered pictures."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import NamedTuple

from absl import logging

from anime_tf.errors import counted
from anime_tf.io.folders import find_pictures, walk_files
from anime_tf.io.kinds import VIDEO_SUFFIXES, classify
from anime_tf.io.paths import check_unique_stems, expand_glob, has_wildcard

DEFAULT_PATTERN = "%06d.png"
"""Names of numbered pictures in a folder."""

_NUMBER = re.compile(r"%(0\d+)?d")
_DIGITS = re.compile(r"(\d+)")


class FoundVideos(NamedTuple):
    """Videos, and folders that cannot be listed -> the reason."""

    videos: list[Path]
    closed: dict[Path, str]


def find_videos(text: str) -> FoundVideos:
    """List videos, and log folders that cannot be listed.

    Args:
        text: A file, a folder (with all below it), a glob (``**`` for any depth), or several of
            these separated by commas; an existing name with a comma is taken whole.

    Returns:
        Each file once; those of folders and globs are sorted.

    Raises:
        FileNotFoundError: A part matches nothing, or is a folder without videos.
        ValueError: Nothing is named, or two videos share a stem, so that their pictures would share
            names.
    """
    whole = text.strip()
    parts = [whole] if os.path.exists(whole) else [part.strip() for part in whole.split(",")]
    found: dict[Path, Path] = {}
    closed: dict[Path, str] = {}
    for part in filter(None, parts):
        for path in _expand(part, closed):
            found.setdefault(Path(os.path.realpath(path)), path)
    if not found:
        raise ValueError("expected a video, a folder or a glob, got an empty name")
    check_unique_stems(found.values())
    return FoundVideos(list(found.values()), closed)


def _expand(part: str, closed: dict[Path, str]) -> list[Path]:
    """List the videos of a part, and add folders that cannot be listed to `closed`."""
    if os.path.lexists(part) and not os.path.isdir(part):  # opening it tells what it is
        return [Path(part)]
    if os.path.isdir(part):
        walked, unlisted = walk_files(Path(part))
        for path, reason in unlisted.items():
            logging.warning("%s: skipped, %s", path, reason)
        closed |= unlisted
        files = [path for path in walked if not path.name.startswith(".")]
        videos = [path for path in files if _looks_like_video(path)]
        if len(videos) < len(files):
            logging.info("%s: ignored %s", part, counted(len(files) - len(videos), "other file"))
        if not videos:
            raise FileNotFoundError(
                f"{part}: expected videos ({', '.join(VIDEO_SUFFIXES)}) in this folder, got none"
            )
        return videos
    if not has_wildcard(part):
        raise FileNotFoundError(
            f"{part}: no such file or folder; expected a video or a folder of videos"
        )
    videos = [path for path in expand_glob(part) if not path.is_dir()]
    if not videos:
        raise FileNotFoundError(f"{part}: expected videos, but the pattern matches only folders")
    return videos


def _looks_like_video(path: Path) -> bool:
    kind, _ = classify(path)
    return kind == "video" or (kind == "unreadable" and path.suffix.lower() in VIDEO_SUFFIXES)


def is_sequence(place: str | os.PathLike[str]) -> bool:
    """Tell whether a path means numbered pictures.

    It is a pattern (``frames/%04d.png``), ends in a slash, or is a folder without a suffix.
    """
    text = os.fspath(place)
    if _NUMBER.search(os.path.basename(text)) or text.endswith(("/", os.sep)):
        return True
    return os.path.isdir(text) and not Path(text).suffix


def sequence_folder(place: str | os.PathLike[str]) -> Path:
    """Return the folder of numbered pictures."""
    folder, name = os.path.split(os.fspath(place))
    return Path(folder or ".") if _NUMBER.search(name) else Path(place)


def sequence_pattern(place: str | os.PathLike[str]) -> str:
    """Return the pattern of the names of numbered pictures."""
    name = os.path.basename(os.fspath(place))
    return name if _NUMBER.search(name) else DEFAULT_PATTERN


def numbered_name(pattern: str, number: int) -> str:
    """Return a pattern with its number filled in."""
    return _NUMBER.sub(lambda place: place.group() % number, pattern)


def list_sequence(place: str | os.PathLike[str]) -> list[Path]:
    """List the pictures of a folder or pattern in numeric order: 2.png before 10.png."""
    folder, name = sequence_folder(place), os.path.basename(os.fspath(place))
    if not _NUMBER.search(name):
        return sorted(find_pictures(place, recursive=False), key=_natural)
    before, after = _NUMBER.split(name, maxsplit=1)[0::2]
    matching = re.compile(re.escape(before) + r"(\d+)" + re.escape(after))
    paths = folder.iterdir() if folder.is_dir() else ()
    found = [path for path in paths if matching.fullmatch(path.name)]
    if not found:
        raise FileNotFoundError(f"{place}: expected numbered pictures, got no file that matches")
    return sorted(found, key=_natural)


def _natural(path: Path) -> list[str | int]:
    return [int(part) if part.isdigit() else part for part in _DIGITS.split(path.name)]
