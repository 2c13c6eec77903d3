"""Stylize a video: `python video.py` is the same as `anime-tf video`."""

import sys

from anime_tf.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["video", *sys.argv[1:]]))
