"""Engines against the network called directly."""

from __future__ import annotations

import re
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import tensorflow as tf
from tolerances import unless_flat

from anime_tf import Stylizer
from anime_tf.export.tflite import convert_tflite
from anime_tf.inference import config
from anime_tf.inference.engines.engine import (
    ENGINE_OF_SUFFIX,
    ENGINES,
    PRECISE_ENGINES,
    KerasEngine,
    OnnxEngine,
    SavedModelEngine,
    TFLiteEngine,
    open_engine,
)
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.io.pictures import to_pm1, to_u8
from anime_tf.models.registry import GENERATORS

ROUNDING = 1e-5  # the compiled graph may fuse what the eager network does step by step
BFLOAT16_RMS = 8  # levels of 255; random weights, whose output is noise, are the hardest case
LEVEL = 1  # of 255: where float rounding lies on the border between two levels
EXPORTS = {"saved_model": SavedModelEngine, "model.tflite": TFLiteEngine}


def test_keras_engine_equals_the_network_in_every_size_with_one_trace(generator, archive):
    engine = KerasEngine.load(archive)
    random = np.random.default_rng(1)
    for shape in ((1, 16, 16, 3), (2, 32, 20, 3), (1, 64, 48, 3)):
        x = random.uniform(-1, 1, shape).astype(np.float32)
        y = engine(x)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, generator(x), atol=ROUNDING)


def test_the_engine_keeps_its_network_alive(archive):
    import gc

    engine = open_engine(archive)
    gc.collect()
    assert engine(np.zeros((1, 16, 16, 3), np.float32)).shape == (1, 16, 16, 3)


def test_engine_names(archive, tmp_path):
    assert isinstance(open_engine(archive, "keras"), KerasEngine)
    assert isinstance(open_engine(archive, "auto"), KerasEngine)
    with pytest.raises(ValueError, match="engine must be one of auto, keras, .*, received 'torch'"):
        open_engine(archive, "torch")
    with pytest.raises(ValueError, match="expected a .keras archive, got a folder"):
        open_engine(tmp_path, "keras")
    assert set(ENGINE_OF_SUFFIX.values()) <= set(ENGINES)
    assert tuple(ENGINES) == config.ENGINES


def test_precisions(archive, exports, photo):
    """Keras computes in bfloat16 where it is asked to; a SavedModel is what it was exported as."""
    x = photo(48, 64)
    exact, near = (Stylizer(archive, engine_precision=name) for name in ("float32", "bfloat16"))
    difference = exact(x).astype(float) - near(x)
    assert np.abs(difference).max() > 0, "bfloat16 has 8 bits"
    assert np.sqrt(np.mean(difference**2)) < BFLOAT16_RMS
    np.testing.assert_array_equal(exact(x), Stylizer(archive)(x))
    with pytest.raises(ValueError, match="engine_precision must be one of auto, .* 'float8'"):
        Stylizer(archive, engine_precision="float8")
    with pytest.raises(ValueError, match="engine saved_model computes in what its weights are"):
        Stylizer(exports["animegan_v2"].folder / "saved_model", engine_precision="bfloat16")


@pytest.mark.parametrize("name", GENERATORS)
def test_every_engine_gives_the_same_picture(exports, onnx_models, photo, name):
    _, archive, folder = exports[name]
    by_keras = Stylizer(archive)
    others = {kind: Stylizer(folder / kind) for kind in EXPORTS}
    others["model.onnx"] = Stylizer(onnx_models[name])
    for kind, engine in {**EXPORTS, "model.onnx": OnnxEngine}.items():
        assert isinstance(others[kind]._engine, engine), "auto goes by the kind of weights"
    for x in (photo(48, 64), photo(1, 1), photo(37, 22, channels=4), np.stack([photo(9, 30)] * 2)):
        expected = by_keras(x).astype(int)
        for kind, stylizer in others.items():
            difference = np.abs(stylizer(x).astype(int) - expected).max()
            assert difference <= unless_flat(LEVEL, name, x.shape), (
                f"{kind}, {x.shape}: {difference} levels"
            )


