"""TFLite models: operators, sizes, quantisation, and what the check refuses."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from anime_tf.data import pictures
from anime_tf.export import folder
from anime_tf.export.checks import measure
from anime_tf.export.tflite import (
    FORBIDDEN,
    GRAPH_BYTES,
    QUANTIZATIONS,
    check_tflite,
    convert_tflite,
    operators,
    size_range,
)
from anime_tf.inference.any_picture import AnyPicture
from anime_tf.inference.engines import KerasEngine, TFLiteEngine
from anime_tf.models.registry import GENERATORS

litert = pytest.importorskip(
    "ai_edge_litert.interpreter", reason="LiteRT (the extra tflite) is not installed"
)

ROUNDING = 1e-4  # other kernels with another order of additions, through 24 layer norms


@pytest.mark.parametrize("name", GENERATORS)
def test_one_model_takes_every_size(exports, name):
    model, _, exported = exports[name]
    data = (exported / "model.tflite").read_bytes()
    assert not FORBIDDEN & set(operators(data))
    assert operators(data)["MIRROR_PAD"] > 10 and operators(data)["GATHER"] == 2
    interpreter = litert.Interpreter(model_content=data)
    signature = {"inputs": ["pictures_pm1"], "outputs": ["anime_pm1"]}
    assert interpreter.get_signature_list() == {"serving_default": signature}
    (inputs,), (outputs,) = interpreter.get_input_details(), interpreter.get_output_details()
    random = np.random.default_rng(3)
    # Back and forth: nothing of one size may stay for the next.
    for shape in ((1, 32, 48, 3), (2, 17, 23, 3), (1, 1, 1, 3), (1, 3, 50, 3), (1, 32, 48, 3)):
        x = random.uniform(-1, 1, shape).astype(np.float32)
        interpreter.resize_tensor_input(inputs["index"], shape, strict=True)
        interpreter.allocate_tensors()
        interpreter.set_tensor(inputs["index"], x)
        interpreter.invoke()
        padded, padding = pictures.pad_to_multiple(x, model.STRIDE, model.MINIMUM_SIDE)
        expected = pictures.crop_padding(np.asarray(model(padded)), padding)
        actual = interpreter.get_tensor(outputs["index"])
        np.testing.assert_allclose(actual, expected, atol=ROUNDING)


def test_quantised_weights_are_smaller_and_close_to_the_network(exports):
    reference = KerasEngine(exports["animegan_v2_light"].model)
    network = reference.network
    models = {"none": (exports["animegan_v2_light"].folder / "model.tflite").read_bytes()}
    models |= {quantize: convert_tflite(network, quantize) for quantize in ("float16", "dynamic")}
    ratios = []
    for quantize, data in models.items():
        check_tflite(data, network, quantize)
        ratios.append(measure(TFLiteEngine.from_bytes(data, quantize), reference, [(32, 48)]).psnr)
    # On random weights, which are the hardest to match.
    assert ratios[0] > 90 > ratios[1] > 50 > ratios[2] > 30
    sizes = [len(data) for data in models.values()]
    assert sizes == sorted(sizes, reverse=True)
    values = sum(int(np.prod(weight.shape)) for weight in network.weights)
    # float16 saves two bytes a value, less what the operators that widen them take.
    assert 1.7 < (sizes[0] - sizes[1]) / values <= 2


def test_the_check_refuses_what_is_not_the_network(exports):
    data = (exports["animegan_v2"].folder / "model.tflite").read_bytes()
    wide = AnyPicture(GENERATORS["animegan_v2"](width=24))
    with pytest.raises(ValueError, match="model.tflite: has .* bytes, expected"):
        check_tflite(data, wide)
    with pytest.raises(ValueError, match="no TFLite model"):
        check_tflite(b"", wide)


def test_the_check_refuses_weights_that_were_not_frozen(exports):
    variable = tf.Variable(tf.ones((3,)))

    @tf.function(input_signature=[tf.TensorSpec((3,))], autograph=False)
    def run(x):
        return variable.assign_add(x)

    holder = tf.Module()
    holder.run, holder.variable = run, variable
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [run.get_concrete_function()], holder
    )
    converter.experimental_enable_resource_variables = True
    network = AnyPicture(exports["animegan_v2"].model)
    with pytest.raises(ValueError, match="holds .*READ_VARIABLE, VAR_HANDLE, expected frozen"):
        check_tflite(converter.convert(), network)


def test_size_range():
    assert size_range([2000, 10], 4) == (8000, 8040 + GRAPH_BYTES)
    assert size_range([2000, 10], 1) == (2000, 2040 + GRAPH_BYTES)


def test_quantisations_are_those_of_the_flag(exports):
    assert tuple(QUANTIZATIONS) == folder.QUANTIZE_CHOICES
    network = AnyPicture(exports["animegan_v2"].model)
    with pytest.raises(ValueError, match="quantize must be one of none, float16, dynamic"):
        convert_tflite(network, "int4")
