"""Engines with frozen norm statistics: faster, and for pictures of any size in tiles."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anime_tf.inference import tiling
from anime_tf.inference.engines.engine import Engine
from anime_tf.inference.engines.factory import default_engine
from anime_tf.inference.engines.graph import run_graph
from anime_tf.inference.engines.keras import KerasEngine
from anime_tf.inference.engines.openvino import OpenVinoEngine, compile_network
from anime_tf.io.native_stderr import import_tensorflow

if TYPE_CHECKING:
    from anime_tf.inference.norm_statistics import StatisticsEstimator
    from anime_tf.models.generator import Generator


class FrozenEngine:
    """A generator with constant norm statistics, fused into its convolutions; thread-safe.

    Args:
        model: The generator; float32 for OpenVINO.
        statistics: (k,) of all its norms; see `StatisticsEstimator`.
        engine: "keras" or "openvino".
        precision: "float32" or "bfloat16" for OpenVINO; Keras computes in the model's.
    """

    def __init__(
        self, model: Generator, statistics: np.ndarray, engine: str, precision: str
    ) -> None:
        from anime_tf.inference.lowering.lower import OPENVINO, tensorflow_lowering
        from anime_tf.inference.lowering.resize import depends_on_picture_size
        from anime_tf.inference.padded_generator import PaddedGenerator

        self.precision = precision
        self._geometry = {
            "margin": model.RECEPTIVE_FIELD_RADIUS,
            "stride": model.STRIDE,
            "minimum": model.MINIMUM_SIDE,
        }
        self._run: Engine
        if engine == "openvino":
            network = PaddedGenerator(model, lowering=OPENVINO, statistics=statistics)
            self._run = compile_network(network, precision, "a frozen network")
        else:
            self._run = KerasEngine(model, statistics)
        self._run_tile: Any = None
        if depends_on_picture_size(model):
            self._network = PaddedGenerator(
                model, lowering=tensorflow_lowering(), statistics=statistics
            )
            self._run_tile = self._network.make_tile_function().get_concrete_function()

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Run the network; see `engines.Engine`."""
        return self._run(pictures_pm1)

    def stylize_tiles(self, photo: np.ndarray, side: int, dtype: np.dtype) -> np.ndarray:
        """Stylize a picture (height, width, 3) in tiles of at most `side` pixels plus margins.

        Returns the same shape in `dtype`; raises MemoryError if not even a tile fits.
        """
        return tiling.stylize_tiles(self._tile, photo, dtype=dtype, side=side, **self._geometry)

    def _tile(
        self, tile_pm1: np.ndarray, tile: tiling.Tile, size_hw: tuple[int, int]
    ) -> np.ndarray:
        if self._run_tile is None:
            return self(tile_pm1)
        import tensorflow as tf

        box = tf.constant([tile.outer[0], tile.outer[2], *size_hw], tf.int32)
        return run_graph(self._run_tile, tile_pm1, tile_box=box)["anime_pm1"]


class Freezer:
    """Makes a `FrozenEngine` of an archive; loads and traces once; thread-safe.

    `engine` runs the archive, and will run the frozen network.

    Raises:
        ValueError: Such weights or such an engine cannot be frozen.
    """

    def __init__(self, path: Path, engine: Any) -> None:
        if not can_freeze(path, engine):
            raise ValueError(
                f"{path}: expected a .keras archive or a built-in style, run by keras or openvino, "
                f"to freeze its statistics, got {type(engine).__name__}"
            )
        self._path = path
        self._engine = "openvino" if isinstance(engine, OpenVinoEngine) else "keras"
        self._precision = str(engine.precision)
        self._lock = threading.Lock()
        self._estimate: StatisticsEstimator | None = None
        self._model: Any = None

    def __call__(self, photos_u8: Sequence[np.ndarray], passes: int | None) -> FrozenEngine:
        """Freeze the statistics of uint8 photos; see `StatisticsEstimator.__call__`."""
        with self._lock:
            if self._estimate is None:
                self._load()
            statistics = self._estimate(photos_u8, passes)  # type: ignore[misc]
            return FrozenEngine(self._model, statistics, self._engine, self._precision)

    def _load(self) -> None:
        import_tensorflow()
        from anime_tf.inference.norm_statistics import StatisticsEstimator
        from anime_tf.models.archive import load_generator

        policy = "mixed_bfloat16" if self._precision == "bfloat16" else "float32"
        measured = load_generator(self._path, precision=policy)
        self._estimate = StatisticsEstimator(measured)
        # OpenVINO converts a float32 network, whatever its own precision.
        is_other = self._engine == "openvino" and policy != "float32"
        self._model = load_generator(self._path) if is_other else measured


def can_freeze(path: Path, engine: Any) -> bool:
    """Tell whether weights and their engine can have their statistics frozen."""
    is_archive = default_engine(path) == "keras"
    return is_archive and isinstance(engine, KerasEngine | OpenVinoEngine)
