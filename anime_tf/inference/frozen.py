"""Networks with fixed statistics, ready to run: quicker, and for pictures of any size, in tiles."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from anime_tf.inference import tiling
from anime_tf.inference.engines import openvino as by_openvino
from anime_tf.inference.engines.engine import (
    ENGINE_OF_SUFFIX,
    Engine,
    KerasEngine,
    _run_graph,
    tensorflow_runtime,
)
from anime_tf.inference.engines.openvino import OpenVinoEngine
from anime_tf.io.native_stderr import import_tensorflow

if TYPE_CHECKING:
    import keras

    from anime_tf.inference.norm_statistics import Measure


class FrozenEngine:
    """A generator whose norms are part of its convolutions, with statistics that are fixed.

    May be called from several threads at once.

    Args:
        model: A generator of `models.registry`; in float32 for OpenVINO.
        statistics: Of all its norms, (k,); see `held.Measure`.
        engine: "keras" or "openvino".
        precision: "float32" or "bfloat16", what OpenVINO computes in; Keras does in the model's.

    Attributes:
        precision: As given.
    """

    def __init__(
        self, model: keras.Model, statistics: np.ndarray, engine: str, precision: str
    ) -> None:
        from anime_tf.inference.padded_generator import AnyPicture

        self.precision = precision
        self._geometry = {
            "reach": int(model.REACH),
            "stride": int(model.STRIDE),
            "minimum": int(model.MINIMUM_SIDE),
        }
        self._run: Engine
        if engine == "openvino":
            network = AnyPicture(model, runtime="openvino", statistics=statistics)
            self._run = by_openvino.compiled(network, precision)
        else:
            self._run = KerasEngine(model, statistics)
        self._run_tile: Any = None
        if getattr(model, "resize", None) == "align_corners":
            # It goes by the whole picture, so it is told which part of it a tile is.
            runtime = tensorflow_runtime()
            self._network = AnyPicture(model, runtime=runtime, statistics=statistics)
            self._run_tile = self._network.placing().get_concrete_function()

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network; see `engines.Engine`."""
        return self._run(pictures_pm1)

    def in_tiles(self, photo: np.ndarray, side: int, dtype: np.dtype) -> np.ndarray:
        """Stylises a picture tile by tile; see `tiles.in_tiles`.

        Args:
            photo: (height, width, 3) RGB, of a type of `pictures.WHITE`.
            side: Height and width of a tile at most, without its surroundings.
            dtype: Type of the result, likewise.

        Returns:
            The same shape.

        Raises:
            MemoryError: Too little memory even for a tile.
        """
        return tiling.in_tiles(self._tile, photo, dtype=dtype, side=side, **self._geometry)

    def _tile(
        self, tile_pm1: np.ndarray, tile: tiling.Tile, size_hw: tuple[int, int]
    ) -> np.ndarray:
        if self._run_tile is None:
            return self(tile_pm1)
        import tensorflow as tf

        place = tf.constant([tile.outer[0], tile.outer[2], *size_hw], tf.int32)
        return _run_graph(self._run_tile, tile_pm1, place=place)["anime_pm1"]


class Freezer:
    """Makes `FrozenEngine` of an archive; what takes long is done once.

    May be called from several threads, one after the other.

    Args:
        path: The ``.keras`` file.
        engine: The engine that runs it and shall run what is frozen.

    Raises:
        ValueError: Such weights or such an engine cannot be frozen.
    """

    def __init__(self, path: Path, engine: Any) -> None:
        if not can_freeze(path, engine):
            raise ValueError(
                f"{path}: only a .keras archive or a built-in style can have its statistics held, "
                f"by the engines keras and openvino; found {type(engine).__name__}"
            )
        self._path = path
        self._engine = "openvino" if isinstance(engine, OpenVinoEngine) else "keras"
        self._precision = str(engine.precision)
        self._lock = threading.Lock()
        self._measure: Measure | None = None
        self._model: Any = None

    def __call__(self, photos_u8: Sequence[np.ndarray], passes: int) -> FrozenEngine:
        """Measures the statistics of photos and fixes them.

        Args:
            photos_u8: (height, width, 3) uint8 RGB each.
            passes: See `held.Measure`, as what is raised.

        Returns:
            The network with these statistics.
        """
        with self._lock:
            if self._measure is None:
                self._load()
            statistics = self._measure(photos_u8, passes)  # type: ignore[misc]
            return FrozenEngine(self._model, statistics, self._engine, self._precision)

    def _load(self) -> None:
        import_tensorflow()
        from anime_tf.inference.norm_statistics import Measure
        from anime_tf.models.archive import load_generator

        policy = "mixed_bfloat16" if self._precision == "bfloat16" else "float32"
        measured = load_generator(self._path, precision=policy)
        self._measure = Measure(measured)
        # OpenVINO takes the network in float32, whatever it then computes in.
        other = self._engine == "openvino" and policy != "float32"
        self._model = load_generator(self._path) if other else measured


def can_freeze(path: Path, engine: Any) -> bool:
    """Whether weights, and the engine that runs them, can have their statistics held."""
    is_archive = not path.is_dir() and ENGINE_OF_SUFFIX.get(path.suffix, "keras") == "keras"
    return is_archive and isinstance(engine, KerasEngine | OpenVinoEngine)
