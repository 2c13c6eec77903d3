"""AnimeGAN on TensorFlow 2 and Keras 3.

Importing the package loads neither TensorFlow nor Keras; they are loaded with the first name that
needs them.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anime_tf import errors, styles
    from anime_tf.inference.config import StylizerConfig
    from anime_tf.inference.screentone import screentone
    from anime_tf.inference.stylizer import Stylizer
    from anime_tf.models.archive import load_generator
    from anime_tf.training.config import TrainConfig
    from anime_tf.training.loop import train

__version__ = "0.1.0"
__all__ = [
    "Stylizer",
    "StylizerConfig",
    "TrainConfig",
    "__version__",
    "errors",
    "load_generator",
    "screentone",
    "styles",
    "train",
]

_MODULES = {
    "Stylizer": "anime_tf.inference.stylizer",
    "StylizerConfig": "anime_tf.inference.config",
    "TrainConfig": "anime_tf.training.config",
    "load_generator": "anime_tf.models.archive",
    "screentone": "anime_tf.inference.screentone",
    "train": "anime_tf.training.loop",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use."""
    if name in ("errors", "styles"):
        return importlib.import_module(f"anime_tf.{name}")
    if name in _MODULES:
        return getattr(importlib.import_module(_MODULES[name]), name)
    raise AttributeError(f"module 'anime_tf' has no attribute '{name}'")
