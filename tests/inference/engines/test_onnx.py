"""`OnnxEngine`: invalid files."""

from __future__ import annotations

import sys

import pytest

from anime_tf.inference.autotune import open_engine


def test_invalid_models(onnx_models, archive, tmp_path, monkeypatch, capfd):
    onnx = pytest.importorskip("onnx", reason="onnx (the extra onnx) is not installed")
    whole = onnx_models["animegan_v2"]
    with pytest.raises(
        FileNotFoundError, match="none.onnx: no such file or folder; expected an .onnx file"
    ):
        open_engine(tmp_path / "none.onnx")
    with pytest.raises(ValueError, match="expected an .onnx file, got a folder"):
        open_engine(tmp_path, "onnx")
    broken = tmp_path / "broken.onnx"
    capfd.readouterr()
    no_text = whole.read_bytes().replace(b"Tanh", b"T\xe8nh")
    for content in (b"", archive.read_bytes(), whole.read_bytes()[:-5000], no_text):
        broken.write_bytes(content)
        with pytest.raises(ValueError, match="broken.onnx: expected an ONNX model, got anot"):
            open_engine(broken)
    assert capfd.readouterr() == ("", "")  # ONNX Runtime prints nothing of its own

    fixed = onnx.load(whole)
    fixed.graph.input[0].type.tensor_type.shape.dim[1].dim_value = 256
    onnx.save(fixed, tmp_path / "fixed.onnx")
    words = r"any size, got tensor\(float\) \['batch', 256, 'width', 3\]; make one with"
    with pytest.raises(ValueError, match=words):
        open_engine(tmp_path / "fixed.onnx")

    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(ValueError, match="need ONNX Runtime.*pip install onnxruntime"):
        open_engine(whole)
