"""Metadata of TFLite models in the form that TFLite's tools read.

It is a flatbuffer (identifier M001) in a buffer of the model named TFLITE_METADATA, and files in a
ZIP archive appended to the model. flatbuffers writes it here directly, because tflite-support is
abandoned and mediapipe is large; all numbers of fields and types come from the published schema.

Reference: TensorFlow Lite Support, `metadata_schema.fbs`; TensorFlow Lite, `schema.fbs`.
"""

from __future__ import annotations

import io
import zipfile
from typing import Any

import flatbuffers
import numpy as np

from anime_tf.export.card import JSON_NAME, MARKDOWN_NAME, ModelCard
from anime_tf.inference.engines.tflite import TFLITE_IDENTIFIER, import_litert

METADATA_NAME = "TFLITE_METADATA"
METADATA_IDENTIFIER = b"M001"

PARSER_VERSION = "1.0.0"  # oldest parser that knows all fields

ALIGNMENT = 16
"""Alignment of each buffer in bytes; kernels read weights in place, by vector instructions."""

DEFAULT_HW = (256, 256)  # default height and width of models for any size: the size of training

DIMENSIONS = ("batch", "height", "width", "channel")

# Members of ContentProperties, ColorSpaceType, ProcessUnitOptions and AssociatedFileType.
IMAGE, RGB, NORMALIZATION, DESCRIPTIONS = np.uint8(2), np.uint8(1), np.uint8(1), np.uint8(1)

# The standard normalization (x - mean) / std of pixels, and its inverse for the output.
INPUT = ("Photo, RGB: pixel / 127.5 - 1, from -1 to 1", 127.5, 127.5)
OUTPUT = ("Picture, RGB from -1 to 1: a pixel is (y + 1) * 127.5", -1.0, 1 / 127.5)


def add_metadata(model: bytes, card: ModelCard) -> bytes:
    """Add metadata and the model card to a TFLite model, and align its buffers.

    `model` is a ``.tflite`` file with one input and one output, both pictures, which are described
    as RGB with the normalization of pixels. Returns one with the same results.

    Raises:
        ValueError: Another model, one with metadata, or LiteRT is not installed.
    """
    if model[4:8] != TFLITE_IDENTIFIER:
        raise ValueError("expected a TFLite model for metadata, got something else")
    import_litert()
    from ai_edge_litert import schema_py_generated as schema

    root = schema.Model.GetRootAsModel(model, 0)
    counts = (root.SignatureDefsLength(), root.SubgraphsLength())
    if counts != (1, 1) or root.Subgraphs(0).InputsLength() != 1:
        raise ValueError(
            "expected a TFLite model with one signature, of one input and one output, got "
            f"{counts[0]} signatures in {counts[1]} graphs"
        )
    names = [root.Metadata(i).Name() for i in range(root.MetadataLength())]
    if METADATA_NAME.encode() in names:
        raise ValueError(f"expected a TFLite model without {METADATA_NAME}; export it again")
    external = [root.Buffers(i).Offset() for i in range(root.BuffersLength())]
    if any(external) or root.ExternalBuffersLength() or root.ExternalBufferGroupsLength():
        raise ValueError("expected a TFLite model without external weights, which would be lost")

    graph, signature = root.Subgraphs(0), root.SignatureDefs(0)
    metadata = _make_metadata(
        card,
        _tensor(signature.Inputs(0), graph.Tensors(graph.Inputs(0)), schema, *INPUT),
        _tensor(signature.Outputs(0), graph.Tensors(graph.Outputs(0)), schema, *OUTPUT),
    )
    stream = io.BytesIO(_pack_with_buffer(schema, root, METADATA_NAME, metadata))
    with zipfile.ZipFile(stream, "a") as archive:
        # A ZipInfo has a constant date, so that equal exports have equal bytes.
        archive.writestr(zipfile.ZipInfo(JSON_NAME), card.as_json())
        archive.writestr(zipfile.ZipInfo(MARKDOWN_NAME), card.as_markdown())
    return stream.getvalue()


# Tables are tuples of their fields in the order of the schema, vectors are lists, and numbers are
# numpy scalars or, within vectors, floats.


