"""Trains a style; `python train.py --help` shows an example and every flag."""

import sys

from anime_tf import cli
from anime_tf.train import COMMAND

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
