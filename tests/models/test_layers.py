import keras
import numpy as np
import pytest
import tensorflow as tf
from golden_files import arrays, assert_close
from golden_recipe import value

from anime_tf.models.layers import ConvNormLReLU, InvertedResidual, ReflectPad
from anime_tf.models.norms import instance_norm, layer_norm
from anime_tf.models.spectral_norm import SpectralNormConv2D
from anime_tf.models.upsampling import (
    UPSAMPLINGS,
    Upsample2x,
    upsample_align_corners,
    upsample_half_pixel,
    upsample_legacy,
)

# One rounding of float32 at values near 1, a few operations deep.
ROUNDING = 2e-6

# Where a sample lies is itself rounded there, by 1e-7 of up to 64 places.
PLACES = 2e-5

# Four roundings of bfloat16 at values below 1, whose places are rounded too.
HALF = 2e-2


def picture(*rows):
    """A one-channel batch of one from rows of numbers."""
    return np.array(rows, np.float32)[None, ..., None]


def test_legacy_bilinear_by_hand():
    doubled = upsample_legacy(picture([0, 2], [4, 8]))
    expected = [[0, 1, 2, 2], [2, 3.5, 5, 5], [4, 6, 8, 8], [4, 6, 8, 8]]
    assert_close(doubled[0, ..., 0], expected)


def test_legacy_bilinear_is_tensorflow_1s():
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 3)).astype(np.float32)
    legacy = tf.compat.v1.image.resize_bilinear(x, (10, 14))
    assert_close(upsample_legacy(x), legacy, atol=ROUNDING)
    half_pixel = tf.image.resize(x, (10, 14))
    assert np.abs(half_pixel - legacy).max() > 0.1, "the trap that this layer avoids"


def test_other_bilinear_by_hand():
    x = picture([0, 4])
    assert_close(upsample_half_pixel(x)[0, ..., 0], [[0, 1, 3, 4]] * 2)
    assert_close(upsample_align_corners(x)[0, ..., 0], [[0, 4 / 3, 8 / 3, 4]] * 2, atol=ROUNDING)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 7), (64, 33)])
def test_half_pixel_is_tensorflow_2s(size):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    expected = tf.image.resize(x, (2 * size[0], 2 * size[1]))
    assert_close(upsample_half_pixel(x), expected, atol=ROUNDING)


@pytest.mark.parametrize("size", [(1, 1), (1, 4), (5, 7), (64, 33)])
def test_align_corners_is_tensorflow_1s_of_that_name(size):
    x = np.random.default_rng(0).normal(size=(2, *size, 3)).astype(np.float32)
    expected = tf.compat.v1.image.resize_bilinear(x, (2 * size[0], 2 * size[1]), align_corners=True)
    assert_close(upsample_align_corners(x), expected, atol=PLACES)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
@pytest.mark.parametrize("upsample", [upsample_half_pixel, upsample_align_corners])
def test_other_bilinear_in_half_precision(upsample, dtype):
    x = tf.cast(np.random.default_rng(0).uniform(-1, 1, (1, 9, 12, 3)), dtype)
    y = upsample(x)
    assert y.dtype == x.dtype
    assert_close(tf.cast(y, "float32"), upsample(tf.cast(x, "float32")), atol=HALF)


def test_reflect_pad_is_even_for_stride_1_and_bottom_right_for_stride_2():
    x = picture([1, 2, 3], [4, 5, 6], [7, 8, 9])
    assert_close(
        ReflectPad.for_conv(3, 1, "float32")(x)[0, ..., 0],
        [[5, 4, 5, 6, 5], [2, 1, 2, 3, 2], [5, 4, 5, 6, 5], [8, 7, 8, 9, 8], [5, 4, 5, 6, 5]],
    )
    assert_close(
        ReflectPad.for_conv(3, 2, "float32")(x)[0, ..., 0],
        [[1, 2, 3, 2], [4, 5, 6, 5], [7, 8, 9, 8], [4, 5, 6, 5]],
    )
    assert_close(ReflectPad.for_conv(1, 1, "float32")(x), x)


