"""Exports a style; `python export.py --help` shows an example and every flag."""

import sys

from anime_tf import cli
from anime_tf.export.__main__ import COMMAND

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
