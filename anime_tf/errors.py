"""Messages for users made from the errors of other packages."""

from __future__ import annotations

import importlib
import os
from typing import Any


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or else the name of its class."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def error_line(error: BaseException) -> str:
    """Return an error's message for a user: an OSError of the system as ``PATH: reason``."""
    if isinstance(error, OSError) and error.strerror:
        reason = error.strerror[0].lower() + error.strerror[1:]
        return reason if error.filename is None else f"{os.fsdecode(error.filename)}: {reason}"
    return str(error) or type(error).__name__


def import_optional(module: str, need: str, requirement: str) -> Any:
    """Import a module that only some uses of this package need.

    Args:
        module: Its name.
        need: Beginning of the error's sentence, such as "TFLite models need LiteRT".
        requirement: Name of the distribution for pip.

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
    runtime: str, name: str | os.PathLike[str], shape: tuple[int, ...], error: BaseException
) -> ValueError:
    """Make a ValueError of a runtime's error.

    Args:
        runtime: Name of the runtime.
        name: Name of the network in messages, usually its file.
        shape: Shape of the pictures, (n, height, width, 3).
        error: The runtime's error.
    """
    n, height, width = shape[:3]
    return ValueError(
        f"{os.fspath(name)}: {runtime} cannot run {n} x {width}x{height} pixels "
        f"({first_line(error)})"
    )
