"""SavedModels, loaded by TensorFlow alone, against the networks they were made from."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from anime_tf.data import pictures
from anime_tf.export.saved_model import SIGNATURES
from anime_tf.models.registry import GENERATORS

ROUNDING = 1e-5  # the optimised graph may fuse what the eager network does step by step
SIZES = [(1, 1, 1), (2, 16, 24), (1, 17, 50), (3, 5, 33)]


def expected_pm1(model, x_pm1: np.ndarray) -> np.ndarray:
    """The rule of the house, by numpy: pad, network, crop."""
    padded, padding = pictures.pad_to_multiple(x_pm1, model.STRIDE, model.MINIMUM_SIDE)
    return pictures.crop_padding(np.asarray(model(padded, training=False)), padding)


@pytest.mark.parametrize("name", GENERATORS)
def test_both_signatures_take_every_size(exports, name):
    signatures = tf.saved_model.load(str(exports[name].folder / "saved_model")).signatures
    assert set(signatures) == set(SIGNATURES) == {"serving_default", "uint8"}
    random = np.random.default_rng(2)
    for n, height, width in SIZES:
        x_u8 = random.integers(0, 256, (n, height, width, 3), np.uint8)
        y_pm1 = expected_pm1(exports[name].model, pictures.to_pm1(x_u8))
        floats = signatures["serving_default"](pictures_pm1=tf.constant(pictures.to_pm1(x_u8)))
        np.testing.assert_allclose(floats["anime_pm1"], y_pm1, atol=ROUNDING)
        pixels = signatures["uint8"](pictures_u8=tf.constant(x_u8))["anime_u8"].numpy()
        assert pixels.dtype == np.uint8
        level = 1  # where a rounding error lies on the border between two levels
        assert np.abs(pixels.astype(int) - pictures.to_u8(y_pm1)).max() <= level
