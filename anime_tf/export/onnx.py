"""ONNX models of standard operators for pictures of any size, converted by tf2onnx.

Keras exports by the same package, but without the padding around a network.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any

from anime_tf.errors import first_line
from anime_tf.export.checks import Tolerance

if TYPE_CHECKING:
    from anime_tf.export.card import ModelCard
    from anime_tf.export.config import ExportConfig
    from anime_tf.inference.padded_generator import PaddedGenerator

OPSET = 17  # version of the operators; supported since 2022 (ONNX Runtime 1.12)

TOLERANCE = Tolerance(largest=1e-4)
"""Other kernels sum in another order in two dozen norms; 5e-6 was measured."""

REQUIREMENTS = ("onnx", "tf2onnx")  # packages of the converter; the extra ``onnx`` adds the runtime
AXES = ("batch", "height", "width")  # names of the axes of any length, of the input and the output


def check_installed() -> None:
    """Check that the converter is installed, without the seconds of importing it.

    Raises:
        ValueError: A package is not installed.
    """
    for name in REQUIREMENTS:
        if importlib.util.find_spec(name) is None:
            raise ValueError(
                f"exporting to ONNX needs {name}, which is not installed; "
                f"pip install {' '.join(REQUIREMENTS)} onnxruntime"
            )


def export(
    network: PaddedGenerator, path: Path, _config: ExportConfig, card: ModelCard
) -> Tolerance:
    """Write an ONNX model; return its tolerance."""
    path.write_bytes(convert_onnx(network, card))
    return TOLERANCE


def convert_onnx(network: PaddedGenerator, card: ModelCard | None = None) -> bytes:
    """Convert a network to the content of an ``.onnx`` file for float32 pictures.

    It maps ``pictures_pm1``, RGB (batch, height, width, 3) in [-1, 1], to ``anime_pm1`` of the same
    form. Batch, height and width may change from call to call. The card is stored as
    ``model_license`` and, as JSON, ``model_card``.

    Raises:
        ValueError: A package is missing, or the converter fails.
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
        raise ValueError(f"tf2onnx cannot convert this network ({first_line(error)})") from error
    _split_reductions(model)
    for side in (*model.graph.input, *model.graph.output):
        for dimension, name in zip(side.type.tensor_type.shape.dim, AXES, strict=False):
            dimension.dim_param = name
    if card is not None:
        properties = {"model_license": card.license, "model_card": card.as_json()}
        onnx.helper.set_model_props(model, properties)
        model.doc_string = f"Turns photos into pictures of the style {card.style}."
    try:
        onnx.checker.check_model(model, full_check=True)
    except (onnx.checker.ValidationError, onnx.shape_inference.InferenceError) as error:
        raise ValueError(
            f"expected a valid model from tf2onnx, got {first_line(error)}; please report this"
        ) from error
    return model.SerializeToString()


def _split_reductions(model: Any) -> None:
    """Split each mean over several axes into means over one axis each.

    ONNX Runtime sums all values of a mean in float32. For norms over a whole picture the error grew
    with the picture: 2e-3 of the output at 256 x 256 pixels and 8e-3 at 512 x 512, against 4e-6
    with short sums.
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
            target = node.output[0] if axis == axes[-1] else f"{node.output[0]}/axis{axis}"
            name = f"{node.name}/axis{axis}"
            nodes.append(helper.make_node("ReduceMean", [source], [target], name, axes=[axis]))
            source = target
    del model.graph.node[:]
    model.graph.node.extend(nodes)
