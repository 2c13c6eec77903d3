"""The files of the page, found once: a request chooses among these and reaches no others."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGED = Path(__file__).parent / "dist"
"""Where the page lies in an installed package."""

BUILT = Path(__file__).parents[2] / "deploy" / "web" / "dist"
"""Where it lies in a checkout, once it is built."""

HOW_TO_BUILD = "To build it, in a checkout: make page (needs Node.js)"

STATIC_ONLY = ("models", "runtime")
"""Folders of the page with what runs networks in the browser, where there is no server."""

# What Python's table may not know, or takes from the system's.
_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".txt": "text/plain",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}


@dataclass(frozen=True)
class PageFile:
    """A file of the page.

    Attributes:
        path: Where it lies.
        content_type: What browsers are told that it is.
        lasting: Whether its name changes with its content, so that browsers may keep it.
    """

    path: Path
    content_type: str
    lasting: bool


def find_page(folders: Sequence[Path] = (BUILT, PACKAGED)) -> dict[str, PageFile]:
    """Finds the page.

    Args:
        folders: Where to look; the first one that holds an ``index.html`` is taken.

    Returns:
        Path of a URL ("/", "/assets/page-1a2b.js") -> file; empty where there is no page.
    """
    for folder in folders:
        if (folder / "index.html").is_file():
            return _files(folder)
    return {}


def _files(folder: Path) -> dict[str, PageFile]:
    found = {}
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or path.is_symlink():
            continue
        inside = path.relative_to(folder)
        if inside.parts[0] in STATIC_ONLY:
            continue
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        file = PageFile(path, kind or "application/octet-stream", inside.parts[0] == "assets")
        found[f"/{inside.as_posix()}"] = file
    found["/"] = found["/index.html"]
    return found
