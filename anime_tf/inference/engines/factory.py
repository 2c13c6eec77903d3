"""Factory of engines by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from anime_tf.inference.engines.engine import Engine, EngineConfig
from anime_tf.inference.engines.keras import KerasEngine
from anime_tf.inference.engines.onnx import OnnxEngine
from anime_tf.inference.engines.openvino import OpenVinoEngine
from anime_tf.inference.engines.saved_model import SavedModelEngine
from anime_tf.inference.engines.tflite import TFLiteEngine

# name -> function of the path, and of the precision for `MULTI_PRECISION_ENGINES`
ENGINES: dict[str, Callable[..., Engine]] = {
    "keras": KerasEngine.load,
    "saved_model": SavedModelEngine,
    "tflite": TFLiteEngine,
    "onnx": OnnxEngine,
    "openvino": OpenVinoEngine,
}

# engines with a choice of precision; the others compute in the number type of the export
MULTI_PRECISION_ENGINES = ("keras", "openvino")

# engine -> the package that it needs
PACKAGES = {
    "keras": "tensorflow",
    "saved_model": "tensorflow",
    "tflite": "ai_edge_litert",
    "onnx": "onnxruntime",
    "openvino": "openvino",
}

_DEFAULT_ENGINES = {".keras": "keras", ".tflite": "tflite", ".onnx": "onnx"}


def default_engine(path: Path) -> str:
    """Return the engine of a kind of weights; a folder is a SavedModel."""
    if path.is_dir():
        return "saved_model"
    # Keras' reader reports what an unknown file is.
    return _DEFAULT_ENGINES.get(path.suffix, "keras")


def create_engine(path: Path, config: EngineConfig) -> Engine:
    """Open weights with an engine; the precision "auto" is float32, or OpenVINO's own choice.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Unknown engine, a precision that it does not support, or weights that it cannot
            open.
    """
    engine, precision = config.engine, config.precision
    if engine not in ENGINES:
        raise ValueError(f"engine: expected one of auto, {', '.join(ENGINES)}, got {engine!r}")
    if engine in MULTI_PRECISION_ENGINES:
        return ENGINES[engine](path, precision)
    if precision == "bfloat16":
        raise ValueError(
            f"engine_precision: expected auto or float32 for the engine {engine}, which computes "
            f"in the number type of its weights, got {precision}; bfloat16 needs "
            f"{' or '.join(MULTI_PRECISION_ENGINES)}"
        )
    return ENGINES[engine](path)
