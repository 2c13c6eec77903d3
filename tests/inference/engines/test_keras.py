"""`KerasEngine` against the network called directly."""

from __future__ import annotations

import gc

import numpy as np

from anime_tf.inference.engines.keras import KerasEngine

ROUNDING = 1e-5  # the compiled graph may fuse what the eager network does step by step


def test_every_size_equals_the_network_with_one_trace(generator, archive):
    engine = KerasEngine.load(archive)
    random = np.random.default_rng(1)
    for shape in ((1, 16, 16, 3), (2, 32, 20, 3), (1, 64, 48, 3)):
        x = random.uniform(-1, 1, shape).astype(np.float32)
        y = engine(x)
        assert y.dtype == np.float32
        np.testing.assert_allclose(y, generator(x), atol=ROUNDING)


def test_the_engine_keeps_its_network_alive(archive):
    engine = KerasEngine.load(archive)
    gc.collect()
    assert engine(np.zeros((1, 16, 16, 3), np.float32)).shape == (1, 16, 16, 3)
