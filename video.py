"""Stylises a film: ``python video.py --input=holiday.mp4 --output=anime.mp4``."""

import sys

from anime_tf.cli import app
from anime_tf.cli.video import COMMAND

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
