"""Engines against the network called directly."""

from __future__ import annotations

import numpy as np
import pytest

from anime_tf import infer
from anime_tf.inference.engines import ENGINE_OF_SUFFIX, ENGINES, KerasEngine, open_engine

ROUNDING = 1e-5  # the compiled graph may fuse what the eager network does step by step


def test_keras_engine_equals_the_network_in_every_size_with_one_trace(generator, archive):
    engine = KerasEngine.load(archive)
    assert (engine.stride, engine.minimum_side) == (4, 16)
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
    with pytest.raises(ValueError, match="engine must be one of auto, keras, received 'torch'"):
        open_engine(archive, "torch")
    with pytest.raises(ValueError, match="expected a .keras archive, found a folder"):
        open_engine(tmp_path)
    assert set(ENGINE_OF_SUFFIX.values()) <= set(ENGINES)
    assert ["auto", *ENGINES] == infer.ENGINE_CHOICES
