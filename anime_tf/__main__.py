"""Entry point of ``anime-tf``, ``python -m anime_tf`` and the scripts of the repository."""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; a missing package becomes one line with the remedy."""
    try:
        from anime_tf.cli.app import main as run

        return run(argv)
    except ModuleNotFoundError as error:
        if (error.name or "anime_tf").split(".")[0] == "anime_tf":
            raise
        print(
            f"anime-tf: the package {error.name} is not installed; run `make demo` once and use "
            "`.venv/bin/python`, or run `pip install -r requirements.txt`",
            file=sys.stderr,
        )
        return 2


if __name__ == "__main__":
    sys.exit(main())
