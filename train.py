"""Trains a style; `python train.py --help` shows an example and every flag."""

import sys

from anime_tf.cli import app
from anime_tf.cli.train import COMMAND

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
