"""`KerasEngine`: generators by Keras on TensorFlow."""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING, Any

import numpy as np

from anime_tf.inference.engines.graph import run_graph
from anime_tf.io.native_stderr import import_tensorflow

if TYPE_CHECKING:
    from anime_tf.models.generator import Generator

_NO_TOLERANCE_LIMIT = 1e9  # deviations; infinity would give NaN times a variance of 0


class KerasEngine:
    """Runs a generator by TensorFlow; on a CPU lowered for it, one picture at a time.

    Args:
        model: The generator.
        statistics: (k,) frozen statistics of all its norms; None for those of each picture.

    Attributes:
        network: The network as it is exported.
    """

    def __init__(self, model: Generator, statistics: np.ndarray | None = None) -> None:
        import_tensorflow()
        from anime_tf.inference.lowering.lower import tensorflow_lowering
        from anime_tf.inference.padded_generator import PaddedGenerator

        self.network = PaddedGenerator(model, statistics=statistics)
        self.precision = str(model.compute_dtype)
        # Kept as an attribute: a concrete function does not keep its variables alive.
        self._lowered = self.network
        lowering = tensorflow_lowering()
        self._one_by_one = lowering.cpu_optimized
        if lowering.cpu_optimized:
            self._lowered = PaddedGenerator(model, lowering=lowering, statistics=statistics)
        # Traced here: several threads may make the first call at once.
        self._run = self._lowered.pm1.get_concrete_function()
        self._run_ema: dict[bool, Any] = {}  # by whether it measures; traced on first use
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: str | os.PathLike[str], precision: str = "float32") -> KerasEngine:
        """Load a ``.keras`` archive in "float32" or "bfloat16"; errors of `load_generator`."""
        import_tensorflow()
        from anime_tf.models.archive import load_generator

        policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
        return cls(load_generator(path, precision=policy))

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Run the network; see `Engine`."""
        if not self._one_by_one or len(pictures_pm1) == 1:
            return run_graph(self._run, pictures_pm1)["anime_pm1"]
        anime_pm1 = np.empty(pictures_pm1.shape, np.float32)
        for i, picture_pm1 in enumerate(pictures_pm1):
            anime_pm1[i] = run_graph(self._run, picture_pm1[None])["anime_pm1"][0]
        return anime_pm1

    def run_ema(
        self,
        picture_pm1: np.ndarray,
        previous: np.ndarray | None,
        momentum: float,
        tolerance: float,
        measured: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Run the network with a moving average of norm statistics over frames.

        Arguments as of `Stylizer.stylize_ema`; `previous` is None for the first frame. Returns
        the picture, (1, height, width, 3) float32 RGB in [-1, 1], and the statistics that it used.

        Raises:
            MemoryError: The device has not enough memory for a picture of this size.
        """
        measure = measured is None
        with self._lock:
            if measure not in self._run_ema:
                function = self._lowered.make_ema_function(measure)
                self._run_ema[measure] = function.get_concrete_function()
        import tensorflow as tf

        if previous is None:
            previous, momentum = np.zeros(self._lowered.statistics_length, np.float32), 1.0
        arguments = {
            "previous": tf.constant(previous),
            "momentum": tf.constant(momentum, tf.float32),
            "tolerance": tf.constant(min(tolerance, _NO_TOLERANCE_LIMIT), tf.float32),
        }
        if measured is not None:
            arguments["measured"] = tf.constant(measured)
        outputs = run_graph(self._run_ema[measure], picture_pm1, **arguments)
        return outputs["anime_pm1"], outputs["statistics"]
