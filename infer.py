"""Stylize pictures: `python infer.py` is the same as `anime-tf infer`."""

import sys

from anime_tf.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["infer", *sys.argv[1:]]))
