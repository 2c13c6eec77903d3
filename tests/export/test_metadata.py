"""Metadata of TFLite models, read with the field numbers of the published schema."""

from __future__ import annotations

import dataclasses
import io
import json
import zipfile

import flatbuffers
import numpy as np
import pytest
import tensorflow as tf
from flatbuffers import number_types
from flatbuffers.table import Table

from anime_tf.export.card import ModelCard
from anime_tf.export.metadata import add_metadata
from anime_tf.inference.engines.tflite import TFLiteEngine

pytest.importorskip(
    "ai_edge_litert.interpreter", reason="LiteRT (the extra tflite) is not installed"
)
from ai_edge_litert import schema_py_generated as schema

CARD = ModelCard(
    style="ink",
    description="black lines",
    license="CC-BY-4.0",
    training_data="drawings of our own",
    network="animegan_v2",
    parameters=8,
    config={"width": 8},
    precision="float32",
    weights_sha256="0123456789abcdef" * 4,
    versions={"anime_tf": "1.2.3"},
)

# Fields of the published metadata_schema.fbs, in its order.
FIELDS = {
    "ModelMetadata": (
        ("name", str),
        ("description", str),
        ("version", str),
        ("subgraph_metadata", ["SubGraphMetadata"]),
        ("author", str),
        ("license", str),
        ("associated_files", ["AssociatedFile"]),
        ("min_parser_version", str),
    ),
    "SubGraphMetadata": (
        ("name", str),
        ("description", str),
        ("input_tensor_metadata", ["TensorMetadata"]),
        ("output_tensor_metadata", ["TensorMetadata"]),
    ),
    "TensorMetadata": (
        ("name", str),
        ("description", str),
        ("dimension_names", [str]),
        ("content", "Content"),
        ("process_units", ["ProcessUnit"]),
        ("stats", "Stats"),
    ),
    "Content": (("type", number_types.Uint8Flags), ("properties", "ImageProperties")),
    "ImageProperties": (("color_space", number_types.Int8Flags), ("default_size", "ImageSize")),
    "ImageSize": (("width", number_types.Uint32Flags), ("height", number_types.Uint32Flags)),
    "ProcessUnit": (("type", number_types.Uint8Flags), ("options", "NormalizationOptions")),
    "NormalizationOptions": (("mean", [float]), ("std", [float])),
    "Stats": (("max", [float]), ("min", [float])),
    "AssociatedFile": (("name", str), ("description", str), ("type", number_types.Int8Flags)),
}
IMAGE_PROPERTIES, RGB, NORMALIZATION_OPTIONS, DESCRIPTIONS = 2, 1, 1, 1


def read(table: Table, kind: str) -> dict:
    assert (
        table.Get(number_types.VOffsetTFlags, table.Pos - offset_of_vtable(table)) - 4
    ) // 2 <= (len(FIELDS[kind])), f"{kind} has more fields than expected"
    found = {}
    for slot, (name, what) in enumerate(FIELDS[kind]):
        at = table.Offset(4 + 2 * slot)
        if not at:
            continue
        if what is str:
            found[name] = table.String(table.Pos + at).decode()
        elif isinstance(what, str):
            found[name] = read(Table(table.Bytes, table.Indirect(table.Pos + at)), what)
        elif isinstance(what, list):
            start, count = table.Vector(at), table.VectorLen(at)
            found[name] = [item(table, start + 4 * i, what[0]) for i in range(count)]
        else:
            found[name] = table.Get(what, table.Pos + at)
    return found


def item(table: Table, position: int, what) -> object:
    if what is str:
        return table.String(position).decode()
    if what is float:
        return table.Get(number_types.Float32Flags, position)
    return read(Table(table.Bytes, table.Indirect(position)), what)


def offset_of_vtable(table: Table) -> int:
    return table.Get(number_types.SOffsetTFlags, table.Pos)


def metadata_of(model: bytes) -> dict:
    root = schema.Model.GetRootAsModel(model, 0)
    (buffer,) = (
        root.Buffers(root.Metadata(i).Buffer())
        for i in range(root.MetadataLength())
        if root.Metadata(i).Name() == b"TFLITE_METADATA"
    )
    data = buffer.DataAsNumpy().tobytes()
    assert data[4:8] == b"M001"
    return read(Table(data, int.from_bytes(data[:4], "little")), "ModelMetadata")


def model_for(dtype: tf.DType, shape: tuple[int | None, ...] = (1, 16, 24, 3)) -> bytes:
    """A model of one operator for pictures of a dtype."""

    def run(pictures):
        return {"anime": tf.tanh(pictures)}

    module = tf.Module()
    module.run = tf.function(run, [tf.TensorSpec(shape, name="pictures")], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.run.get_concrete_function()], module
    )
    if dtype != tf.float32:
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        ramp = np.linspace(-1, 1, 16 * 24 * 3, dtype=np.float32).reshape(1, 16, 24, 3)
        converter.representative_dataset = lambda: [[ramp]]
        converter.inference_input_type = converter.inference_output_type = dtype
    return converter.convert()


@pytest.fixture(scope="module")
def float_model() -> bytes:
    return model_for(tf.float32, (None, None, None, 3))


