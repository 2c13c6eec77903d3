"""TFLite models with 8-bit convolutions, calibrated on photos."""

from __future__ import annotations

import contextlib
import io
import os
import re
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np

from anime_tf.errors import import_optional
from anime_tf.inference.engines.tflite import TFLITE_IDENTIFIER
from anime_tf.io import pictures
from anime_tf.io.folders import find_pictures
from anime_tf.io.geometry import resize

REQUIREMENT = "ai-edge-quantizer"  # the extra ``int8``

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE")
"""Quantized operators, which have nearly all weights and operations.

Norms compute the mean and variance of a whole picture, which 8 bits cannot represent. With all
operators in 8 bits, the built-in style falls from 41 dB to 32, and CartoonGAN from 31 to 15.
"""

FLOAT_OUTPUTS = 2
"""Number of final convolutions with float outputs; their inputs are quantized for each picture.

No later layer corrects their rounding, and the values before the last norm have a wide range, -585
to 139 in the built-in style. This gains 7 dB in the built-in style and 2 in CartoonGAN, at equal
size and speed.
"""

CALIBRATION_PICTURES = 32  # largest number of photos; more hardly change the ranges
RECOMMENDED_PICTURES = 10  # fewer may lack the values of other photos, which are then clipped
CALIBRATION_SIDE = 256  # default height and width of the photos
SEED = 0  # seed of the selection of photos


def import_quantizer() -> Any:
    """Import `ai_edge_quantizer`; raises a ValueError if it is not installed."""
    return import_optional("ai_edge_quantizer", "int8 needs ai-edge-quantizer", REQUIREMENT)


def calibration_pictures(
    folder: str | os.PathLike[str], size_hw: tuple[int, int] | None = None
) -> list[np.ndarray]:
    """Read photos of a folder in one size, at most `CALIBRATION_PICTURES` at random.

    Returns (1, height, width, 3) uint8 RGB: the center of each, resized to cover the size.

    Raises:
        FileNotFoundError: There is no such folder, or it has no pictures.
        ValueError: A picture cannot be read.
    """
    paths = find_pictures(folder, log=False)  # `check_request` logged it
    chosen = np.random.default_rng(SEED).permutation(len(paths))[:CALIBRATION_PICTURES]
    height, width = size_hw or (CALIBRATION_SIDE, CALIBRATION_SIDE)
    photos = []
    for index in sorted(chosen):
        photo = pictures.read_picture(paths[index]).rgb_u8
        scale = max(height / photo.shape[0], width / photo.shape[1])
        cover = (
            max(height, round(photo.shape[0] * scale)),
            max(width, round(photo.shape[1] * scale)),
        )
        top, left = (cover[0] - height) // 2, (cover[1] - width) // 2
        photos.append(resize(photo, cover)[None, top : top + height, left : left + width])
    return photos


def quantize_convolutions(model: bytes, inputs: Sequence[dict[str, np.ndarray]]) -> bytes:
    """Quantize the convolutions of a float TFLite model to 8 bits; keeps its inputs and outputs.

    `model` has the signature ``serving_default``; `inputs` are calibration data: name of an input
    -> value. Raises ValueError without any, or if ai-edge-quantizer is not installed.
    """
    if not inputs:
        raise ValueError("expected a folder of photos to calibrate int8, got none")
    package = import_quantizer()
    # It prints progress bars and sizes.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        quantizer = package.quantizer.Quantizer(bytearray(model))
        kinds = [getattr(package.qtyping.TFLOperationName, name) for name in CONVOLUTIONS]
        for kind in kinds:
            quantizer.add_static_config(
                regex=".*", operation_name=kind, activation_num_bits=8, weight_num_bits=8
            )
        # Later configs override earlier ones.
        for output in _convolution_outputs(model)[-FLOAT_OUTPUTS:]:
            for kind in kinds:
                quantizer.add_dynamic_config(
                    regex=re.escape(output), operation_name=kind, num_bits=8
                )
        ranges = quantizer.calibrate({"serving_default": list(inputs)})
        quantized = bytes(quantizer.quantize(ranges).quantized_model)
    return _repack(quantized)


def _convolution_outputs(model: bytes) -> list[str]:
    """Return the names of the convolutions' outputs in the order of execution."""
    from ai_edge_litert import schema_py_generated as schema

    content = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    # LiteRT and the quantizer have different names for the transposed convolution.
    names = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
    wanted = {getattr(schema.BuiltinOperator, name) for name in names}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in content.operatorCodes]
    (graph,) = content.subgraphs
    return [
        graph.tensors[operator.outputs[0]].name.decode()
        for operator in graph.operators
        if codes[operator.opcodeIndex] in wanted
    ]


def _repack(model: bytes) -> bytes:
    """Move external weights into the flatbuffer, and remove the names of inner tensors.

    Only models of gigabytes need external weights. The names take a hundredth of the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    for buffer in content.buffers:
        if buffer.offset > 1:  # 0 and 1 mark buffers inside the flatbuffer
            data = model[buffer.offset : buffer.offset + buffer.size]
            buffer.data = np.frombuffer(data, np.uint8)
            buffer.offset = buffer.size = 0
    for graph in content.subgraphs:
        ends = {*map(int, graph.inputs), *map(int, graph.outputs)}
        for index, tensor in enumerate(graph.tensors):
            if index not in ends:
                tensor.name = b""
    builder = flatbuffers.Builder(len(model))
    builder.Finish(content.Pack(builder), TFLITE_IDENTIFIER)
    return bytes(builder.Output())
