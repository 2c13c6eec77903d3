"""The verb ``clean``: removes temporary files that killed commands left."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from anime_tf.cli import app
from anime_tf.cli.flags import make_config
from anime_tf.config import Config, setting
from anime_tf.errors import printable
from anime_tf.io.leftovers import find_leftovers, remove_leftover

if TYPE_CHECKING:
    from absl import flags


@dataclass(frozen=True)
class CleanConfig(Config):
    """Settings of the verb ``clean``.

    Attributes:
        folder: Folder to search with its subfolders; the system's temporary folder is searched
            besides, without them.
        list_only: Name the files without removing them.
    """

    folder: str = setting(".")
    list_only: bool = setting(False)


def main(values: flags.FlagValues) -> int:
    """Name and remove leftovers; return the exit code."""
    config = make_config(values, CleanConfig)
    if not os.path.isdir(config.folder):
        raise NotADirectoryError(f"{config.folder}: expected a folder to search")
    failed = False
    for folder in [Path(tempfile.gettempdir()), *_folders(Path(config.folder))]:
        for path in find_leftovers(folder):
            try:
                outcome = "left" if config.list_only else remove_leftover(path)
                print(printable(f"{path}: {outcome}"))
            except OSError as error:
                app.complain(f"{path}: cannot be removed ({error.strerror})")
                failed = True
    return app.EXIT_SOME_FAILED if failed else app.EXIT_DONE


def _folders(root: Path) -> list[Path]:
    """List a folder and its subfolders without hidden ones."""
    found = []
    for parent, folders, _ in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found.append(Path(parent))
    return found


COMMAND = app.Command(
    name="clean",
    summary="Remove temporary files that killed commands left; files of running ones stay.",
    example="results\n. --list_only",
    configs=(CleanConfig,),
    main=main,
    positional=("folder",),
)