def test_layer_norm_takes_its_statistics_over_a_whole_sample():
    x = np.random.default_rng(1).normal(3, 2, (2, 4, 5, 6)).astype(np.float32)
    y = np.asarray(layer_norm("norm")(x))
    assert_close(y.mean((1, 2, 3)), [0, 0], atol=1e-6)
    assert_close(y.std((1, 2, 3)), [1, 1], atol=1e-5)
    assert np.abs(y.mean(-1)).max() > 0.1, "not one pixel's channels alone"


@pytest.mark.parametrize(
    ("golden", "norm"), [("norm_group1", layer_norm), ("norm_instance", instance_norm)]
)
def test_norms_are_those_of_tensorflow_addons(golden, norm):
    numbers = arrays("tensorflow_addons")
    layer = norm("norm", epsilon=1e-5)
    layer.build(numbers["norm_input"].shape)
    layer.gamma.assign(numbers["gamma"])
    layer.beta.assign(numbers["beta"])
    assert_close(layer(numbers["norm_input"]), numbers[golden], atol=2e-6)


@pytest.mark.parametrize("iterations", [1, 3])
def test_spectral_norm_forward_is_that_of_tensorflow_addons(iterations):
    golden = arrays("tensorflow_addons")
    layer = SpectralNormConv2D(64, 3, padding="valid", power_iterations=iterations)
    layer.build((None, None, None, 32))
    random = {
        name: np.random.RandomState(value_seed).standard_normal(shape).astype(np.float32)
        for name, value_seed, shape in (
            ("kernel", _crc("tfa/kernel"), (3, 3, 32, 64)),
            ("u", _crc("tfa/u"), (1, 64)),
        )
    }
    kernel = (random["kernel"] * np.float32(0.05)).astype(np.float32)
    layer.kernel.assign(kernel)
    layer.u.assign(random["u"])
    output = layer(golden["input"], training=True)
    assert_close(output, golden[f"output_{iterations}"], atol=2e-5)
    assert_close(layer.u, golden[f"u_after_{iterations}"], atol=ROUNDING)
    assert_close(layer.kernel, kernel)  # theirs is overwritten, ours never


def _crc(name):
    import zlib

    return zlib.crc32(name.encode())


def test_spectral_norm_divides_by_the_largest_singular_value():
    layer = SpectralNormConv2D(2, 1, power_iterations=20)
    layer.build((None, None, None, 2))
    layer.kernel.assign(np.array([[3.0, 0.0], [0.0, 1.0]]).reshape(1, 1, 2, 2))
    y = layer(np.array([1.0, 1.0], np.float32).reshape(1, 1, 1, 2))
    assert_close(np.ravel(y), [1.0, 1 / 3], atol=ROUNDING)


def test_spectral_norm_keeps_u_outside_of_training():
    layer = SpectralNormConv2D(4, 3)
    x = np.ones((1, 5, 5, 3), np.float32)
    layer(x, training=False)
    before = np.array(layer.u.numpy())
    layer(x, training=False)
    assert_close(layer.u, before)
    layer(x, training=True)
    assert np.abs(layer.u.numpy() - before).max() > 1e-3


def test_spectral_norm_is_not_keras_own():
    """Keras' wrapper writes the normalised kernel back and so trains another network."""
    kernel = value("kernel", (3, 3, 3, 8)) * 4
    conv = keras.layers.Conv2D(8, 3, use_bias=False)
    wrapped = keras.layers.SpectralNormalization(conv)
    wrapped.build((None, None, None, 3))
    conv.kernel.assign(kernel)
    wrapped(np.ones((1, 5, 5, 3), np.float32), training=True)
    assert np.abs(conv.kernel.numpy() - kernel).max() > 0.1


def test_spectral_norm_needs_an_iteration():
    with pytest.raises(ValueError, match="expected power_iterations of at least 1, got 0"):
        SpectralNormConv2D(8, 3, power_iterations=0)


