"""TFLite models whose convolutions compute in 8 bits, with steps calibrated on photos."""

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

REQUIREMENT = "ai-edge-quantizer"
"""What to install; also the package's extra ``int8``."""

CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D", "CONV_2D_TRANSPOSE")
"""What is quantised, and nothing else.

They are nearly all of the work and of the weights. Norms take means and variances over a whole
picture, which 8 bits cannot hold, and scale by what they find: with every operator in 8 bits the
built-in style falls from 41 dB to 32, and CartoonGAN from 31 to 15.
"""

AT_THE_END = 2
"""Convolutions at the end whose outputs are not rounded, and their inputs anew for each picture.

Nothing evens out what is rounded there, and the values before the last norm reach far: that of the
built-in style gives -585 to 139 for what becomes a picture. Weights are 8 bits like all others, so
that size and time stay; the built-in style gains 7 dB by it, CartoonGAN 2.
"""

CALIBRATION_PICTURES = 32
"""Photos that the steps are chosen on: the ranges hardly move beyond that."""

CALIBRATION_SIDE = 256
"""Height and width of the photos, pixels, where the model is not for one size."""

SEED = 0
"""Of the choice among more photos than are needed."""


def import_quantizer() -> Any:
    """The package that quantises.

    Returns:
        The module `ai_edge_quantizer`.

    Raises:
        ValueError: It is not installed.
    """
    return import_optional("ai_edge_quantizer", "int8 needs ai-edge-quantizer", REQUIREMENT)


def calibration_pictures(
    folder: str | os.PathLike[str], size_hw: tuple[int, int] | None = None
) -> list[np.ndarray]:
    """Reads photos to calibrate with, and brings them to one size.

    Args:
        folder: With photos, in folders of its own too.
        size_hw: Height and width; None for `CALIBRATION_SIDE`.

    Returns:
        At most `CALIBRATION_PICTURES`, chosen by `SEED`: (1, height, width, 3) uint8 RGB, the
        middle of each photo, which is resized to cover it.

    Raises:
        FileNotFoundError: There is no such folder, or it holds no pictures.
        ValueError: A picture cannot be read.
    """
    paths = find_pictures(folder)
    chosen = np.random.default_rng(SEED).permutation(len(paths))[:CALIBRATION_PICTURES]
    height, width = size_hw or (CALIBRATION_SIDE, CALIBRATION_SIDE)
    photos = []
    for index in sorted(chosen):
        photo = pictures.read_picture(paths[index]).rgb_u8
        scale = max(height / photo.shape[0], width / photo.shape[1])
        cover = [
            max(m, round(n * scale)) for m, n in zip((height, width), photo.shape, strict=False)
        ]
        photo = resize(photo, (cover[0], cover[1]))
        top, left = (cover[0] - height) // 2, (cover[1] - width) // 2
        photos.append(photo[None, top : top + height, left : left + width])
    return photos


def quantize_convolutions(model: bytes, inputs: Sequence[dict[str, np.ndarray]]) -> bytes:
    """Lets the convolutions of a float TFLite model compute in 8 bits.

    Args:
        model: The content of a ``.tflite`` file with the signature ``serving_default``.
        inputs: What to calibrate with: name of an input -> value.

    Returns:
        The quantised model; its inputs and outputs are as they were.

    Raises:
        ValueError: Nothing to calibrate with, or ai-edge-quantizer is not installed.
    """
    if not inputs:
        raise ValueError("int8 needs photos to calibrate with; give a folder of them")
    package = import_quantizer()
    # It shows bars and sizes of its own.
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        quantizer = package.quantizer.Quantizer(bytearray(model))
        kinds = [getattr(package.qtyping.TFLOperationName, name) for name in CONVOLUTIONS]
        for kind in kinds:
            quantizer.add_static_config(
                regex=".*", operation_name=kind, activation_num_bits=8, weight_num_bits=8
            )
        # What is said later holds.
        for output in _convolutions(model)[-AT_THE_END:]:
            for kind in kinds:
                quantizer.add_dynamic_config(
                    regex=re.escape(output), operation_name=kind, num_bits=8
                )
        ranges = quantizer.calibrate({"serving_default": list(inputs)})
        quantized = bytes(quantizer.quantize(ranges).quantized_model)
    return _packed(quantized)


def _convolutions(model: bytes) -> list[str]:
    """Names of the convolutions' outputs, in the order in which they run."""
    from ai_edge_litert import schema_py_generated as schema

    content = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    # LiteRT calls the transposed one otherwise than the quantiser does.
    names = ("CONV_2D", "DEPTHWISE_CONV_2D", "TRANSPOSE_CONV")
    wanted = {getattr(schema.BuiltinOperator, name) for name in names}
    codes = [max(code.builtinCode, code.deprecatedBuiltinCode) for code in content.operatorCodes]
    (graph,) = content.subgraphs
    return [
        graph.tensors[operator.outputs[0]].name.decode()
        for operator in graph.operators
        if codes[operator.opcodeIndex] in wanted
    ]


def _packed(model: bytes) -> bytes:
    """Moves weights that lie behind the flatbuffer into it, and leaves out names of no use.

    Only models of gigabytes need their weights outside. The names, of tensors between operators,
    take a hundredth of the file.
    """
    from ai_edge_litert import schema_py_generated as schema

    content = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(model, 0))
    for buffer in content.buffers:
        if buffer.offset > 1:  # 0 and 1 are said of buffers that lie within
            at, size = buffer.offset, buffer.size
            buffer.data = np.frombuffer(model[at : at + size], np.uint8)
            buffer.offset = buffer.size = 0
    for graph in content.subgraphs:
        ends = {*map(int, graph.inputs), *map(int, graph.outputs)}
        for index, tensor in enumerate(graph.tensors):
            if index not in ends:
                tensor.name = b""
    builder = flatbuffers.Builder(len(model))
    builder.Finish(content.Pack(builder), TFLITE_IDENTIFIER)
    return bytes(builder.Output())
