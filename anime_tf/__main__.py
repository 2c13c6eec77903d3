"""Entry point of ``anime-tf``, ``python -m anime_tf`` and the scripts of the repository."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; a missing package becomes one line with the remedy."""
    try:
        from anime_tf.cli.app import main as run

        return run(argv)
    except ModuleNotFoundError as error:
        if (error.name or "anime_tf").split(".")[0] == "anime_tf":
            raise
        print(f"anime-tf: {_remedy(error.name)}", file=sys.stderr)
        return 2


def _remedy(package: str | None) -> str:
    """Return a line about a missing package; where .venv exists, with the same command in it."""
    from anime_tf.errors import command_line

    text = f"the package {package} is not installed for {sys.executable}; run `make demo` once and "
    folder = "Scripts" if os.name == "nt" else "bin"
    found = sorted((Path(__file__).parents[1] / ".venv" / folder).glob("python*"))
    words = [word for word in sys.orig_argv[1:] if word != "-S"]
    command = command_line([os.path.relpath(found[0]), *words]) if found else ".venv/bin/python"
    return f"{text}use `{command}`, or run `pip install -r requirements.txt`"


if __name__ == "__main__":
    sys.exit(main())