@pytest.mark.parametrize(
    "layer",
    [
        ConvNormLReLU(8, 7, 2, name="cnl"),
        ConvNormLReLU(8, upsampling="half_pixel"),
        ReflectPad(0, 1),
        Upsample2x("legacy"),
        layer_norm("norm"),
        InvertedResidual(8, 1.5, name="res"),
        SpectralNormConv2D(8, 3, 2, "valid", 2, keras.initializers.RandomNormal(stddev=0.02)),
    ],
    ids=lambda layer: type(layer).__name__,
)
def test_config_round_trip(layer):
    copy = type(layer).from_config(layer.get_config())
    assert copy.get_config() == layer.get_config()


def test_inverted_residual_adds_its_input_only_where_channels_match():
    x = np.random.default_rng(2).normal(size=(1, 6, 6, 4)).astype(np.float32)
    same, other = InvertedResidual(4), InvertedResidual(6)
    for block in (same, other):
        block(x)
        block.norm_2.gamma.assign(np.zeros_like(block.norm_2.gamma))
    assert_close(same(x), x)
    assert_close(other(x), np.zeros((1, 6, 6, 6)))
    assert same.expand.filters == 8


@pytest.mark.parametrize("norm", [layer_norm, instance_norm])
def test_norms_are_group_normalisation_and_lose_no_digits_to_size(norm):
    """Keras' own in double precision is the truth; its single precision is what would be lost."""
    random = np.random.default_rng(0)
    x = (random.standard_normal((1, 512, 512, 8)) * 3 + 5).astype(np.float32)
    layer = norm("norm", epsilon=1e-5)
    groups = 1 if norm is layer_norm else -1
    truth = keras.layers.GroupNormalization(groups, epsilon=1e-5, dtype="float64")
    for each in (layer, truth):
        each.build(x.shape)
        each.gamma.assign(np.linspace(0.5, 2, 8))
        each.beta.assign(np.linspace(-1, 1, 8))
    assert_close(layer(x), truth(x.astype(np.float64)), atol=5e-6)
    assert layer.get_config() == type(layer).from_config(layer.get_config()).get_config()


@pytest.mark.parametrize("norm", [layer_norm, instance_norm])
def test_norms_measure_and_normalize_apart(norm):
    x = np.random.default_rng(5).normal(3, 2, (2, 6, 7, 4)).astype(np.float32)
    layer = norm("norm", epsilon=1e-5)
    layer.build(x.shape)
    layer.gamma.assign([1, 2, 3, 4])
    layer.beta.assign([0, 1, 0, -1])
    mean, variance = layer.measure(x)
    axes = (1, 2, 3) if layer.across_channels else (1, 2)
    assert_close(mean, x.mean(axes, keepdims=True), atol=ROUNDING)
    assert_close(variance, x.var(axes, keepdims=True), atol=10 * ROUNDING)
    assert mean.shape[1:] == (1, 1, layer.statistics_size)
    np.testing.assert_array_equal(layer.normalize(x, mean, variance), layer(x))
    expected = (x - 10) / np.sqrt(4 + 1e-5) * [1, 2, 3, 4] + [0, 1, 0, -1]
    assert_close(layer.normalize(x, 10.0, 4.0), expected, atol=10 * ROUNDING)


def test_blocks_upsample_first():
    x = np.random.default_rng(6).normal(size=(1, 6, 8, 3)).astype(np.float32)
    for mode, upsample in UPSAMPLINGS.items():
        block, plain = ConvNormLReLU(4, upsampling=mode), ConvNormLReLU(4)
        plain.build((None, None, None, 3))
        block.build((None, None, None, 3))
        plain.set_weights(block.get_weights())
        assert_close(block(x), plain(upsample(x)))
    with pytest.raises(ValueError, match="expected upsampling of legacy, .* got 'nearest'"):
        ConvNormLReLU(4, upsampling="nearest")
