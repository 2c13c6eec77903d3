"""A generator as a TFLite model of built-in operators only, for pictures of any size or of one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import tensorflow as tf
from tensorflow.lite.python.convert import ConverterError
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from anime_tf.export.checks import Limit
from anime_tf.export.int8 import quantize_convolutions
from anime_tf.inference.engines.tflite import TFLITE_IDENTIFIER, import_litert
from anime_tf.inference.padded_generator import PaddedGenerator

FORBIDDEN = frozenset({"VAR_HANDLE", "READ_VARIABLE", "ASSIGN_VARIABLE", "CALL_ONCE", "CUSTOM"})
"""Operators of weights that were not frozen, and those that are not TFLite's own (Flex)."""

GRAPH_BYTES = 1 << 19
"""More than what a TFLite model holds besides its weights: 75 to 150 KB were seen."""

LARGE = 1024
"""Weights with fewer values stay float32 in dynamic range quantisation."""


@dataclass(frozen=True)
class Quantization:
    """How weights are stored in a TFLite model.

    Attributes:
        weight_bytes: Of a value of a large weight.
        optimizations: For the converter.
        types: Number types that the converter may store weights in; none for its own choice.
        limit: How far the model may be from the network, on photos and with trained weights. On
            random weights, whose output is noise and thus the hardest to match, it is further off.
    """

    weight_bytes: int
    optimizations: tuple[tf.lite.Optimize, ...]
    types: tuple[tf.DType, ...]
    limit: Limit


QUANTIZATIONS: dict[str, Quantization] = {
    # Other kernels with another order of additions, through two dozen norms.
    "none": Quantization(4, (), (), Limit(largest=1e-4)),
    # Weights of 11 significant bits: nothing to be seen.
    "float16": Quantization(2, (tf.lite.Optimize.DEFAULT,), (tf.float16,), Limit(psnr=45)),
    # Activations are rounded to 8 bits as well, anew for each picture: not seen without searching.
    "dynamic": Quantization(1, (tf.lite.Optimize.DEFAULT,), (), Limit(psnr=35)),
    # Activations are rounded to steps that were chosen beforehand, for all pictures alike.
    "int8": Quantization(1, (), (), Limit(psnr=28)),
}
"""Value of --quantize -> how weights are stored."""


def convert_tflite(
    network: PaddedGenerator, quantize: str = "none", calibration: Sequence[np.ndarray] = ()
) -> bytes:
    """Converts a network to a TFLite model.

    Its signature ``serving_default`` takes ``pictures_pm1``, float32 RGB (n, height, width, 3) in
    [-1, 1], and gives ``anime_pm1`` likewise; with "int8" it takes ``pictures_u8``, pixels, and
    gives ``anime_u8``. `resize_tensor_input` sets any size and number, unless the network is for
    one size.

    Args:
        network: What to convert.
        quantize: A key of `QUANTIZATIONS`.
        calibration: For "int8": photos (1, height, width, 3), uint8 RGB, all of one size.

    Returns:
        The content of a ``.tflite`` file.

    Raises:
        ValueError: No such quantisation, no photos to calibrate with, or the converter fails.
    """
    if quantize not in QUANTIZATIONS:
        raise ValueError(
            f"quantize must be one of {', '.join(QUANTIZATIONS)}, received {quantize!r}"
        )
    run = network.u8 if quantize == "int8" else network.pm1
    concrete = run.get_concrete_function()
    # The converter by itself leaves variables in the graph, as operators with state.
    frozen = convert_variables_to_constants_v2(concrete)
    (spec,) = run.input_signature
    (name,) = concrete.structured_outputs

    def frozen_run(pictures: tf.Tensor) -> dict[str, tf.Tensor]:
        return {name: tf.nest.flatten(frozen(pictures))[0]}

    # Around the frozen graph once more, for the names of the model's signature.
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
        reason = (str(error).strip().splitlines() or ["no reason given"])[0]
        raise ValueError(f"the TFLite converter cannot take this network ({reason})") from error
    if quantize == "int8":
        return quantize_convolutions(model, [{spec.name: photo} for photo in calibration])
    return model


def operators(data: bytes) -> Counter[str]:
    """Counts the operators of a TFLite model by name; CUSTOM for all that are not TFLite's own.

    Args:
        data: The content of a ``.tflite`` file.

    Returns:
        Name of an operator -> how often it is used.

    Raises:
        ValueError: LiteRT is not installed.
    """
    import_litert()
    from ai_edge_litert import schema_py_generated as schema

    names = {code: name for name, code in vars(schema.BuiltinOperator).items() if name.isupper()}
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(data, 0))
    # Old files hold a code in the one field, new ones in the other, and 0 in the rest.
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in model.operatorCodes]
    return Counter(
        names[codes[operator.opcodeIndex]]
        for graph in model.subgraphs
        for operator in graph.operators or ()
    )


def check_tflite(data: bytes, network: PaddedGenerator, quantize: str = "none") -> None:
    """Checks what a TFLite model is made of: its operators and its size.

    Args:
        data: The content of the file.
        network: What it was made from.
        quantize: How; a key of `QUANTIZATIONS`.

    Raises:
        ValueError: It is not what it should be, or LiteRT is not installed.
    """
    if data[4:8] != TFLITE_IDENTIFIER:
        raise ValueError("model.tflite: the converter gave no TFLite model; please report this")
    bad = FORBIDDEN.intersection(operators(data))
    if bad:
        raise ValueError(
            f"model.tflite: holds {', '.join(sorted(bad))}, expected frozen weights and operators "
            "of TFLite alone; please report this"
        )
    least, most = size_range(
        [int(np.prod(weight.shape)) for weight in network.weights],
        QUANTIZATIONS[quantize].weight_bytes,
    )
    if not least <= len(data) <= most:
        raise ValueError(
            f"model.tflite: has {len(data):,} bytes, expected {least:,} to {most:,} for its "
            "weights and graph; please report this"
        )


def size_range(values: Sequence[int], weight_bytes: int) -> tuple[int, int]:
    """How large a TFLite model can be that holds each of its weights once.

    Args:
        values: How many values each weight has.
        weight_bytes: Of a value of a large weight.

    Returns:
        The least and the greatest number of bytes.
    """
    large = sum(count for count in values if count >= LARGE) * weight_bytes
    # Small weights may be stored wider, or once for several that are equal.
    small = sum(count for count in values if count < LARGE) * 4
    return large, large + small + GRAPH_BYTES
