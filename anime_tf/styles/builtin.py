"""Styles that come with the package."""

from __future__ import annotations

import hashlib
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
        model: Its network, a key of `models.registry.GENERATORS`.
        file: Name of its archive in `STYLES_DIR`.
        sha256: Digest of that file in hexadecimal.
        description: Its look, in one line.
        license: License of the weights.
        training_data: Training data in one line.
        recipe: Document about the training.
    """

    model: str
    file: str
    sha256: str
    description: str
    license: str
    training_data: str
    recipe: str


_LIVE_DATA = (
    "346 photos, CC0 or public domain, listed in recipes/photos.json of anime_tf, and what the "
    "painter of anime_tf makes of them"
)

BUILTIN: dict[str, BuiltinStyle] = {
    "cel": BuiltinStyle(
        model="animegan_v2_light",
        file="cel.keras",
        sha256="24cd66b9a5e05b2257a706222d05315e8b76aa994e0f7e8da64577b88578f396",
        description="flat, fresh colors, dark outlines where outlines belong, as on painted cels",
        license="Apache-2.0",
        training_data="photos in the public domain, listed in docs/cel.md of anime_tf, and what "
        "the painter of anime_tf makes of them",
        recipe="docs/cel.md",
    ),
    "gouache_live": BuiltinStyle(
        model="live",
        file="gouache_live.keras",
        sha256="cb0a6e2ddcbbe79b9fb5f05ed04f1cceab872414816be8522050c38016343c32",
        description="painted backgrounds: clear colors, broad flat strokes, soft borders; fast",
        license="Apache-2.0",
        training_data=_LIVE_DATA,
        recipe="docs/live.md",
    ),
    "cel_live": BuiltinStyle(
        model="live",
        file="cel_live.keras",
        sha256="7e7a59d24008b7dae6d18db034577abaf9353dca269ad73d0e3633c7abebf89c",
        description="as gouache_live, with ink lines and tones in steps; fast",
        license="Apache-2.0",
        training_data=_LIVE_DATA,
        recipe="docs/live.md",
    ),
}
"""Name -> style. A new style is a file in `STYLES_DIR` and an entry here."""


def builtin_file(name: str) -> Path:
    """Return the archive of a built-in style; raises an error if it is missing or damaged."""
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