def test_keras_alone_holds_statistics(exports, photo):
    _, archive, folder = exports["animegan_v2"]
    assert Stylizer(archive).supports_ema
    for kind in EXPORTS:
        stylizer = Stylizer(folder / kind)
        assert not stylizer.supports_ema
        with pytest.raises(ValueError, match="expected the engine keras .* --engine=keras"):
            stylizer.stylize_ema(photo(16, 16), None, 1.0)


@pytest.mark.parametrize("name", ("tflite", "onnx", "openvino"))
def test_threads_share_one_engine(exports, request, name):
    """One that holds the tensors of a call: calls must not disturb each other."""
    if name == "onnx":
        path = request.getfixturevalue("onnx_models")["animegan_v2"]
    else:
        path = exports["animegan_v2"].folder / (
            "model.tflite" if name == "tflite" else "saved_model"
        )
    if name == "openvino":
        pytest.importorskip("openvino", reason="openvino (the extra openvino) is not installed")
    engine = open_engine(path, name, "float32" if name in PRECISE_ENGINES else "auto")
    random = np.random.default_rng(4)
    shapes = [(1, 16 + 5 * i, 30 - 3 * i, 3) for i in range(4)] * 2
    batches = [random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engine, batches))
    for x, y in zip(batches, together, strict=True):
        assert y.dtype == np.float32 and y.shape == x.shape
        np.testing.assert_allclose(engine(x), y, atol=0 if name == "tflite" else ROUNDING)


def test_a_tflite_model_of_one_size_takes_smaller_pictures(generator):
    data = convert_tflite(PaddedGenerator(generator, (24, 32)))
    engine, network = TFLiteEngine.from_bytes(data, "fixed.tflite"), KerasEngine(generator)
    random = np.random.default_rng(6)
    for shape in ((1, 24, 32, 3), (3, 24, 32, 3), (2, 17, 23, 3), (1, 1, 1, 3)):
        x = random.uniform(-1, 1, shape).astype(np.float32)
        height, width = shape[1:3]
        # 0 1 2 1 0 1 ... for a side of 3, as for every network that needs a larger picture.
        around = ((0, 0), (0, 24 - height), (0, 32 - width), (0, 0))
        y = engine(x)
        assert y.shape == x.shape
        expected = network(np.pad(x, around, mode="reflect"))[:, :height, :width]
        np.testing.assert_allclose(y, expected, atol=ROUNDING)
    words = "fixed.tflite: takes pictures of up to 32x24 pixels, received {}; shrink them with max_"
    for height, width in ((25, 32), (24, 33), (1, 40)):
        with pytest.raises(ValueError, match=words.format(f"{width}x{height}") + "side=24, or exp"):
            engine(np.zeros((1, height, width, 3), np.float32))


def test_a_tflite_model_in_pixels():
    """A network that turns pixels into their negative, so that every level is known."""

    def negative(pictures_u8):
        return {"anime_u8": tf.cast(255.0 - tf.cast(pictures_u8, tf.float32), tf.uint8)}

    module = tf.Module()
    spec = tf.TensorSpec((None, None, None, 3), tf.uint8, name="pictures_u8")
    module.run = tf.function(negative, input_signature=[spec], autograph=False)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.run.get_concrete_function()], module
    )
    engine = TFLiteEngine.from_bytes(converter.convert(), "pixels.tflite")
    for shape in ((1, 16, 16, 3), (2, 5, 9, 3)):
        x = np.random.default_rng(8).integers(0, 256, shape, np.uint8)
        y = engine(to_pm1(x))
        assert y.dtype == np.float32
        np.testing.assert_array_equal(to_u8(y), 255 - x)


