"""Styles that come with the package."""

from __future__ import annotations

import difflib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path

STYLES_DIR = Path(__file__).parent / "weights"
"""Folder of the archives, package data."""

LICENSE_URLS = {"Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0"}
"""Name of a license -> address of its text."""


@dataclass(frozen=True)
class BuiltinStyle:
    """A style that comes with the package.

    Attributes:
        file: Name of its archive in `STYLES_DIR`.
        sha256: Digest of that file in hexadecimal.
        description: Its look, in one line.
        license: License of the weights.
        training_data: Training data in one line.
        recipe: Document about the training.
    """

    file: str
    sha256: str
    description: str
    license: str
    training_data: str
    recipe: str


BUILTIN: dict[str, BuiltinStyle] = {
    "cel": BuiltinStyle(
        file="cel.keras",
        sha256="24cd66b9a5e05b2257a706222d05315e8b76aa994e0f7e8da64577b88578f396",
        description="flat, fresh colors, dark outlines where outlines belong, as on painted cels",
        license="Apache-2.0",
        training_data="photos in the public domain, listed in docs/cel.md of anime_tf, and what "
        "the painter of anime_tf makes of them",
        recipe="docs/cel.md",
    ),
}
"""Name -> style. A new style is a file in `STYLES_DIR` and an entry here."""


def weights_path(name_or_path: str | os.PathLike[str]) -> Path:
    """Return the path of weights that exist.

    Args:
        name_or_path: Name of a built-in style, or a path; ``./NAME`` is a file that has the name
            of a style.

    Raises:
        FileNotFoundError: Neither a built-in style nor a path, or the style's file is missing.
        ValueError: The style's file is damaged.
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
            "use a .keras file of your own"
        )
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    if digest != style.sha256:
        raise ValueError(
            f"{path}: expected the built-in style {name} with sha256 {style.sha256}, got {digest}; "
            "the file is damaged: install anime_tf again"
        )
    return path
