"""A generator as an ONNX model of standard operators, for pictures of any size.

The conversion is tf2onnx's, whose last releases know TensorFlow 2.21, numpy 2 and protobuf 7; Keras
itself exports by it, but a network alone, without the padding around it.
"""

from __future__ import annotations

import importlib.util
from typing import TYPE_CHECKING, Any

from anime_tf.export.checks import Limit

if TYPE_CHECKING:
    from anime_tf.export.card import ModelCard
    from anime_tf.inference.padded_generator import PaddedGenerator

OPSET = 17
"""Of the operators; runtimes from 2022 on know it (ONNX Runtime 1.12), newer ones as well."""

LIMIT = Limit(largest=1e-4)
"""Other kernels with another order of additions, through two dozen norms: 5e-6 was seen."""

REQUIREMENTS = ("onnx", "tf2onnx")
"""What converting needs; also in the package's extra ``onnx``, with what runs the model."""

AXES = ("batch", "height", "width")
"""Names of the axes that take any length, those of the input and of the output."""


def check_installed() -> None:
    """Finds out whether the converter is there, without the seconds that loading it takes.

    Raises:
        ValueError: A package is not installed.
    """
    for name in REQUIREMENTS:
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"exporting to ONNX needs {name}, which is not installed; "
                f"pip install {' '.join(REQUIREMENTS)} onnxruntime"
            )


def convert_onnx(network: PaddedGenerator, card: ModelCard | None = None) -> bytes:
    """Converts a network to an ONNX model for float32 pictures.

    It takes ``pictures_pm1``, RGB (batch, height, width, 3) in [-1, 1], and gives ``anime_pm1``
    likewise; batch, height and width may be other ones at every call.

    Args:
        network: What to convert.
        card: What is known of it, kept in the model: its license under the standard's name
            ``model_license``, and all of it under ``model_card``, as JSON.

    Returns:
        The content of an ``.onnx`` file.

    Raises:
        ValueError: A package is missing, or the converter fails, or it gives an invalid model.
    """
    check_installed()
    import onnx
    import tf2onnx

    signature = network.pm1.input_signature
    try:
        model, _ = tf2onnx.convert.from_function(
            network.pm1, input_signature=signature, opset=OPSET
        )
    except (ValueError, RuntimeError, NotImplementedError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"tf2onnx cannot take this network ({reason})") from error
    _reduce_axis_by_axis(model)
    _name_axes(model)
    if card is not None:
        properties = {"model_license": card.license, "model_card": card.as_json()}
        onnx.helper.set_model_props(model, properties)
        model.doc_string = f"Turns photos into pictures of the style {card.style}."
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"tf2onnx gave an invalid model ({reason}); please report this") from error
    return model.SerializeToString()


def _reduce_axis_by_axis(model: Any) -> None:
    """Splits each mean over several axes into means over one axis each.

    ONNX Runtime adds up all that a mean takes in one go, in float32. A norm over a whole picture is
    a mean of millions of values, and the error of so long a sum grew with the picture: 2e-3 of the
    output at 256 x 256 pixels and 8e-3 at 512 x 512, against 4e-6 with short sums.
    """
    from onnx import helper

    nodes = []
    for node in model.graph.node:
        attributes = {item.name: helper.get_attribute_value(item) for item in node.attribute}
        axes = sorted(attributes.get("axes", ()), reverse=True)
        if node.op_type != "ReduceMean" or len(axes) < 2 or not attributes.get("keepdims", 1):
            nodes.append(node)
            continue
        source = node.input[0]
        for axis in axes:
            (target,) = node.output
            target = target if axis == axes[-1] else f"{target}/axis{axis}"
            nodes.append(
                helper.make_node(
                    "ReduceMean", [source], [target], f"{node.name}/axis{axis}", axes=[axis]
                )
            )
            source = target
    del model.graph.node[:]
    model.graph.node.extend(nodes)


def _name_axes(model: Any) -> None:
    """Names the axes of any length, which tf2onnx numbers: the output's are those of the input."""
    for side in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(side.type.tensor_type.shape.dim, AXES, strict=False):
            dimension.dim_param = name
