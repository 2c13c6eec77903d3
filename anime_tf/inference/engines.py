"""What runs a generator: pictures in [-1, 1] in, pictures in [-1, 1] out."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

if TYPE_CHECKING:
    import keras


class Engine(Protocol):
    """A generator ready to run; may be called from several threads at once.

    Attributes:
        stride: Heights and widths that are multiples of this come out as they went in.
        minimum_side: The least height and width that the network takes.
    """

    stride: int
    minimum_side: int

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network.

        Args:
            pictures_pm1: (n, height, width, 3) float32 RGB in [-1, 1]; height and width are
                multiples of `stride` and at least `minimum_side`.

        Returns:
            The same shape, type and range.

        Raises:
            MemoryError: The device has not enough memory for pictures of this size.
        """


class KerasEngine:
    """Runs a generator by Keras on TensorFlow; traced once, for every size.

    Args:
        model: A generator of `models.registry`.

    Attributes:
        stride: As in `Engine`.
        minimum_side: As in `Engine`.
    """

    def __init__(self, model: keras.Model) -> None:
        import tensorflow as tf

        self.stride = int(model.STRIDE)
        self.minimum_side = int(model.MINIMUM_SIDE)
        self._model = model  # a concrete function does not keep its variables alive

        # Without AutoGraph: there is no Python control flow to turn into a graph, and it would
        # write temporary files, which a full disk does not take.
        signature = [tf.TensorSpec((None, None, None, 3), tf.float32)]

        @tf.function(input_signature=signature, autograph=False)
        def run(pictures_pm1: tf.Tensor) -> tf.Tensor:
            return model(pictures_pm1, training=False)

        # Traced here and not at the first call, which several threads may make at once.
        self._run = run.get_concrete_function()

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> KerasEngine:
        """Loads an archive; see `weights.archive.load_generator` for what it raises."""
        from anime_tf.weights.archive import load_generator

        return cls(load_generator(path))

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network; see `Engine`."""
        import tensorflow as tf

        try:
            return self._run(tf.constant(pictures_pm1, tf.float32)).numpy()
        except tf.errors.ResourceExhaustedError as error:
            n, height, width = pictures_pm1.shape[:3]
            raise MemoryError(
                f"not enough memory to stylise {n} x {width}x{height} pixels at once; "
                "limit the size with max_side"
            ) from error


ENGINES: dict[str, Callable[[Path], Engine]] = {
    "keras": KerasEngine.load,
}
"""Name -> what opens weights of its kind."""

ENGINE_OF_SUFFIX: dict[str, str] = {
    ".keras": "keras",
}
"""Suffix of a weights file -> engine that "auto" takes for it."""


def open_engine(path: str | os.PathLike[str], engine: str = "auto") -> Engine:
    """Opens weights with an engine.

    Args:
        path: The weights.
        engine: A key of `ENGINES`, or "auto" for the one that the kind of weights calls for.

    Returns:
        The engine, ready to run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: No such engine, or weights that it cannot open.
    """
    path = Path(path)
    if engine == "auto":
        # What no engine is known for goes to Keras' reader, which says what it found instead.
        engine = ENGINE_OF_SUFFIX.get(path.suffix, "keras")
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of auto, {', '.join(ENGINES)}, received {engine!r}")
    return ENGINES[engine](path)