def test_what_is_no_saved_model_of_ours(exports, archive, tmp_path):
    with pytest.raises(FileNotFoundError, match="none: no such folder"):
        open_engine(tmp_path / "none", "saved_model")
    with pytest.raises(ValueError, match="expected a SavedModel folder, found a file"):
        open_engine(archive, "saved_model")
    with pytest.raises(ValueError, match="found a folder without saved_model.pb$"):
        open_engine(tmp_path)
    with pytest.raises(ValueError, match="exported/saved_model$"):
        open_engine(exports["animegan_v2"].folder)
    (tmp_path / "saved_model.pb").write_bytes(b"broken")
    with pytest.raises(ValueError, match="the SavedModel is incomplete or damaged"):
        open_engine(tmp_path)

    @tf.function(input_signature=[tf.TensorSpec((1, 256, 256, 3))], autograph=False)
    def fixed(x):
        return {"y": x}

    module = tf.Module()
    tf.saved_model.save(module, str(tmp_path / "other"), signatures=fixed)
    with pytest.raises(ValueError, match="of any size, found another network"):
        open_engine(tmp_path / "other")
    tf.saved_model.save(module, str(tmp_path / "empty"))
    with pytest.raises(ValueError, match="of any size, found another network"):
        open_engine(tmp_path / "empty")


def test_what_is_no_tflite_model_of_ours(exports, archive, tmp_path, monkeypatch):
    whole = exports["animegan_v2"].folder / "model.tflite"
    with pytest.raises(FileNotFoundError, match="none.tflite: no such file"):
        open_engine(tmp_path / "none.tflite")
    with pytest.raises(ValueError, match="expected a TFLite model, found another kind of file"):
        open_engine(archive, "tflite")
    with pytest.raises(ValueError, match="expected a .tflite file, found a folder"):
        open_engine(tmp_path, "tflite")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"")
    with pytest.raises(ValueError, match="found an empty file"):
        open_engine(broken)
    broken.write_bytes(whole.read_bytes()[:-5000])
    with pytest.raises(ValueError, match="broken.tflite: the TFLite model is cut off, damaged"):
        open_engine(broken)

    module = tf.Module()
    for shape, returns in (
        ((2, 256, 256, 3), lambda x: x * 2.0),  # of one size, but no single picture
        ((1, 256, 256, 4), lambda x: x * 2.0),
        ((1, 256, None, 3), lambda x: x * 2.0),
        ((1, 256, 256, 3), lambda x: x[:, ::2, ::2]),
        ((1, 256, 256, 3), lambda x: tf.cast(x, tf.uint8)),
    ):
        spec = tf.TensorSpec(shape)
        module.other = tf.function(returns, input_signature=[spec], autograph=False)
        converter = tf.lite.TFLiteConverter.from_concrete_functions(
            [module.other.get_concrete_function()], module
        )
        (tmp_path / "other.tflite").write_bytes(converter.convert())
        found = str(tuple(-1 if n is None else n for n in shape))
        with pytest.raises(ValueError, match=rf"of one, found float32 {re.escape(found)}, "):
            open_engine(tmp_path / "other.tflite")

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match="need LiteRT.*pip install ai-edge-litert"):
        open_engine(whole)


def test_what_is_no_onnx_model_of_ours(onnx_models, archive, tmp_path, monkeypatch):
    onnx = pytest.importorskip("onnx", reason="onnx (the extra onnx) is not installed")
    whole = onnx_models["animegan_v2"]
    with pytest.raises(FileNotFoundError, match="none.onnx: no such file"):
        open_engine(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match="expected an .onnx file, found a folder"):
        open_engine(tmp_path, "onnx")
    broken = tmp_path / "broken.onnx"
    for content in (b"", archive.read_bytes(), whole.read_bytes()[:-5000]):
        broken.write_bytes(content)
        with pytest.raises(ValueError, match="broken.onnx: the file is no ONNX model, or cut off"):
            open_engine(broken)

    fixed = onnx.load(whole)
    fixed.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 256
    onnx.save(fixed, tmp_path / "fixed.onnx")
    words = r"any size, found tensor\(float\) \['batch', 256, 'width', 3\]; make one with"
    with pytest.raises(ValueError, match=words):
        open_engine(tmp_path / "fixed.onnx")

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="need ONNX Runtime.*pip install onnxruntime"):
        open_engine(whole)
