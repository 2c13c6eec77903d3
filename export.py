"""Export a style: `python export.py` is the same as `anime-tf export`."""

import sys

from anime_tf.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))
