"""`TFLiteEngine`: models of one size, models of pixels, and invalid files."""

from __future__ import annotations

import re
import sys

import numpy as np
import pytest
import tensorflow as tf

from anime_tf.export.tflite import convert_tflite
from anime_tf.inference.autotune import open_engine
from anime_tf.inference.engines.keras import KerasEngine
from anime_tf.inference.engines.tflite import TFLiteEngine
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.io.geometry import limit_array_side
from anime_tf.io.pixels import to_pm1, to_u8

ROUNDING = 1e-5  # other kernels


def test_a_model_of_one_size_takes_smaller_pictures(generator):
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
    # The largest that fits: 24 * 32 / 25 = 30.7; a picture as wide as the model, but less high.
    for height, width, side in ((25, 32, 30), (24, 33, 32), (1, 40, 32), (100, 10, 24)):
        with pytest.raises(ValueError) as caught:
            engine(np.zeros((1, height, width, 3), np.float32))
        assert str(caught.value) == (
            "fixed.tflite: expected pictures of up to 32 x 24 pixels (width x height), got "
            f"{width} x {height}; shrink this one with --max_side={side}, or export without "
            "--image_size"
        )
        shrunk = limit_array_side(np.zeros((height, width, 3), np.uint8), side)
        assert engine(to_pm1(shrunk[None])).shape == (1, *shrunk.shape)


def test_a_model_of_pixels():
    """A network that inverts pixels, so that every level is known."""

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


def test_invalid_models(exports, archive, tmp_path, monkeypatch):
    whole = exports["animegan_v2"].folder / "model.tflite"
    with pytest.raises(
        FileNotFoundError, match="none.tflite: no such file or folder; expected a .tflite file"
    ):
        open_engine(tmp_path / "none.tflite")
    with pytest.raises(ValueError, match="expected a TFLite model, got another kind of file"):
        open_engine(archive, "tflite")
    with pytest.raises(ValueError, match="expected a .tflite file, got a folder"):
        open_engine(tmp_path, "tflite")
    broken = tmp_path / "broken.tflite"
    broken.write_bytes(b"")
    with pytest.raises(ValueError, match="got an empty file"):
        open_engine(broken)
    broken.write_bytes(whole.read_bytes()[:-5000])
    with pytest.raises(ValueError, match="broken.tflite: the TFLite model is truncated, damaged"):
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
        with pytest.raises(ValueError, match=rf"of one, got float32 {re.escape(found)}, "):
            open_engine(tmp_path / "other.tflite")

    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    with pytest.raises(ValueError, match="need LiteRT.*pip install ai-edge-litert"):
        open_engine(whole)
