"""What a TFLite model says of itself, in the form that TFLite's tools read.

That is a flatbuffer of its own (identifier M001) in a buffer of the model under the name
TFLITE_METADATA, and files in a ZIP archive behind the model. Of the packages that write it one is
given up (tflite-support) and one brings much else along (mediapipe), so that it is written here, by
flatbuffers' builder; each number of a field or type is that of the published schema.

Reference: TensorFlow Lite Support, `metadata_schema.fbs`; TensorFlow Lite, `schema.fbs`.
"""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from typing import Any

import flatbuffers

from anime_tf.export.card import JSON_NAME, MARKDOWN_NAME, ModelCard
from anime_tf.inference.engines.tflite import TFLITE_IDENTIFIER, import_litert

METADATA_NAME = "TFLITE_METADATA"
"""Of the model's buffer that holds the metadata."""

METADATA_IDENTIFIER = b"M001"
"""Bytes 4 to 7 of the metadata."""

PARSER_VERSION = "1.0.0"
"""The oldest parser that knows all fields below: none of them was added later."""

ALIGNMENT = 16
"""Of each buffer in the file, bytes: kernels read weights where they lie, by vectors."""

DEFAULT_HW = (256, 256)
"""Height and width to begin with, where the model takes any: what networks are trained on."""

DIMENSIONS = ("batch", "height", "width", "channel")
"""Names of a tensor's axes."""

HALF_RANGE = 127.5
"""The network sees pixel / 127.5 - 1."""

IMAGE, RGB, NORMALIZATION, DESCRIPTIONS = 2, 1, 1, 1
"""Members of ContentProperties, ColorSpaceType, ProcessUnitOptions and AssociatedFileType."""


@dataclass(frozen=True)
class _Number:
    """A number in a table.

    Attributes:
        value: The number.
        slot: Name of the builder's method for numbers of its type.
    """

    value: int
    slot: str = "PrependUint32Slot"


def _byte(value: int) -> _Number:
    return _Number(value, "PrependUint8Slot")


@dataclass(frozen=True)
class _End:
    """What is said of the input or of the output.

    Attributes:
        words: Description.
        mean: For the rule (x - mean) / std, from pixels to the input, from the output to pixels.
        std: Likewise.
    """

    words: str
    mean: float
    std: float


INPUT = _End("The photo, RGB: pixel / 127.5 - 1, from -1 to 1", HALF_RANGE, HALF_RANGE)
OUTPUT = _End("The picture, RGB from -1 to 1: a pixel is (y + 1) * 127.5", -1.0, 1 / HALF_RANGE)


def add_metadata(model: bytes, card: ModelCard) -> bytes:
    """Adds metadata and the model card to a TFLite model.

    Both tensors are described as RGB pictures. The input is normalised by (pixel - 127.5) / 127.5,
    quantised models included, as the standard has it; the output back to pixels by the same rule,
    (y - mean) / std with mean -1 and std 1 / 127.5. There are no labels: a picture is no class.

    The model is packed anew, and each of its buffers begins at a multiple of `ALIGNMENT`, which
    TensorFlow's converter does not see to.

    Args:
        model: The content of a ``.tflite`` file with one input and one output, both pictures.
        card: What is known of the network.

    Returns:
        The content of a ``.tflite`` file that computes the same.

    Raises:
        ValueError: It is no such model, or holds metadata already, or LiteRT is not installed.
    """
    if model[4:8] != TFLITE_IDENTIFIER:
        raise ValueError("expected a TFLite model to add metadata to, found something else")
    import_litert()
    from ai_edge_litert import schema_py_generated as schema

    root = schema.Model.GetRootAsModel(model, 0)
    counts = (root.SignatureDefsLength(), root.SubgraphsLength())
    if counts != (1, 1) or root.Subgraphs(0).InputsLength() != 1:
        raise ValueError(
            "expected a TFLite model with one signature, of one input and one output, found "
            f"{counts[0]} signatures in {counts[1]} graphs; export it by export.py"
        )
    names = [root.Metadata(i).Name() for i in range(root.MetadataLength())]
    if METADATA_NAME.encode() in names:
        raise ValueError(f"the TFLite model holds {METADATA_NAME} already; export it anew")
    outside = [root.Buffers(i).Offset() for i in range(root.BuffersLength())]
    if any(outside) or root.ExternalBuffersLength() or root.ExternalBufferGroupsLength():
        raise ValueError(
            "the TFLite model has weights outside of its flatbuffer; they would be lost"
        )

    graph = root.Subgraphs(0)
    signature = root.SignatureDefs(0)
    photo = _tensor(
        signature.Inputs(0).Name(), graph.Tensors(graph.Inputs(0)), schema.TensorType, INPUT
    )
    anime = _tensor(
        signature.Outputs(0).Name(), graph.Tensors(graph.Outputs(0)), schema.TensorType, OUTPUT
    )
    return _with_files(
        _with_buffer(schema, root, METADATA_NAME, _metadata(card, photo, anime)),
        {JSON_NAME: card.as_json(), MARKDOWN_NAME: card.as_markdown()},
    )


