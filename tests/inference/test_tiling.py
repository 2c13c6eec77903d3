"""Pictures stylized in tiles against the same pictures stylized whole."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf
from nonzero_weights import without_zeros

from anime_tf.inference.frozen import FrozenEngine
from anime_tf.inference.norm_statistics import StatisticsEstimator
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.inference.tiling import split_into_tiles, stylize_tiles
from anime_tf.io.pixels import to_pm1, to_u8
from anime_tf.models.registry import GENERATORS

SEAM = 1e-4  # of float32, where sums are taken in another order


@pytest.mark.parametrize(("height", "width"), [(1, 1), (64, 64), (100, 36), (264, 8)])
@pytest.mark.parametrize(("side", "margin", "stride"), [(32, 8, 4), (64, 5, 8), (1, 0, 4)])
def test_tiles_cover_a_picture_once(height, width, side, margin, stride):
    size_hw = tuple(-(-length // stride) * stride for length in (height, width))
    found = split_into_tiles(size_hw, side, margin, stride)
    count = np.zeros(size_hw, int)
    for tile in found:
        top, bottom, left, right = tile.inner
        count[top:bottom, left:right] += 1
        assert max(bottom - top, right - left) <= max(side, stride)
        assert all(edge % stride == 0 for edge in (*tile.outer, *tile.inner))
        above, below, before, after = tile.margins
        assert (above >= margin or tile.outer[0] == 0) and (before >= margin or tile.outer[2] == 0)
        assert below >= margin or tile.outer[1] == size_hw[0]
        assert after >= margin or tile.outer[3] == size_hw[1]
        assert tile.crop(count).shape == (
            bottom - top + above + below,
            right - left + before + after,
        )
    np.testing.assert_array_equal(count, 1)


NETWORKS = [(name, {}) for name in GENERATORS]
NETWORKS += [
    ("animegan_v2", {"upsampling": upsampling}) for upsampling in ("half_pixel", "align_corners")
]


@pytest.fixture(scope="module", params=NETWORKS, ids=lambda network: " ".join(map(str, network)))
def model(request):
    name, options = request.param
    keras.utils.set_random_seed(4)
    return without_zeros(GENERATORS[name](width=2, **options))


@pytest.fixture(scope="module")
def statistics(model):
    """Statistics of noise: unlike those of the picture, but of the right size."""
    random = np.random.default_rng(5)
    x = to_pm1(random.integers(0, 256, (1, 48, 64, 3), np.uint8))
    return StatisticsEstimator(model).measure_batch(x)[1]


def test_tiles_have_no_seams(model, statistics, photo):
    """Each tile equals its part of the picture stylized whole."""
    picture = photo(230, 301)
    engine = FrozenEngine(model, statistics, "keras", "float32")
    whole = engine(to_pm1(picture[None]))[0]
    errors = []

    def run(tile_pm1, tile, size_hw):
        assert size_hw == tuple(-(-side // model.STRIDE) * model.STRIDE for side in (230, 301))
        y = engine._tile(tile_pm1, tile, size_hw)
        above, _, before, _ = tile.margins
        top, bottom, left, right = tile.inner
        part = whole[top:bottom, left:right]
        height, width = part.shape[:2]
        inner = y[0, above : above + height, before : before + width]
        errors.append(np.abs(inner - part).max())
        return y

    geometry = {
        "margin": model.RECEPTIVE_FIELD_RADIUS,
        "stride": model.STRIDE,
        "minimum": model.MINIMUM_SIDE,
    }
    u8 = np.dtype(np.uint8)
    anime = stylize_tiles(run, picture, dtype=u8, side=80, **geometry)
    assert len(errors) == 12 and max(errors) < SEAM, errors
    assert np.abs(anime.astype(int) - to_u8(whole)).max() <= 1, "rounding at the border of a level"
    np.testing.assert_array_equal(engine.stylize_tiles(picture, 80, u8), anime)
    small = picture[:3, :5]
    expected = to_u8(engine(to_pm1(small[None]))[0])
    np.testing.assert_array_equal(engine.stylize_tiles(small, 80, u8), expected)


def test_receptive_field_radius(model, statistics):
    run = PaddedGenerator(model, statistics=statistics).pm1
    middle = model.STRIDE * (model.RECEPTIVE_FIELD_RADIUS // model.STRIDE + 5)
    x = np.random.default_rng(6).uniform(-1, 1, (1, 2 * middle, 16, 3)).astype(np.float32)
    x = tf.constant(x)
    radius = 0
    for row in range(middle, middle + model.STRIDE):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(tf.square(run(x)["anime_pm1"][:, row]))
        depends = np.flatnonzero(tape.gradient(y, x).numpy().any(axis=(0, 2, 3)))
        radius = max(radius, row - depends[0], depends[-1] - row)
    assert radius <= model.RECEPTIVE_FIELD_RADIUS < radius + 12, radius
