"""All engines: their names, equal results, and calls from several threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from tolerances import picture_tolerance

from anime_tf import Stylizer
from anime_tf.inference import config
from anime_tf.inference.autotune import open_engine
from anime_tf.inference.engines.factory import ENGINES, PACKAGES
from anime_tf.inference.engines.keras import KerasEngine
from anime_tf.inference.engines.onnx import OnnxEngine
from anime_tf.inference.engines.saved_model import SavedModelEngine
from anime_tf.inference.engines.tflite import TFLiteEngine
from anime_tf.models.registry import GENERATORS

ROUNDING = 1e-5  # other kernels or another order of sums
BFLOAT16_RMS = 8  # levels of 255; random weights, whose output is noise, are the hardest case
LEVEL = 1  # of 255: float rounding at the border of two levels
EXPORTS = {"saved_model": SavedModelEngine, "model.tflite": TFLiteEngine}


def test_engine_names(archive, tmp_path):
    assert isinstance(open_engine(archive, "keras"), KerasEngine)
    assert isinstance(open_engine(archive, "auto"), KerasEngine)
    with pytest.raises(ValueError, match="engine: expected one of auto, keras, .*, got 'torch'"):
        open_engine(archive, "torch")
    with pytest.raises(ValueError, match="expected a .keras archive, got a folder"):
        open_engine(tmp_path, "keras")
    assert tuple(ENGINES) == config.ENGINES
    assert set(PACKAGES) == set(ENGINES)


def test_precisions(archive, exports, photo):
    """Keras has a choice of precision; a SavedModel computes as it was exported."""
    x = photo(48, 64)
    exact, near = (Stylizer(archive, engine_precision=name) for name in ("float32", "bfloat16"))
    difference = exact(x).astype(float) - near(x)
    assert np.abs(difference).max() > 0, "bfloat16 has 8 bits"
    assert np.sqrt(np.mean(difference**2)) < BFLOAT16_RMS
    np.testing.assert_array_equal(exact(x), Stylizer(archive)(x))
    with pytest.raises(ValueError, match="engine_precision: expected one of auto, .* got 'float8'"):
        Stylizer(archive, engine_precision="float8")
    with pytest.raises(
        ValueError,
        match="the engine saved_model, which computes in the",
    ):
        Stylizer(exports["animegan_v2"].folder / "saved_model", engine_precision="bfloat16")


@pytest.mark.parametrize("name", GENERATORS)
def test_every_engine_gives_the_same_picture(exports, onnx_models, keras_pictures, name):
    folder = exports[name].folder
    others = {kind: Stylizer(folder / kind) for kind in EXPORTS}
    others["model.onnx"] = Stylizer(onnx_models[name])
    for kind, engine in {**EXPORTS, "model.onnx": OnnxEngine}.items():
        assert isinstance(others[kind]._engine, engine), "auto depends on the kind of weights"
    for x, expected in keras_pictures(name):
        for kind, stylizer in others.items():
            difference = np.abs(stylizer(x).astype(int) - expected).max()
            assert difference <= picture_tolerance(LEVEL, name, x.shape), (
                f"{kind}, {x.shape}: {difference} levels"
            )


def test_only_keras_supports_ema_statistics(exports, photo):
    _, archive, folder = exports["animegan_v2"]
    assert Stylizer(archive).supports_ema
    for kind in EXPORTS:
        stylizer = Stylizer(folder / kind)
        assert not stylizer.supports_ema
        with pytest.raises(ValueError, match="expected the engine keras .* --engine=keras"):
            stylizer.stylize_ema(photo(16, 16), None, 1.0)


@pytest.mark.parametrize("name", ["tflite", "onnx", "openvino"])
def test_threads_share_one_engine(exports, request, name):
    """Engines with tensors of one call at a time."""
    if name == "onnx":
        path = request.getfixturevalue("onnx_models")["animegan_v2"]
    else:
        path = exports["animegan_v2"].folder / (
            "model.tflite" if name == "tflite" else "saved_model"
        )
    if name == "openvino":
        pytest.importorskip("openvino", reason="openvino (the extra openvino) is not installed")
    engine = open_engine(path, name, "float32")
    random = np.random.default_rng(4)
    shapes = [(1, 16 + 5 * i, 30 - 3 * i, 3) for i in range(4)] * 2
    batches = [random.uniform(-1, 1, shape).astype(np.float32) for shape in shapes]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(engine, batches))
    for x, y in zip(batches, together, strict=True):
        assert y.dtype == np.float32 and y.shape == x.shape
        np.testing.assert_allclose(engine(x), y, atol=0 if name == "tflite" else ROUNDING)
