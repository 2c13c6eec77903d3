"""Styles of the server: built-in and cached ones, and weights by path."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from anime_tf.styles.registry import list_styles, style_of, weights_path

UNKNOWN_LICENSE = "unknown: ask the author of these weights"

ARCHIVE_ENGINES = ("auto", "keras", "openvino")
"""Engines that run ``.keras`` archives, the format of all styles by name."""


@dataclasses.dataclass(frozen=True)
class Style:
    """A style that the server offers.

    Attributes:
        name: Unique name in requests; letters, digits, and ``._-``.
        title: Title on the page.
        license: License of its weights.
        license_url: Text of the license; None if unknown.
        path: Its weights.
        lazy: Whether it is loaded on first use; a cached style.
        settings: Recommended settings: flag -> value.
    """

    name: str
    title: str
    license: str
    license_url: str | None
    path: Path
    lazy: bool = False
    settings: Mapping[str, Any] = dataclasses.field(default_factory=dict)


def find_styles(weights: Sequence[str]) -> list[Style]:
    """Return the styles of some weights, and all built-in and cached styles.

    Args:
        weights: Names of styles, or paths; the first one is the default.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: The file of a style was changed.
    """
    here = [style.name for style in list_styles() if style.state != "available"]
    styles: dict[str, Style] = {}
    for given in [*weights, *here]:
        path = weights_path(given)
        known = style_of(given)
        if known is not None and path == known.path:
            style = Style(
                known.name,
                known.title,
                known.license.name,
                known.license.url or None,
                path,
                lazy=given not in weights and known.state == "cached",
                settings=known.settings,
            )
        else:
            title = path.absolute().stem
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", title).strip("-.") or "style"
            style = Style(name, title, UNKNOWN_LICENSE, None, path)
        if any(os.path.samefile(style.path, other.path) for other in styles.values()):
            continue
        name, number = style.name, 2
        while name in styles or (name in here and known is None):
            name, number = f"{style.name}-{number}", number + 1
        styles[name] = dataclasses.replace(style, name=name)
    return list(styles.values())


def engine_for(style: Style, engine: str) -> str:
    """Return the given engine, or "auto" if it cannot run a built-in or cached style."""
    if engine in ARCHIVE_ENGINES or style_of(style.path) is None:
        return engine
    return "auto"
