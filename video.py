"""Stylises a film: ``python video.py --input=holiday.mp4 --output=anime.mp4``."""

import sys

from anime_tf import cli
from anime_tf.video.__main__ import COMMAND

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
