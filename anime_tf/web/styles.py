"""Styles of the server: the built-in ones, and weights by path."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

from anime_tf.styles.builtin import BUILTIN, LICENSE_URLS, weights_path

UNKNOWN_LICENSE = "unknown: ask the author of these weights"

ARCHIVE_ENGINES = ("auto", "keras", "openvino")
"""Engines that run ``.keras`` archives, the format of all built-in styles."""


@dataclasses.dataclass(frozen=True)
class Style:
    """A style that the server offers.

    Attributes:
        name: Unique name in requests; letters, digits, and ``._-``.
        title: Title on the page.
        license: License of its weights.
        license_url: Text of the license; None if unknown.
        path: Its weights.
    """

    name: str
    title: str
    license: str
    license_url: str | None
    path: Path


def find_styles(weights: Sequence[str]) -> list[Style]:
    """Return the styles of some weights, and all built-in styles.

    Args:
        weights: Names of built-in styles, or paths; the first one is the default.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: The file of a built-in style was changed.
    """
    styles: dict[str, Style] = {}
    for given in [*weights, *BUILTIN]:
        path = weights_path(given)
        if given in BUILTIN:
            builtin = BUILTIN[given]
            title = f"{given}: {builtin.description}"
            url = LICENSE_URLS.get(builtin.license)
            style = Style(given, title, builtin.license, url, path)
        else:
            title = path.absolute().stem
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-.") or "style"
            style = Style(name, title, UNKNOWN_LICENSE, None, path)
        if any(os.path.samefile(style.path, other.path) for other in styles.values()):
            continue
        name, number = style.name, 2
        while name in styles or (name in BUILTIN and given not in BUILTIN):
            name, number = f"{style.name}-{number}", number + 1
        styles[name] = dataclasses.replace(style, name=name)
    return list(styles.values())


def engine_for(style: Style, engine: str) -> str:
    """Return the given engine, or "auto" if it cannot run a built-in style."""
    is_builtin = any(style.path == weights_path(name) for name in BUILTIN)
    return "auto" if is_builtin and engine not in ARCHIVE_ENGINES else engine
