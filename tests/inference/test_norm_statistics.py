"""Estimated statistics against those that the network measures over the whole picture."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from anime_tf.inference import norm_statistics
from anime_tf.inference.lowering.lower import CPU
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.inference.tiling import split_into_tiles
from anime_tf.io.pixels import to_pm1
from anime_tf.models.registry import GENERATORS

ROUNDING = 1e-4  # of float32, in statistics through two dozen norms


class Network:
    """A network with an estimator, and with measured or given statistics."""

    def __init__(self, model):
        self.measure = norm_statistics.StatisticsEstimator(model)
        self.stride = model.STRIDE
        self._network = PaddedGenerator(model, lowering=CPU)
        self._run = self._network.make_ema_function().get_concrete_function()

    def __call__(self, photo_u8, statistics=None):
        """Return the output and the statistics that the norms used."""
        rate = 1.0 if statistics is None else 0.0
        if statistics is None:
            statistics = np.zeros(self._network.statistics_length)
        x = tf.constant(to_pm1(photo_u8[None]))
        y = self._run(x, tf.constant(statistics, tf.float32), tf.constant(rate), tf.constant(1e9))
        return y["anime_pm1"].numpy(), y["statistics"].numpy()


@pytest.fixture(scope="module", params=("animegan_v2", "cartoongan"))
def network(request):
    """One network with layer norm and one with instance norm."""
    keras.utils.set_random_seed(11)
    return Network(GENERATORS[request.param](width=2))


def test_small_pictures_are_measured_exactly(network, photo):
    picture = photo(64, 96)
    own = network(picture)[1]
    np.testing.assert_allclose(network.measure([picture]), own, rtol=ROUNDING, atol=ROUNDING)


def test_a_pass_reproduces_exact_statistics(network, photo):
    """Tiles with all of their surroundings have the moments of the picture."""
    picture = photo(96, 128)
    own = network(picture)[1]
    tiles = split_into_tiles((96, 128), 48, 96, network.stride)
    assert len(tiles) == 6
    parts = ((to_pm1(tile.crop(picture))[None], tile) for tile in tiles)
    found = network.measure.measure_tiles(parts, own)
    np.testing.assert_allclose(found, own, rtol=ROUNDING, atol=ROUNDING)


def test_each_pass_reduces_the_error(network, photo, monkeypatch):
    monkeypatch.setattr(norm_statistics, "SAMPLE_PIXELS", 6 * 64 * 64)
    monkeypatch.setattr(norm_statistics, "PASS_SIDE", 96)
    picture = photo(192, 256)
    picture[:, 128:] //= 3  # tiles differ from each other
    expected, _ = network(picture)

    def error(passes):
        anime, _ = network(picture, network.measure([picture], passes))
        return float(np.sqrt(np.mean(np.square(anime - expected))))

    errors = [error(passes) for passes in (0, 1, 2)]
    assert errors[0] > 2 * errors[1] > 4 * errors[2], errors


def test_a_pass_measures_a_limited_number_of_tiles(photo, monkeypatch):
    monkeypatch.setattr(norm_statistics, "PASS_SIDE", 32)
    monkeypatch.setattr(norm_statistics, "PASS_PIXELS", 5 * 32 * 32)
    parts = list(norm_statistics.pass_tiles([photo(64, 128), photo(64, 32)], 4))
    assert len(parts) == 5, "of 10"
    for tile_pm1, tile in parts:
        assert tile_pm1.shape[1] == tile.outer[1] - tile.outer[0]


def test_the_sample_is_proportional_to_area(photo, monkeypatch):
    monkeypatch.setattr(norm_statistics, "SAMPLE_PIXELS", 8 * 64 * 64)
    small, large = photo(64, 64), photo(128, 96)
    small[:], large[:] = 0, 255
    tiles = norm_statistics.sample_tiles([small, large], 4)
    assert tiles.shape == (8, 64, 64, 3)
    assert (tiles.mean((1, 2, 3)) < 0).sum() == 2, "a quarter of all pixels"


def test_photos_are_required(network):
    with pytest.raises(ValueError, match="at least one photo"):
        network.measure([])
