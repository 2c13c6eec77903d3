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


_DATA = (
    "346 photos, CC0 or public domain, listed in recipes/photos.json of anime_tf, and their "
    "paintings by the painter of anime_tf; see docs/builtin_styles.md"
)


def _style(name: str, model: str, sha256: str, description: str) -> BuiltinStyle:
    recipe = "docs/builtin_styles.md"
    return BuiltinStyle(model, f"{name}.keras", sha256, description, "Apache-2.0", _DATA, recipe)


BUILTIN: dict[str, BuiltinStyle] = {
    "cel": _style(
        "cel",
        "live_large",
        "019876141840bc0d60f5dee0bfd7d132a17d5ee7f99961123320e2e2ac6320dd",
        "clear colors, broad flat strokes, ink lines and tones in steps",
    ),
    "gouache": _style(
        "gouache",
        "live_large",
        "b50bbb285978e92e97e5bbd2e268a1327300edee72189479285a70c0aaf73f46",
        "painted backgrounds: clear colors, broad flat strokes, soft borders",
    ),
    "cel_live": _style(
        "cel_live",
        "live",
        "7e7a59d24008b7dae6d18db034577abaf9353dca269ad73d0e3633c7abebf89c",
        "as cel; fast enough for a camera",
    ),
    "gouache_live": _style(
        "gouache_live",
        "live",
        "cb0a6e2ddcbbe79b9fb5f05ed04f1cceab872414816be8522050c38016343c32",
        "as gouache; fast enough for a camera",
    ),
    "manga": _style(
        "manga",
        "live",
        "7e2885971b08efe96c63b20b410bf8146dd0e44c2a9835b6e4bdf38e1d430487",
        "ink lines and four grays, as manga; --screentone prints them in dots",
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
