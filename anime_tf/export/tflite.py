"""TFLite models of built-in operators, for pictures of any size or of one size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from anime_tf.errors import first_line
from anime_tf.export.card import ModelCard
from anime_tf.export.checks import Tolerance
from anime_tf.export.config import ExportConfig
from anime_tf.export.int8 import calibration_pictures, quantize_convolutions
from anime_tf.export.metadata import add_metadata
from anime_tf.inference.engines.tflite import TFLITE_IDENTIFIER, import_litert
from anime_tf.inference.padded_generator import PaddedGenerator

FORBIDDEN = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "CUSTOM"})
"""Operators of variables, and those that TFLite does not contain (Flex)."""

GRAPH_BYTES = 1 << 19  # upper bound of a model's size without weights; 75 to 150 KB were measured
LARGE = 1024  # dynamic range quantization keeps weights with fewer values in float32


@dataclass(frozen=True)
class Quantization:
    """Storage of the weights of a TFLite model: bytes per value of a large one.

    `types` are those of stored weights, empty for the converter's choice. The tolerance is for
    photos with trained weights; random weights deviate more, because their output is noise.
    """

    weight_bytes: int
    optimizations: tuple[tf.lite.Optimize, ...]
    types: tuple[tf.DType, ...]
    tolerance: Tolerance


QUANTIZATIONS: dict[str, Quantization] = {
    # Other kernels sum in another order in two dozen norms.
    "none": Quantization(4, (), (), Tolerance(largest=1e-4)),
    # Weights of 11 significant bits: invisible.
    "float16": Quantization(2, (tf.lite.Optimize.DEFAULT,), (tf.float16,), Tolerance(psnr=45)),
    # 8-bit activations, scaled for each picture: hardly visible.
    "dynamic": Quantization(1, (tf.lite.Optimize.DEFAULT,), (), Tolerance(psnr=35)),
    # 8-bit activations with calibrated scales for all pictures.
    "int8": Quantization(1, (), (), Tolerance(psnr=28)),
}
"""Name -> storage of the weights."""


def export(
    network: PaddedGenerator, path: Path, config: ExportConfig, card: ModelCard
) -> Tolerance:
    """Write a TFLite model with metadata; return its tolerance."""
    if config.image_size is not None:
        network = network.with_size(config.image_size)
    photos: list[np.ndarray] = []
    if config.calibration is not None:
        photos = calibration_pictures(config.calibration, config.image_size)
    data = convert_tflite(network, config.quantize, photos)
    check_tflite(data, network, config.quantize)
    path.write_bytes(add_metadata(data, card))
    return QUANTIZATIONS[config.quantize].tolerance


def convert_tflite(
    network: PaddedGenerator, quantize: str = "none", calibration: Sequence[np.ndarray] = ()
) -> bytes:
    """Convert a network to the content of a ``.tflite`` file.

    Its signature ``serving_default`` maps ``pictures_pm1``, float32 RGB (n, height, width, 3) in
    [-1, 1], to ``anime_pm1``; with "int8" it maps pixels ``pictures_u8`` to ``anime_u8``.
    `resize_tensor_input` sets any size and number, unless the network has one size.

    Args:
        network: The network.
        quantize: A key of `QUANTIZATIONS`.
        calibration: Photos for "int8", (1, height, width, 3) uint8 RGB of one size.

    Raises:
        ValueError: An unknown quantization, no photos for "int8", or the converter fails.
    """
    if quantize not in QUANTIZATIONS:
        raise ValueError(f"quantize: expected one of {', '.join(QUANTIZATIONS)}, got {quantize!r}")
    run = network.u8 if quantize == "int8" else network.pm1
    concrete = run.get_concrete_function()
    # The converter itself would leave variables in the graph.
    frozen = convert_variables_to_constants_v2(concrete)
    (spec,) = run.input_signature
    (name,) = concrete.structured_outputs

    # Wrapped, because freezing drops the names of the outputs.
    def frozen_run(pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: tf.nest.flatten(frozen(pictures))[0]}

    module = tf.Module()
    module.run = tf.function(frozen_run, input_signature=[spec], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.run.get_concrete_function()], module
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    converter.optimizations = list(QUANTIZATIONS[quantize].optimizations)
    converter.target_spec.supported_types = list(QUANTIZATIONS[quantize].types)
    try:
        model = converter.convert()
    except ConverterError as error:
        raise ValueError(
            f"the TFLite converter cannot convert this network ({first_line(error)})"
        ) from error
    if quantize == "int8":
        return quantize_convolutions(model, [{spec.name: photo} for photo in calibration])
    return model


def count_operators(data: bytes) -> Counter[str]:
    """Count the operators of a TFLite model by name; CUSTOM are those that TFLite does not contain.

    Raises:
        ValueError: LiteRT is not installed.
    """
    import_litert()
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    model = schema.Model.GetRootAsModel(data, 0)
    # Old and new files have the code in different fields, with 0 in the other one.
    codes = [
        max(code.BuiltinCode(), code.DeprecatedBuiltinCode())
        for code in map(model.OperatorCodes, range(model.OperatorCodesLength()))
    ]
    return Counter(
        names[codes[graph.Operators(i).OpcodeIndex()]]
        for graph in map(model.Subgraphs, range(model.SubgraphsLength()))
        for i in range(graph.OperatorsLength())
    )


def check_tflite(data: bytes, network: PaddedGenerator, quantize: str = "none") -> None:
    """Check the operators and the size of the TFLite model of a network.

    Raises:
        ValueError: Unexpected operators or size, or LiteRT is not installed.
    """
    if data[4:8] != TFLITE_IDENTIFIER:
        raise ValueError("model.tflite: expected a TFLite model; please report this")
    bad = FORBIDDEN.intersection(count_operators(data))
    if bad:
        raise ValueError(
            "model.tflite: expected frozen weights and built-in operators, got "
            f"{', '.join(sorted(bad))}; please report this"
        )
    least, most = size_range(
        [int(np.prod(weight.shape)) for weight in network.weights],
        QUANTIZATIONS[quantize].weight_bytes,
    )
    if not least <= len(data) <= most:
        raise ValueError(
            f"model.tflite: expected {least:,} to {most:,} bytes for its weights and graph, got "
            f"{len(data):,}; please report this"
        )


def size_range(values: Sequence[int], weight_bytes: int) -> tuple[int, int]:
    """Return the smallest and largest size of a TFLite model whose weights have so many values."""
    large = sum(count for count in values if count >= LARGE) * weight_bytes
    # Small weights may be stored wider, or once for several equal ones.
    small = sum(count for count in values if count < LARGE) * 4
    return large, large + small + GRAPH_BYTES
