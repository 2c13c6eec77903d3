"""The verb ``styles``: lists, shows, downloads, adds and removes styles."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import make_config
from anime_tf.errors import error_line, printable
from anime_tf.io.tables import format_table
from anime_tf.styles.config import AddConfig, GetConfig, ListConfig, NamesConfig, RegistryConfig
from anime_tf.styles.registry import (
    Style,
    add_styles,
    explain_styles,
    find_style,
    format_size,
    list_styles,
    remove_style,
)


def list_(values: flags.FlagValues) -> None:
    """Print all styles."""
    config, state = make_config(values, RegistryConfig), make_config(values, ListConfig).state
    styles = [one for one in list_styles(config.registry) if state in (None, one.state)]
    if config.json:
        _print_json([_as_json(style) for style in styles])
        return
    header = ("name", "state", "size", "network", "license", "good for")
    rows = [
        (s.name, s.state, format_size(s.size), s.model, s.license.name, s.good_for) for s in styles
    ]
    _print_lines(format_table(header, rows, left_columns=len(header)))
    logging.info("anime-tf styles show NAME shows a card, styles get NAME downloads")


def show(values: flags.FlagValues) -> None:
    """Print the cards of styles."""
    config = make_config(values, RegistryConfig)
    styles = [find_style(name, config.registry) for name in make_config(values, NamesConfig).name]
    if config.json:
        _print_json([_as_json(style) for style in styles])
    else:
        _print_lines(explain_styles(styles))


def get(values: flags.FlagValues) -> int:
    """Download styles; return the exit code."""
    common, config = make_config(values, RegistryConfig), make_config(values, GetConfig)
    from anime_tf.styles.fetch import fetch_style

    accept: Any = set(config.accept_license)
    if not accept and sys.stdin.isatty() and sys.stderr.isatty():
        accept = _ask
    one = partial(fetch_style, accept=accept, source=config.source, registry_file=common.registry)
    return _for_each(values, one, "%s: %s")


def remove(values: flags.FlagValues) -> int:
    """Remove styles; return the exit code."""
    return _for_each(values, remove_style, "%s: removed %s")


def add(values: flags.FlagValues) -> None:
    """Add entries to the user's registry."""
    for style in add_styles(make_config(values, AddConfig).file):
        logging.info("%s: added; download it by anime-tf styles get %s", style.name, style.name)


def _for_each(values: flags.FlagValues, work: Callable[[str], object], message: str) -> int:
    names = make_config(values, NamesConfig).name
    done = {}
    for name in names:
        try:
            done[name] = str(work(name))
            logging.info(message, name, done[name])
        except (ValueError, OSError) as error:
            app.complain(error_line(error))
    if make_config(values, RegistryConfig).json:
        _print_json(done)
    return app.exit_code(len(names) - len(done), len(names))


def _ask(style: Style) -> bool:
    license = style.license
    lines = (f"{style.name}: {license.name}", license.text, license.url)
    _print_lines("\n".join(filter(None, lines)), sys.stderr)
    print("Accept this license? [y/N] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")


def _print_lines(text: str, file: TextIO | None = None) -> None:
    """Print text that a registry may have written: its control characters are escaped."""
    print("\n".join(map(printable, text.split("\n"))), file=file)


def _as_json(style: Style) -> dict[str, Any]:
    return style.as_dict() | {"state": style.state, "size": style.size, "url": style.url}


def _print_json(value: object) -> None:
    print(json.dumps(value, indent=2, ensure_ascii=False))


COMMAND = app.Group(
    name="styles",
    summary="List, show, download, add and remove styles.",
    commands=(
        app.Command(
            name="list",
            summary="List all styles, and which are here.",
            example="\n--state=cached --json",
            configs=(ListConfig, RegistryConfig),
            main=list_,
        ),
        app.Command(
            name="show",
            summary="Show authors, source, license, training data and settings of styles.",
            example="hayao",
            configs=(NamesConfig, RegistryConfig),
            main=show,
            positional=("name",),
        ),
        app.Command(
            name="get",
            summary="Download, verify and convert published styles.",
            example="cartoongan-shinkai\nhayao paprika --accept_license=hayao",
            configs=(NamesConfig, GetConfig, RegistryConfig),
            main=get,
            positional=("name",),
        ),
        app.Command(
            name="add",
            summary="Add entries of a JSON file to the styles.",
            example="mine.json",
            configs=(AddConfig, RegistryConfig),
            main=add,
            positional=("file",),
        ),
        app.Command(
            name="remove",
            summary="Remove downloaded styles, or entries that were added.",
            example="hayao",
            configs=(NamesConfig, RegistryConfig),
            main=remove,
            positional=("name",),
        ),
    ),
)
