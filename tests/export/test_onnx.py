"""ONNX models: operators, sizes, and accuracy on large pictures."""

from __future__ import annotations

import json
import sys

import numpy as np
import pytest
import tensorflow as tf
from tolerances import picture_tolerance

from anime_tf.cli import app
from anime_tf.cli.export import COMMAND
from anime_tf.export import checks
from anime_tf.export.onnx import AXES, OPSET, TOLERANCE, check_installed, convert_onnx
from anime_tf.inference.engines.onnx import OnnxEngine
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.io.geometry import crop_padding, pad_to_multiple
from anime_tf.models.registry import GENERATORS

onnx = pytest.importorskip("onnx", reason="onnx (the extra onnx) is not installed")

ROUNDING = TOLERANCE.largest  # other kernels with another order of additions
SHORT_SUMS = 5e-6  # 40 float32 roundings at 1

SIGNATURE = tf.TensorSpec((None, None, None, 3), tf.float32, name="pictures_pm1")


@pytest.mark.parametrize("name", GENERATORS)
def test_one_model_takes_every_size_and_batch(exports, onnx_models, name):
    engine, model = OnnxEngine(onnx_models[name]), exports[name].model
    random = np.random.default_rng(3)
    # Back and forth: nothing of one size may stay for the next.
    for shape in ((1, 32, 48, 3), (2, 17, 23, 3), (1, 1, 1, 3), (1, 3, 50, 3), (1, 32, 48, 3)):
        x = random.uniform(-1, 1, shape).astype(np.float32)
        padded, padding = pad_to_multiple(x, model.STRIDE, model.MINIMUM_SIDE)
        expected = crop_padding(np.asarray(model(padded)), padding)
        np.testing.assert_allclose(
            engine(x), expected, atol=picture_tolerance(ROUNDING, name, shape)
        )


@pytest.mark.parametrize("name", GENERATORS)
def test_operators_and_axes(onnx_models, name):
    model = onnx.load(onnx_models[name])
    assert [(item.domain, item.version) for item in model.opset_import if not item.domain] == [
        ("", OPSET)
    ]
    assert {node.domain for node in model.graph.node} == {""}, "operators of ONNX alone"
    for side, tensor in ((model.graph.input, "pictures_pm1"), (model.graph.output, "anime_pm1")):
        (value,) = side
        shape = value.type.tensor_type.shape.dim
        assert value.name == tensor
        assert [axis.dim_param or axis.dim_value for axis in shape] == [*AXES, 3]
    for node in model.graph.node:
        if node.op_type.startswith("Reduce"):
            axes = onnx.helper.get_node_attr_value(node, "axes")
            assert len(axes) == 1, f"{node.name}: a sum of a whole picture loses digits"


def test_means_over_a_large_picture_are_accurate(tmp_path):
    """One sum of three million values in float32 is off by 6e-5; short sums by 5e-7."""
    pytest.importorskip("onnxruntime", reason="onnxruntime (the extra onnx) is not installed")

    class Norm(tf.Module):
        def __init__(self):
            super().__init__()

            def pm1(pictures_pm1):
                mean, variance = tf.nn.moments(pictures_pm1, axes=[1, 2, 3], keepdims=True)
                return {"anime_pm1": (pictures_pm1 - mean) * tf.math.rsqrt(variance)}

            self.pm1 = tf.function(pm1, input_signature=[SIGNATURE], autograph=False)

    (tmp_path / "norm.onnx").write_bytes(convert_onnx(Norm()))
    x = np.random.default_rng(1).uniform(-1, 1, (1, 1024, 1024, 3)).astype(np.float32)
    exact = x.astype(np.float64)
    expected = (exact - exact.mean()) / exact.std()
    np.testing.assert_allclose(OnnxEngine(tmp_path / "norm.onnx")(x), expected, atol=SHORT_SUMS)


def test_export_records_the_deviation(exports, tmp_path):
    pytest.importorskip("onnxruntime", reason="onnxruntime (the extra onnx) is not installed")
    flags = [f"--weights={exports['live'].archive}", f"--output={tmp_path}/out"]
    assert app.run(COMMAND, [*flags, "--formats=onnx", "--license=CC-BY-4.0"]) == 0
    record = json.loads((tmp_path / "out/export.json").read_text())
    assert record["files"]["model.onnx"]["largest"] <= TOLERANCE.largest
    model = onnx.load(tmp_path / "out/model.onnx")
    properties = {item.key: item.value for item in model.metadata_props}
    assert properties["model_license"] == "CC-BY-4.0"
    assert json.loads(properties["model_card"])["weights_sha256"] == record["weights_sha256"]
    assert OnnxEngine(tmp_path / "out/model.onnx")(checks.make_probes([(20, 30)])[0]).shape == (
        (1, 20, 30, 3)
    )


def test_missing_packages_are_reported_first(exports, tmp_path, monkeypatch, capsys):
    flags = [f"--weights={exports['animegan_v2'].archive}", f"--output={tmp_path}/out"]
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    assert app.run(COMMAND, [*flags, "--formats=onnx"]) == 2
    assert "ONNX models need ONNX Runtime" in capsys.readouterr().err
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="needs onnx, which is not installed; pip install onnx tf"):
        check_installed()
    with pytest.raises(ValueError, match="not installed"):
        convert_onnx(PaddedGenerator(exports["animegan_v2"].model))
    assert not (tmp_path / "out").exists()


def test_unsupported_operators():
    class Network(tf.Module):
        def __init__(self):
            super().__init__()

            def pm1(pictures_pm1):
                return {"anime_pm1": tf.raw_ops.Betainc(a=pictures_pm1, b=1.0, x=0.5)}

            self.pm1 = tf.function(pm1, input_signature=[SIGNATURE], autograph=False)

    with pytest.raises(ValueError, match="tf2onnx"):
        convert_onnx(Network())
