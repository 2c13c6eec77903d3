"""The styles: `list`, `show`, `get`, `add` and `remove`.

Example:
    for style in styles.list():
        print(style.name, style.state, style.license.name)
    styles.get("hayao", accept={"hayao"})
    anime = Stylizer("hayao")(photo)
"""

from __future__ import annotations

import os
from collections.abc import Callable, Collection
from pathlib import Path

from anime_tf.styles.registry import Style, add_styles, find_style, list_styles, remove_style

__all__ = ["Style", "add", "get", "list", "remove", "show"]

list = list_styles
show = find_style
add = add_styles
remove = remove_style


def get(
    name: str,
    *,
    accept: Callable[[Style], bool] | Collection[str] = (),
    source: str | None = None,
    registry_file: str | os.PathLike[str] | None = None,
) -> Path:
    """Download a style; see `fetch.fetch_style`, which loads the libraries for it."""
    from anime_tf.styles.fetch import fetch_style

    return fetch_style(name, accept=accept, source=source, registry_file=registry_file)
