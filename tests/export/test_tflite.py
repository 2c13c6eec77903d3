"""TFLite models: operators, sizes, quantization and checks."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf
from tolerances import picture_tolerance

from anime_tf.export import config
from anime_tf.export.checks import make_probes, measure
from anime_tf.export.int8 import FLOAT_OUTPUTS
from anime_tf.export.tflite import (
    FORBIDDEN,
    GRAPH_BYTES,
    QUANTIZATIONS,
    check_tflite,
    convert_tflite,
    count_operators,
    size_range,
)
from anime_tf.inference.engines.keras import KerasEngine
from anime_tf.inference.engines.tflite import TFLiteEngine
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.io.geometry import crop_padding, pad_to_multiple
from anime_tf.io.pixels import to_u8
from anime_tf.models.registry import GENERATORS

litert = pytest.importorskip(
    "ai_edge_litert.interpreter", reason="LiteRT (the extra tflite) is not installed"
)

ROUNDING = 1e-4  # other kernels with another order of additions, through 24 layer norms


@pytest.mark.parametrize("name", GENERATORS)
def test_one_model_takes_every_size(exports, name):
    model, _, exported = exports[name]
    data = (exported / "model.tflite").read_bytes()
    assert not FORBIDDEN & set(count_operators(data))
    counts = count_operators(data)
    assert counts["GATHER"] == 2
    if name not in ("live", "live_large", "whitebox"):  # which pad by zeros
        assert counts["MIRROR_PAD"] > 10
    if name != "cartoongan":
        assert counts["RESIZE_BILINEAR"] >= 2, "upsampling is one operator each time"
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
        padded, padding = pad_to_multiple(x, model.STRIDE, model.MINIMUM_SIDE)
        expected = crop_padding(np.asarray(model(padded)), padding)
        actual = interpreter.get_tensor(outputs["index"])
        tolerance = picture_tolerance(ROUNDING, name, shape)
        np.testing.assert_allclose(actual, expected, atol=tolerance)


def test_quantized_weights_are_smaller_and_close_to_the_network(exports):
    reference = KerasEngine(exports["animegan_v2_light"].model)
    network = reference.network
    models = {kind: convert_tflite(network, kind) for kind in ("none", "float16", "dynamic")}
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


def test_check_rejects_other_networks(exports):
    data = (exports["animegan_v2"].folder / "model.tflite").read_bytes()
    wide = PaddedGenerator(GENERATORS["animegan_v2"](width=24))
    with pytest.raises(ValueError, match="model.tflite: expected .* bytes .*, got"):
        check_tflite(data, wide)
    with pytest.raises(ValueError, match="expected a TFLite model"):
        check_tflite(b"", wide)


def test_check_rejects_variables(exports):
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
    network = PaddedGenerator(exports["animegan_v2"].model)
    with pytest.raises(ValueError, match="expected frozen .*READ_VARIABLE, VAR_HANDLE"):
        check_tflite(converter.convert(), network)


def test_size_range():
    assert size_range([2000, 10], 4) == (8000, 8040 + GRAPH_BYTES)
    assert size_range([2000, 10], 1) == (2000, 2040 + GRAPH_BYTES)


def test_quantizations_match_the_flag(exports):
    assert tuple(QUANTIZATIONS) == config.QUANTIZATIONS
    network = PaddedGenerator(exports["animegan_v2"].model)
    with pytest.raises(ValueError, match="quantize: expected one of none, float16, dynamic, int8"):
        convert_tflite(network, "int4")


def test_one_size_has_four_axes_and_no_padding(exports):
    model = exports["animegan_v2_light"].model
    network = PaddedGenerator(model, (32, 48))
    data = convert_tflite(network, "float16")
    check_tflite(data, network, "float16")
    counts = count_operators(data)
    assert not set(counts) & {"GATHER", "PACK", "SHAPE", "STRIDED_SLICE", "RESHAPE", "TRANSPOSE"}
    interpreter = litert.Interpreter(model_content=data)
    assert max(len(tensor["shape"]) for tensor in interpreter.get_tensor_details()) == 4
    found = measure(TFLiteEngine.from_bytes(data, "x"), KerasEngine(model), [(32, 48)])
    assert found.psnr > 50


@pytest.mark.parametrize("name", GENERATORS)
def test_one_size_is_for_gpus(exports, name, capsys):
    data = convert_tflite(PaddedGenerator(exports[name].model, (32, 48)), "float16")
    tf.lite.experimental.Analyzer.analyze(model_content=data, gpu_compatibility=True)
    assert "looks compatible with GPU delegate" in capsys.readouterr().out


def test_unsupported_size(exports):
    model = exports["animegan_v2_light"].model
    for size, nearest in (((250, 256), 248), ((256, 8), 16)):
        with pytest.raises(ValueError, match=f"a multiple of 8 .* the nearest is {nearest}"):
            PaddedGenerator(model, size)


@pytest.mark.parametrize("size", [None, (32, 48)])
def test_int8_maps_pixels_to_pixels(exports, size):
    pytest.importorskip("ai_edge_quantizer", reason="the extra int8 is not installed")
    model = exports["animegan_v2"].model
    network = PaddedGenerator(model, size)
    photos = [
        (to_u8(x[:1]) if size else to_u8(x[:1, :64, :64])) for x in make_probes([size or (64, 64)])
    ]
    data = convert_tflite(network, "int8", photos)
    check_tflite(data, network, "int8")
    assert not FORBIDDEN & set(count_operators(data))
    interpreter = litert.Interpreter(model_content=data)
    signature = {"inputs": ["pictures_u8"], "outputs": ["anime_u8"]}
    assert interpreter.get_signature_list() == {"serving_default": signature}
    kinds = {
        d["dtype"] for d in (*interpreter.get_input_details(), *interpreter.get_output_details())
    }
    assert kinds == {np.uint8}
    weights = [t for t in interpreter.get_tensor_details() if t["dtype"] == np.int8]
    assert max(np.prod(t["shape"]) for t in weights) > 10_000, "weights are 8 bits"
    # The outputs of all convolutions but the last two are rounded.
    counts = count_operators(data)
    rounded = counts["CONV_2D"] + counts["DEPTHWISE_CONV_2D"] - FLOAT_OUTPUTS
    assert counts["QUANTIZE"] == counts["DEQUANTIZE"] == rounded
    engine = TFLiteEngine.from_bytes(data, "int8")
    found = measure(engine, KerasEngine(model), [size or (64, 64)])
    assert found.psnr > 26  # random weights, whose output is noise and thus the hardest to match
    if size is None:
        assert engine(make_probes([(37, 50)])[1]).shape == (2, 37, 50, 3)


def test_int8_needs_photos(exports):
    network = PaddedGenerator(exports["animegan_v2"].model)
    with pytest.raises(ValueError, match="expected a folder of photos to calibrate int8"):
        convert_tflite(network, "int8")
