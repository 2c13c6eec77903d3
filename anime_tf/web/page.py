"""Files of the built page, listed once: no part of a request becomes a path."""

from __future__ import annotations

import mimetypes
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

PACKAGED = Path(__file__).parent / "dist"  # folder of the page in an installed package
BUILT = Path(__file__).parents[2] / "deploy" / "web" / "dist"  # folder of the page in a checkout

HOW_TO_BUILD = (
    "to build it (needs Node.js), run `npm ci` and `npm run build` in the folder deploy/web of a "
    "checkout, then start the server with --page=deploy/web/dist"
)

STATIC_ONLY = ("models", "runtime")
"""Folders for inference in the browser, which the server does not need."""

# Missing in Python's table, or overridden by the system's.
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
        path: Path on disk.
        content_type: MIME type.
        immutable: Whether its name contains a hash of its content.
    """

    path: Path
    content_type: str
    immutable: bool


def find_page(folders: Sequence[Path] = (BUILT, PACKAGED)) -> dict[str, PageFile]:
    """Return the files of the first folder with an ``index.html``; empty if there is none.

    The keys are paths of URLs ("/", "/assets/page-1a2b.js").
    """
    for folder in folders:
        if (folder / "index.html").is_file():
            return _list_files(folder)
    return {}


def _list_files(folder: Path) -> dict[str, PageFile]:
    files = {}
    for path in sorted(folder.rglob("*")):
        relative = path.relative_to(folder)
        if not path.is_file() or path.is_symlink() or relative.parts[0] in STATIC_ONLY:
            continue
        kind = _TYPES.get(path.suffix) or mimetypes.guess_type(path.name)[0]
        is_asset = relative.parts[0] == "assets"
        files[f"/{relative.as_posix()}"] = PageFile(
            path, kind or "application/octet-stream", is_asset
        )
    files["/"] = files["/index.html"]
    return files
