"""The styles that the server offers: those that come with the package, and weights by path."""

from __future__ import annotations

import dataclasses
import os
import re
from collections.abc import Sequence
from pathlib import Path

from anime_tf.styles.builtin import BUILTIN, LICENSE_URLS, weights_path

UNKNOWN_LICENSE = "unknown: ask whoever made these weights"

ARCHIVE_ENGINES = ("auto", "keras", "openvino")
"""The engines that open a ``.keras`` archive, as which all built-in styles come."""


@dataclasses.dataclass(frozen=True)
class Style:
    """A style that is offered.

    Attributes:
        name: What the page asks for it by; letters, digits, and ``._-``.
        title: What people read.
        license: Of its weights.
        license_url: Where that license's text is; None where it is not known.
        path: Of its weights.
    """

    name: str
    title: str
    license: str
    license_url: str | None
    path: Path


def find_styles(weights: Sequence[str]) -> list[Style]:
    """Finds the styles to offer: the weights that were named, and every built-in style.

    Args:
        weights: Names of built-in styles, or paths; the first one is the default.

    Returns:
        The styles, no two of one name, the default first.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: The file of a built-in style is not the one that was shipped.
    """
    styles: dict[str, Style] = {}
    for given in [*weights, *BUILTIN]:
        path = weights_path(given)
        if given in BUILTIN:
            built_in = BUILTIN[given]
            style = Style(
                given,
                f"{given}: {built_in.description}",
                built_in.license,
                LICENSE_URLS.get(built_in.license),
                path,
            )
        else:
            name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.absolute().stem).strip("-.") or "style"
            style = Style(name, path.absolute().stem, UNKNOWN_LICENSE, None, path)
        if any(os.path.samefile(style.path, other.path) for other in styles.values()):
            continue
        name, number = style.name, 2
        while name in styles or (name in BUILTIN and given not in BUILTIN):
            name, number = f"{style.name}-{number}", number + 1
        styles[name] = dataclasses.replace(style, name=name)
    return list(styles.values())


def engine_for(style: Style, engine: str) -> str:
    """The engine that opens a style: the one asked for, where it opens weights of such a kind."""
    built_in = any(style.path == weights_path(name) for name in BUILTIN)
    return "auto" if built_in and engine not in ARCHIVE_ENGINES else engine
