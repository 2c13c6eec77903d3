"""`python -m anime_tf VERB ...` is the console script `anime-tf VERB ...`."""

import sys

from anime_tf.cli.app import main

if __name__ == "__main__":
    sys.exit(main())
