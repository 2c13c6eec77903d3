"""anime_tf: AnimeGAN on TensorFlow 2 and Keras 3.

``from anime_tf import Stylizer`` is the way in for Python code; importing the package itself loads
neither TensorFlow nor Keras.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from anime_tf.inference.stylizer import Stylizer

__version__ = "0.1.0"
__all__ = ["Stylizer", "__version__"]


def __getattr__(name: str) -> Any:
    """Imports `Stylizer`, and with it TensorFlow, when it is first asked for."""
    if name == "Stylizer":
        from anime_tf.inference.stylizer import Stylizer

        return Stylizer
    raise AttributeError(f"module 'anime_tf' has no attribute '{name}'")
