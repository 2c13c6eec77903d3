"""Train a style: `python train.py` is the same as `anime-tf train`."""

import sys

from anime_tf.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))
