"""OpenVINO against Keras on the same weights."""

from __future__ import annotations

import gc
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from tolerances import picture_tolerance

from anime_tf import Stylizer
from anime_tf.inference.accuracy import PROBE_SIDE
from anime_tf.inference.autotune import open_engine
from anime_tf.inference.engines.keras import KerasEngine
from anime_tf.inference.engines.openvino import OpenVinoEngine, fuse_norms, read_model
from anime_tf.models.norms import PictureNorm
from anime_tf.models.registry import GENERATORS

LEVEL = 1  # of 255: float rounding at the border of two levels
ROUNDING = 1e-4  # other kernels and another order of sums, through two dozen norms
BFLOAT16_RMS = 8  # levels of 255; random weights, whose output is noise, are the hardest case

openvino = pytest.importorskip("openvino", reason="openvino (the extra openvino) is not installed")


def test_every_generator_equals_keras_in_every_size(exports, keras_pictures):
    for name in GENERATORS:
        _, archive, folder = exports[name]
        # An archive takes seconds to convert, so one of them.
        source = archive if name == "animegan_v2" else folder / "saved_model"
        by_openvino = Stylizer(source, engine="openvino", engine_precision="float32")
        assert isinstance(by_openvino._engine, OpenVinoEngine)
        for x, expected in keras_pictures(name):
            y = by_openvino(x)
            assert y.shape == x.shape
            difference = np.abs(y.astype(int) - expected).max()
            assert difference <= picture_tolerance(LEVEL, name, x.shape), (
                f"{name}, {x.shape}: {difference} levels"
            )


def test_an_onnx_model(exports, onnx_models, photo):
    by_openvino = Stylizer(onnx_models["animegan_v2"], engine="openvino")
    x = photo(40, 52)
    expected = Stylizer(exports["animegan_v2"].archive)(x).astype(float)
    assert np.sqrt(np.mean((by_openvino(x) - expected) ** 2)) < BFLOAT16_RMS


def test_precisions(exports):
    _, archive, folder = exports["animegan_v2"]
    x = np.random.default_rng(3).uniform(-1, 1, (1, PROBE_SIDE, 96, 3)).astype(np.float32)
    expected = KerasEngine.load(archive)(x)
    engines = {
        name: OpenVinoEngine(folder / "saved_model", name)
        for name in ("float32", "bfloat16", "auto")
    }
    np.testing.assert_allclose(engines["float32"](x), expected, atol=ROUNDING)
    difference = engines["bfloat16"](x) - expected
    assert np.sqrt(np.mean(np.square(difference))) * 127.5 < BFLOAT16_RMS
    chosen = engines["auto"].precision
    assert engines["bfloat16"].precision == "bfloat16"
    np.testing.assert_array_equal(engines["auto"](x), engines[chosen](x))
    if "BF16" not in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        assert chosen == "float32"


def test_weights_outlive_the_network(archive, generator):
    model = read_model(archive)
    gc.collect()
    # Overwrites the memory of the deleted network.
    sizes = {weight.value.shape.num_elements() for weight in generator.weights}
    over = [tf.fill([size * part // 9], np.nan) for size in sizes for part in (1, 4, 6, 9)] * 20
    x = np.random.default_rng(5).uniform(-1, 1, (1, 40, 36, 3)).astype(np.float32)
    y = openvino.Core().compile_model(model, "CPU")([x])[0]
    assert over and np.isfinite(y).all()


def test_fused_norms_are_one_operation_each(archive, generator):
    model = read_model(archive)
    kinds = [op.get_type_name() for op in model.get_ordered_ops()]
    fuse_norms(model)
    fused = [op.get_type_name() for op in model.get_ordered_ops()]
    assert "MVN" not in kinds and "ReduceMean" not in fused
    norms = [layer for layer in generator._flatten_layers() if isinstance(layer, PictureNorm)]
    assert fused.count("MVN") == len(norms)
    x = np.random.default_rng(5).uniform(-1, 1, (1, 40, 36, 3)).astype(np.float32)
    settings = {"INFERENCE_PRECISION_HINT": "f32"}
    y = openvino.Core().compile_model(model, "CPU", settings)([x])[0]
    np.testing.assert_allclose(y, generator(x), atol=ROUNDING)


def test_invalid_weights(exports, tmp_path, monkeypatch):
    with pytest.raises(FileNotFoundError, match="none: no such weights"):
        open_engine(tmp_path / "none", "openvino")
    with pytest.raises(ValueError, match="expected a .keras archive, .* got a damaged one or anot"):
        open_engine(tmp_path, "openvino")
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"\x08\x07 and then nothing of the kind")
    with pytest.raises(ValueError, match="broken.onnx: expected a .keras archive"):
        open_engine(broken, "openvino")
    (tmp_path / "text.keras").write_text("no archive")
    with pytest.raises(ValueError, match="expected a .keras archive, got another kind of file"):
        open_engine(tmp_path / "text.keras", "openvino")

    import tensorflow as tf

    module = tf.Module()
    spec = tf.TensorSpec((1, 64, 64, 3), name="x")
    run = tf.function(lambda x: {"y": x * 2.0}, input_signature=[spec], autograph=False)
    tf.saved_model.save(module, str(tmp_path / "fixed"), signatures=run)
    with pytest.raises(ValueError, match=r"of any size, got f32 \[1,64,64,3\]; make one with"):
        open_engine(tmp_path / "fixed", "openvino")

    monkeypatch.setitem(sys.modules, "openvino", None)
    with pytest.raises(ValueError, match="needs OpenVINO.*; pip install openvino$"):
        open_engine(exports["animegan_v2"].archive, "openvino")


def test_a_saved_model_needs_no_tensorflow(exports):
    weights = str(exports["animegan_v2"].folder / "saved_model")
    code = (
        "import sys; from anime_tf import Stylizer; import numpy as np;"
        "y = Stylizer(sys.argv[1], engine='openvino')(np.zeros((20, 30, 3), np.uint8));"
        "print(y.shape, 'tensorflow' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, weights], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "(20, 30, 3) False\n"
