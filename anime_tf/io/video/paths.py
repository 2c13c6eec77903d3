"""Which films a command line means."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterable
from pathlib import Path

FILM_SUFFIXES = (
    *(".3gp", ".asf", ".avi", ".flv", ".m2ts", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg"),
    *(".mts", ".ogm", ".ogv", ".ts", ".vob", ".webm", ".wmv"),
)
"""Suffixes of files in folders that are taken for films; a file named by itself may have any."""

_MAGIC = re.compile(r"[*?[]")


def find_films(text: str) -> list[Path]:
    """Lists films.

    Args:
        text: A file, a folder (with all below it), a glob (``**`` for any depth), or several of
            these with commas between; a name that has a comma itself stands alone.

    Returns:
        Each file once, those of folders and globs in the order of their names.

    Raises:
        FileNotFoundError: A part names nothing, or a folder without films.
        ValueError: Nothing is named, or two films have one name but for suffix and folder, so that
            their pictures would have one name as well.
    """
    whole = text.strip()
    parts = [whole] if os.path.exists(whole) else [p.strip() for p in whole.split(",")]
    found: dict[Path, Path] = {}
    for part in filter(None, parts):
        for path in _films_of(part):
            found.setdefault(path.resolve(), path)
    if not found:
        raise ValueError("expected a film, a folder or a glob, got an empty name")
    check_names(found.values())
    return list(found.values())


def check_names(films: Iterable[Path]) -> None:
    """Refuses films whose pictures would have one name.

    Args:
        films: The films.

    Raises:
        ValueError: Two have one stem.
    """
    stems: dict[str, Path] = {}
    for film in films:
        first = stems.setdefault(film.stem, film)
        if first is not film:
            raise ValueError(
                f"{film}: shares its name with {first}, so their pictures could not be told apart; "
                "rename one of them, or give each a folder of its own"
            )


def _films_of(part: str) -> list[Path]:
    if os.path.isfile(part):
        return [Path(part)]
    if os.path.isdir(part):
        names = sorted(
            path
            for path in Path(part).rglob("*")
            if path.suffix.lower() in FILM_SUFFIXES
            and path.is_file()
            and not any(piece.startswith(".") for piece in path.relative_to(part).parts)
        )
        if not names:
            raise FileNotFoundError(
                f"{part}: expected films ({', '.join(FILM_SUFFIXES)}) in this folder, found none"
            )
        return names
    if not _MAGIC.search(part):
        raise FileNotFoundError(f"{part}: expected a film or a folder of films, found nothing")
    matches = sorted(Path(name) for name in glob.glob(part, recursive=True))
    files = [path for path in matches if path.is_file()]
    if not files:
        raise FileNotFoundError(f"{part}: expected films, found no file that matches")
    return files