def test_content(float_model):
    found = metadata_of(add_metadata(float_model, CARD))
    (graph,) = found.pop("subgraph_metadata")
    files = found.pop("associated_files")
    assert found == {
        "name": "ink (animegan_v2)",
        "description": "Turns photos into pictures of the style ink: black lines. "
        "Training data: drawings of our own.",
        "version": "weights 0123456789ab",
        "author": "Exported by anime_tf 1.2.3",
        "license": "CC-BY-4.0",
        "min_parser_version": "1.0.0",
    }
    assert [(file["name"], file["type"]) for file in files] == [
        ("model_card.json", DESCRIPTIONS),
        ("MODEL_CARD.md", DESCRIPTIONS),
    ]
    (photo,), (anime,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    assert (photo["name"], anime["name"]) == ("pictures", "anime")
    assert photo["description"].endswith("pixel / 127.5 - 1, from -1 to 1. Any size.")
    for tensor in (photo, anime):
        assert tensor["dimension_names"] == ["batch", "height", "width", "channel"]
        assert tensor["content"] == {
            "type": IMAGE_PROPERTIES,
            "properties": {"color_space": RGB, "default_size": {"width": 256, "height": 256}},
        }
        assert tensor["stats"] == {"min": [-1.0], "max": [1.0]}
        assert [unit["type"] for unit in tensor["process_units"]] == [NORMALIZATION_OPTIONS]
    # (x - mean) / std takes 0 and 255 to -1 and 1 at the input, and these back at the output.
    into, out_of = (tensor["process_units"][0]["options"] for tensor in (photo, anime))
    assert [(x - into["mean"][0]) / into["std"][0] for x in (0, 255)] == [-1, 1]
    back = [(y - out_of["mean"][0]) / out_of["std"][0] for y in (-1, 1)]
    assert back == pytest.approx([0, 255])


@pytest.mark.parametrize(("dtype", "limits"), [(tf.uint8, (0, 255)), (tf.int8, (-128, 127))])
def test_quantized_pictures_of_one_size(dtype, limits):
    (graph,) = metadata_of(add_metadata(model_for(dtype), CARD))["subgraph_metadata"]
    (photo,), (anime,) = graph["input_tensor_metadata"], graph["output_tensor_metadata"]
    for tensor in (photo, anime):
        assert (tensor["stats"]["min"], tensor["stats"]["max"]) == ([limits[0]], [limits[1]])
        assert tensor["content"]["properties"]["default_size"] == {"width": 24, "height": 16}
        assert tensor["description"].endswith(
            ", quantized with the parameters of the tensor. 24x16 pixels."
        )
    # As for the float model: the normalization precedes the quantization.
    assert photo["process_units"][0]["options"] == {"mean": [127.5], "std": [127.5]}


def test_results_do_not_change(exports):
    model = (exports["animegan_v2"].folder / "model.tflite").read_bytes()
    root = schema.Model.GetRootAsModel(model, 0)
    buffers = [root.Buffers(i) for i in range(root.BuffersLength())]
    starts = [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]
    assert len(starts) > 40 and not any(start % 16 for start in starts)

    bare = schema.ModelT.InitFromObj(root)
    bare.metadata = [entry for entry in bare.metadata if entry.name != b"TFLITE_METADATA"]
    builder = flatbuffers.Builder(0)
    builder.Finish(bare.Pack(builder), file_identifier=b"TFL3")
    again = add_metadata(bytes(builder.Output()), CARD)
    assert metadata_of(again)["name"] == "ink (animegan_v2)"
    x = np.random.default_rng(6).uniform(-1, 1, (2, 21, 33, 3)).astype(np.float32)
    first, second = (TFLiteEngine.from_bytes(data, "model")(x) for data in (model, again))
    np.testing.assert_array_equal(first, second)


def test_model_card_is_appended(float_model):
    model = add_metadata(float_model, CARD)
    assert model == add_metadata(float_model, CARD), "the same bytes at every call"
    with zipfile.ZipFile(io.BytesIO(model)) as archive:
        assert archive.namelist() == ["model_card.json", "MODEL_CARD.md"]
        assert json.loads(archive.read("model_card.json"))["license"] == "CC-BY-4.0"
        assert archive.read("MODEL_CARD.md").decode() == CARD.as_markdown()


def test_text_in_any_script(float_model):
    card = dataclasses.replace(CARD, style="水彩", training_data="«dessins»")
    found = metadata_of(add_metadata(float_model, card))
    assert found["name"] == "水彩 (animegan_v2)" and "«dessins»" in found["description"]


def test_invalid_models(float_model):
    with pytest.raises(ValueError, match="expected a TFLite model for metadata"):
        add_metadata(b"something else", CARD)
    with pytest.raises(ValueError, match="without TFLITE_METADATA; export it again"):
        add_metadata(add_metadata(float_model, CARD), CARD)
    with pytest.raises(ValueError, match="pictures .* of float32, uint8 or int8"):
        add_metadata(model_for(tf.float32, (None, 3)), CARD)

    @tf.function(input_signature=[tf.TensorSpec((3,)), tf.TensorSpec((3,))], autograph=False)
    def two(x, y):
        return x + y

    module = tf.Module()
    module.two = two
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [two.get_concrete_function()], module
    )
    with pytest.raises(ValueError, match="of one input and one output"):
        add_metadata(converter.convert(), CARD)
