import keras
import numpy as np
import pytest
from nonzero_weights import without_zeros
from tolerances import FEW_ROUNDINGS, rounding

from anime_tf.models.live import BlurPool, Exposure, LiveGenerator, ResidualBlock
from anime_tf.models.live_large import LiveLargeGenerator


def pictures(shape, low=-1.0, high=1.0, seed=0):
    return np.random.default_rng(seed).uniform(low, high, shape).astype(np.float32)


def random_network(width=8):
    keras.utils.set_random_seed(0)
    return without_zeros(LiveGenerator(width))


def test_exposure_by_hand():
    # Mean -0.5, wanted -0.16: k = 0.34 / 0.75; x + k (1 - x^2) / 2, twice.
    k = 0.34 / 0.75
    once = -0.5 + k * 0.75 / 2
    expected = once + k * (1 - once**2) / 2
    result = Exposure()(np.full((1, 4, 4, 3), -0.5, np.float32))
    np.testing.assert_allclose(result, expected, atol=FEW_ROUNDINGS)


def test_exposure_leaves_medium_pictures_black_and_white():
    x = pictures((1, 8, 8, 3), -0.1, 0.1)
    np.testing.assert_allclose(Exposure()(x), x, atol=rounding())
    ends = np.array([-1, 1], np.float32).reshape(1, 1, 2, 1).repeat(3, 3)
    mean = np.full((1, 1, 1, 1), -0.7, np.float32)
    np.testing.assert_allclose(Exposure().normalize(ends, mean, None), ends, atol=FEW_ROUNDINGS)


def test_exposure_of_a_window_with_the_mean_of_its_picture():
    layer, x = Exposure(), pictures((2, 32, 32, 3), -1, -0.2)
    whole = layer(x)
    window = layer.normalize(x[:, 8:24, 8:24], *layer.measure(x))
    np.testing.assert_allclose(window, whole[:, 8:24, 8:24], atol=FEW_ROUNDINGS)


def test_blur_keeps_flat_pictures_and_removes_the_finest_pattern():
    flat = BlurPool()(np.full((1, 16, 16, 2), 0.5, np.float32))
    np.testing.assert_allclose(flat[:, 1:-1, 1:-1], 0.5, atol=FEW_ROUNDINGS)
    pattern = np.indices((16, 16)).sum(0) % 2
    blurred = BlurPool()(pattern[None, ..., None].astype(np.float32))
    np.testing.assert_allclose(blurred[:, 1:-1, 1:-1], 0.5, atol=FEW_ROUNDINGS)


def test_it_begins_as_a_soft_form_of_the_exposed_picture():
    x = pictures((1, 16, 16, 4))
    np.testing.assert_array_equal(ResidualBlock()(x), x)
    model = LiveGenerator(8)
    flat = np.empty((1, 192, 192, 3), np.float32)
    flat[:] = (0.3, -0.2, 0.1)
    # Far from the zeros beyond the border.
    np.testing.assert_allclose(model(flat)[:, 96, 96], flat[:, 96, 96], atol=1e-3)
    x = pictures((1, 64, 64, 3))
    soft, exposed = np.asarray(model(x)), np.asarray(model.exposure(x))
    assert np.corrcoef(soft.ravel(), exposed.ravel())[0, 1] > 0.6
    assert soft.std() < exposed.std()


@pytest.mark.parametrize(
    ("kind", "multiply_adds", "megabytes"),
    [(LiveGenerator, 14_000, 0.7), (LiveLargeGenerator, 110_000, 5.0)],
)
def test_cost(kind, multiply_adds, megabytes):
    model = kind()
    assert 2 * model.count_params() / 1e6 < megabytes
    channels, total = model._filters, 27 * model._filters[0]
    below = 3
    for level, width in enumerate(channels):
        total += (9 * below * width + 18 * width**2 * len(model.residuals[level])) / 4**level
        below = width
    for level, width in enumerate(channels[:-1]):
        total += 2 * channels[level + 1] * width / 4 ** (level + 1) + 9 * width**2 / 4**level
    total += 18 * channels[2] ** 2 / 16
    assert total < multiply_adds


def test_no_pixel_depends_on_others_beyond_the_radius():
    model = random_network(4)
    radius = model.RECEPTIVE_FIELD_RADIUS
    side = 2 * 16 * (radius // 16 + 2)
    x = pictures((1, 16, side, 3), -0.1, 0.1)
    changed = x.copy()
    changed[:, :, side // 2] *= -1
    moved = np.abs(np.asarray(model(x)) - np.asarray(model(changed))).max(axis=(0, 1, 3))
    reached = np.flatnonzero(moved > 1e-7)
    assert moved[side // 2] > 1e-4
    assert max(side // 2 - reached[0], reached[-1] - side // 2) <= radius


def test_training_leaves_the_output_unclamped():
    model = random_network()
    x = pictures((1, 32, 32, 3))
    model.out_layer.kernel.assign(10 * model.out_layer.kernel)
    free = np.asarray(model(x, training=True))
    assert np.abs(free).max() > 1
    np.testing.assert_allclose(model(x), free.clip(-1, 1), atol=FEW_ROUNDINGS)
