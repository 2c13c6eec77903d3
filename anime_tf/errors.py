"""What other packages' errors become: one line, and the remedy where one is not installed."""

from __future__ import annotations

import importlib
import os
from typing import Any


def first_line(error: BaseException) -> str:
    """The first line of an error's message, which may go on for pages; else the error's name."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def import_optional(module: str, need: str, requirement: str) -> Any:
    """A module that only some uses of this package need.

    Args:
        module: Its name.
        need: What needs what, as the beginning of a sentence.
        requirement: What pip installs it by.

    Returns:
        The module.

    Raises:
        ValueError: It is not installed, or cannot be imported.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise ValueError(
            f"{need}, which cannot be imported ({first_line(error)}); pip install {requirement}"
        ) from error


def cannot_run(
    runtime: str, named: str | os.PathLike[str], shape: tuple[int, ...], error: BaseException
) -> ValueError:
    """What a runtime's error becomes.

    Args:
        runtime: Name of the runtime.
        named: The network's file, or what else messages call it.
        shape: Of the pictures, (n, height, width, 3).
        error: Its error.

    Returns:
        To be raised.
    """
    n, height, width = shape[:3]
    return ValueError(
        f"{os.fspath(named)}: {runtime} cannot run {n} x {width}x{height} pixels "
        f"({first_line(error)})"
    )