def _tensor(
    entry: Any, tensor: Any, schema: Any, description: str, mean: float, std: float
) -> tuple[Any, ...]:
    """Return the TensorMetadata of a picture."""
    types = schema.TensorType
    limits = {types.FLOAT32: (-1.0, 1.0), types.UINT8: (0.0, 255.0), types.INT8: (-128.0, 127.0)}
    if tensor.Type() not in limits or tensor.ShapeLength() != len(DIMENSIONS):
        raise ValueError(
            "expected a TFLite model for pictures (n, height, width, 3) of float32, uint8 or int8"
        )
    low, high = limits[tensor.Type()]
    has_signature = tensor.ShapeSignatureLength() > 0
    shape = tensor.ShapeSignatureAsNumpy() if has_signature else tensor.ShapeAsNumpy()
    hw = shape[1:3]
    height, width = (n if n > 0 else default for n, default in zip(hw, DEFAULT_HW, strict=True))
    if tensor.Type() != types.FLOAT32:
        description += ", quantized with the parameters of the tensor"
    return (
        entry.Name().decode(),
        f"{description}. {'Any size' if min(hw) < 0 else f'{width}x{height} pixels'}.",
        list(DIMENSIONS),
        (IMAGE, (RGB, (np.uint32(width), np.uint32(height)))),
        [(NORMALIZATION, ([mean], [std]))],
        ([high], [low]),
    )


def _make_metadata(card: ModelCard, photo: tuple[Any, ...], anime: tuple[Any, ...]) -> bytes:
    """Serialize the ModelMetadata."""
    builder = flatbuffers.Builder(4096)
    root = _write(
        builder,
        (
            f"{card.style} ({card.network})",
            f"Turns photos into pictures of the style {card.style}: {card.description}. "
            f"Training data: {card.training_data}.",
            f"weights {card.weights_sha256[:12]}",
            [("serving_default", "Maps a photo to a picture.", [photo], [anime])],
            f"Exported by anime_tf {card.versions.get('anime_tf', '')}".rstrip(),
            card.license,
            [
                (JSON_NAME, "The model card as JSON", DESCRIPTIONS),
                (MARKDOWN_NAME, "The model card as Markdown", DESCRIPTIONS),
            ],
            PARSER_VERSION,
        ),
    )
    builder.Finish(root, file_identifier=METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _write(builder: flatbuffers.Builder, value: Any) -> int:
    """Write a string, vector or table; return its position."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        is_numeric = isinstance(value[0], float)
        items = value if is_numeric else [_write(builder, item) for item in value]
        prepend = builder.PrependFloat32 if is_numeric else builder.PrependUOffsetTRelative
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            prepend(item)
        return builder.EndVector()
    # Strings, vectors and tables precede the table that refers to them.
    fields = [item if isinstance(item, np.generic) else _write(builder, item) for item in value]
    builder.StartObject(len(fields))
    for slot, field in enumerate(fields):
        if isinstance(field, np.uint8):
            builder.PrependUint8Slot(slot, int(field), 0)
        elif isinstance(field, np.uint32):
            builder.PrependUint32Slot(slot, int(field), 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, field, 0)
    return builder.EndObject()


class _AlignedBuffer:
    """A model's buffer with alignment, which the generated classes omit."""

    def __init__(self, data: Any) -> None:
        self.data = None if data is None else bytes(data)

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802, name of generated classes
        """Write the buffer; return its position."""
        if self.data is not None:
            builder.StartVector(1, len(self.data), ALIGNMENT)
            builder.head -= len(self.data)
            builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
            data = builder.EndVector()
        builder.StartObject(1)
        if self.data is not None:
            builder.PrependUOffsetTRelativeSlot(0, data, 0)
        return builder.EndObject()


class _SharingBuilder(flatbuffers.Builder):
    """Writes equal vectors once; quantized models have hundreds of equal zeros."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._vectors: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802, name of flatbuffers
        """Return the position of a vector."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._vectors:
            self._vectors[key] = super().CreateNumpyVector(x)
        return self._vectors[key]


def _pack_with_buffer(schema: Any, root: Any, name: str, data: bytes) -> bytes:
    """Pack a model with one more named buffer, all of them aligned."""
    model = schema.ModelT.InitFromObj(root)
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers)
    model.metadata = [*(model.metadata or []), entry]
    model.buffers = [_AlignedBuffer(b) for b in (*(b.data for b in model.buffers), data)]
    builder = _SharingBuilder(sum(len(b.data or b"") for b in model.buffers) + (1 << 20))
    builder.Finish(model.Pack(builder), file_identifier=TFLITE_IDENTIFIER)
    return bytes(builder.Output())
