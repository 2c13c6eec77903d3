"""Stylises pictures: ``python infer.py --input=photos --output=anime``."""

import sys

from anime_tf.cli import app
from anime_tf.cli.infer import COMMAND

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
