"""The styles that come with the package."""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

STYLES_DIR = Path(__file__).parent / "weights"
"""Where the archives of the built-in styles lie, as package data."""


@dataclass(frozen=True)
class BuiltinStyle:
    """A style that comes with the package.

    Attributes:
        file: Name of its archive in `STYLES_DIR`.
        sha256: Of that file, in hexadecimal.
        description: What it looks like, in a line.
        licence: Of the weights.
        training_data: What they were trained on, in a line.
        recipe: The document that tells how they were made.
    """

    file: str
    sha256: str
    description: str
    licence: str
    training_data: str
    recipe: str


BUILTIN: dict[str, BuiltinStyle] = {
    "cel": BuiltinStyle(
        file="cel.keras",
        sha256="24cd66b9a5e05b2257a706222d05315e8b76aa994e0f7e8da64577b88578f396",
        description="flat, fresh colours, dark outlines where outlines belong, as on painted cels",
        licence="Apache-2.0",
        training_data="photos in the public domain, listed in docs/cel.md of anime_tf, and what "
        "the painter of anime_tf makes of them",
        recipe="docs/cel.md",
    ),
}
"""Name -> style. A new style is its file in `STYLES_DIR` and an entry here."""


def weights_path(name_or_path: str | os.PathLike[str]) -> Path:
    """Finds the weights that a user means.

    Args:
        name_or_path: Name of a built-in style, or the path of a weights file. A file that is
            named like a built-in style is meant by ``./NAME``.

    Returns:
        The path of a file or folder that exists.

    Raises:
        FileNotFoundError: Neither a built-in style nor a path, or the style's file is missing.
        ValueError: The style's file is not the one that was shipped.
    """
    name = os.fspath(name_or_path)
    if name in BUILTIN:
        return _builtin_file(name)
    path = Path(name)
    if path.exists():
        return path
    near = difflib.get_close_matches(name, BUILTIN, n=1)
    raise FileNotFoundError(
        f"{name}: no such weights"
        + (f"; did you mean {near[0]}?" if near else "")
        + f"; expected a built-in style ({', '.join(BUILTIN)}) or the path of a .keras file"
    )


def _builtin_file(name: str) -> Path:
    style = BUILTIN[name]
    path = STYLES_DIR / style.file
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: the file of the built-in style {name} is missing; install anime_tf again, or "
            "give a .keras file of your own"
        )
    found = hashlib.sha256(path.read_bytes()).hexdigest()
    if found != style.sha256:
        raise ValueError(
            f"{path}: expected the built-in style {name} with sha256 {style.sha256 or '(none)'}, "
            f"found {found}; the file is damaged or was exchanged: install anime_tf again"
        )
    return path