def _tensor(name: bytes, tensor: Any, types: Any, end: _End) -> dict[int, Any]:
    """TensorMetadata of a picture."""
    limits = {types.FLOAT32: (-1.0, 1.0), types.UINT8: (0.0, 255.0), types.INT8: (-128.0, 127.0)}
    if tensor.Type() not in limits or tensor.ShapeLength() != len(DIMENSIONS):
        raise ValueError(
            "expected a TFLite model for pictures (n, height, width, 3) of float32, uint8 or int8"
        )
    low, high = limits[tensor.Type()]
    signature = tensor.ShapeSignatureAsNumpy() if tensor.ShapeSignatureLength() else None
    hw = tensor.ShapeAsNumpy()[1:3] if signature is None else signature[1:3]
    height, width = (
        int(n) if n > 0 else default for n, default in zip(hw, DEFAULT_HW, strict=True)
    )
    words = end.words
    if tensor.Type() != types.FLOAT32:
        words += ", quantised as the tensor says"
    return {
        0: name.decode(),
        1: f"{words}. {'Any size' if min(hw) < 0 else f'{width}x{height} pixels'}.",
        2: list(DIMENSIONS),
        3: {0: _byte(IMAGE), 1: {0: _byte(RGB), 1: {0: _Number(width), 1: _Number(height)}}},
        4: [{0: _byte(NORMALIZATION), 1: {0: [end.mean], 1: [end.std]}}],
        5: {0: [high], 1: [low]},
    }


def _metadata(card: ModelCard, photo: dict[int, Any], anime: dict[int, Any]) -> bytes:
    """ModelMetadata, as a flatbuffer."""
    files = [
        {0: JSON_NAME, 1: "The model card, for programs", 2: _byte(DESCRIPTIONS)},
        {0: MARKDOWN_NAME, 1: "The model card, for people", 2: _byte(DESCRIPTIONS)},
    ]
    builder = flatbuffers.Builder(4096)
    root = _write(
        builder,
        {
            0: f"{card.style} ({card.network})",
            1: f"Turns photos into pictures of the style {card.style}: {card.description}. "
            f"Training data: {card.training_data}.",
            2: f"weights {card.weights_sha256[:12]}",
            3: [{0: "serving_default", 1: "A photo in, a picture out.", 2: [photo], 3: [anime]}],
            4: f"Exported by anime_tf {card.versions.get('anime_tf', '')}".rstrip(),
            5: card.license,
            6: files,
            7: PARSER_VERSION,
        },
    )
    builder.Finish(root, file_identifier=METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _write(builder: flatbuffers.Builder, value: Any) -> int:
    """Writes text, a list, or a table given by its slots; returns where."""
    if isinstance(value, str):
        return builder.CreateString(value)
    if isinstance(value, list):
        numbers = isinstance(value[0], float)
        items = value if numbers else [_write(builder, item) for item in value]
        prepend = builder.PrependFloat32 if numbers else builder.PrependUOffsetTRelative
        builder.StartVector(4, len(items), 4)
        for item in reversed(items):
            prepend(item)
        return builder.EndVector()
    # What a table points at is written before it.
    at = {k: _write(builder, v) for k, v in value.items() if not isinstance(v, _Number)}
    builder.StartObject(max(value) + 1)
    for slot, item in value.items():
        if isinstance(item, _Number):
            getattr(builder, item.slot)(slot, item.value, 0)
        else:
            builder.PrependUOffsetTRelativeSlot(slot, at[slot], 0)
    return builder.EndObject()


class _AlignedBuffer:
    """A model's buffer, written as the schema wants it; the generated classes pack it anywhere.

    Args:
        data: What it holds; None for a buffer of nothing, which a model may have.
    """

    def __init__(self, data: Any) -> None:
        self.data = None if data is None else bytes(data)

    def Pack(self, builder: flatbuffers.Builder) -> int:  # noqa: N802 - as the generated classes
        """Writes it; returns where."""
        if self.data is None:
            builder.StartObject(1)
            return builder.EndObject()
        builder.StartVector(1, len(self.data), ALIGNMENT)
        builder.head -= len(self.data)
        builder.Bytes[builder.head : builder.head + len(self.data)] = self.data
        data = builder.EndVector()
        builder.StartObject(1)
        builder.PrependUOffsetTRelativeSlot(0, data, 0)
        return builder.EndObject()


class _SharingBuilder(flatbuffers.Builder):
    """Writes vectors of the same numbers once: a quantised model has hundreds of the same zeros."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self._vectors: dict[tuple[str, bytes], int] = {}

    def CreateNumpyVector(self, x: Any) -> int:  # noqa: N802 - flatbuffers' name
        """Where the vector is, written now or before."""
        key = (x.dtype.str, x.tobytes())
        if key not in self._vectors:
            self._vectors[key] = super().CreateNumpyVector(x)
        return self._vectors[key]


def _with_buffer(schema: Any, root: Any, name: str, data: bytes) -> bytes:
    """Packs a model anew with one more named buffer, all of them aligned."""
    model = schema.ModelT.InitFromObj(root)
    entry = schema.MetadataT()
    entry.name, entry.buffer = name, len(model.buffers)
    model.metadata = [*(model.metadata or []), entry]
    model.buffers = [
        _AlignedBuffer(content) for content in (*(b.data for b in model.buffers), data)
    ]
    builder = _SharingBuilder(sum(len(b.data or b"") for b in model.buffers) + (1 << 20))
    builder.Finish(model.Pack(builder), file_identifier=TFLITE_IDENTIFIER)
    return bytes(builder.Output())


def _with_files(model: bytes, files: dict[str, str]) -> bytes:
    """Puts files behind a model, as a ZIP archive; the same bytes at every call."""
    stream = io.BytesIO(model)
    with zipfile.ZipFile(stream, "a") as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return stream.getvalue()
