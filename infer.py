"""Stylises pictures: ``python infer.py --input=photos --output=anime``."""

import sys

from anime_tf import cli
from anime_tf.infer import COMMAND

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
