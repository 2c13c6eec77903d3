"""Messages for users made from the errors of other packages."""

from __future__ import annotations

import contextlib
import importlib
import os
import re
import shlex
import subprocess
from collections.abc import Iterator, Sequence
from typing import Any

# Control characters, separators of lines, directions of text, and bytes of names that are no text.
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str) -> str:
    """Return a text in one line, escaped so that a file's name or content cannot forge output."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def counted(number: int, noun: str) -> str:
    """Return a number with a noun, which gets a plural's s unless it is one."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def command_line(words: Sequence[str], *, windows: bool = os.name == "nt") -> str:
    """Return a command to copy into a shell, quoted for a POSIX shell or the Command Prompt."""
    return subprocess.list2cmdline(words) if windows else shlex.join(words)


class ReportError(ValueError):
    """An error of several lines; what they quote of files is `printable`."""


def first_line(error: BaseException) -> str:
    """Return the first line of an error's message, or else the name of its class."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def tensorflow_reason(error: BaseException) -> str:
    """Return why TensorFlow failed to write a file, without the names of its temporary files.

    Its message is "{{function_node NAME}} FILE; No space left on device [Op:SaveV2]".
    """
    return first_line(error).rpartition("; ")[2].partition(" [Op:")[0]


def keras_download_reason(error: BaseException) -> str:
    """Return why Keras failed to download a file, as ``ADDRESS: reason``.

    Its message is "URL fetch failure on ADDRESS: None -- [Errno -2] Name or service not known".
    """
    line = first_line(error)
    found = re.fullmatch(r"URL fetch failure on (\S+): .* -- (?:\[Errno -?\d+\] )?(.+)", line)
    return f"{found[1]}: {found[2].lower()}" if found else line


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


@contextlib.contextmanager
def reading(path: str | os.PathLike[str], expected: str, remedy: str = "") -> Iterator[None]:
    """Turn any error of reading a foreign file into a ValueError in one line with its path.

    Libraries raise anything on a damaged file. An error that names the path stays as it is; a
    ValueError that begins with "expected" is about the content.

    Args:
        path: The file.
        expected: What it should be, after "expected".
        remedy: End of the message.
    """
    name = os.fspath(path)
    try:
        yield
    except Exception as error:
        reason = first_line(error)
        if isinstance(error, (ValueError, OSError)) and name in str(error):
            raise
        if not (isinstance(error, ValueError) and reason.startswith("expected ")):
            kind = "" if isinstance(error, (ValueError, OSError)) else f"{type(error).__name__}: "
            reason = f"expected {expected}, got another or a damaged file ({kind}{reason})"
        raise ValueError(f"{name}: {reason}{remedy}") from error
