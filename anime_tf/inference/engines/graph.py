"""TensorFlow graphs called with arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from anime_tf.errors import first_line


def run_graph(
    run: Callable[..., dict[str, Any]], pictures_pm1: np.ndarray, **others: Any
) -> dict[str, np.ndarray]:
    """Run a TensorFlow function with pictures and tensors; return its outputs by name.

    Raises:
        MemoryError: The device has not enough memory.
    """
    import tensorflow as tf

    try:
        outputs = run(tf.constant(pictures_pm1, tf.float32), **others)
        return {name: output.numpy() for name, output in outputs.items()}
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(first_line(error)) from error
