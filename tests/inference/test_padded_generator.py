"""The graph around a generator against the numpy rules of data.pictures."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from anime_tf.inference.padded_generator import AnyPicture, _Mixing, _reflect
from anime_tf.io import pictures
from anime_tf.models.norms import layer_norm
from anime_tf.models.registry import GENERATORS

FOLDED = 1e-4  # of float32: the same products, whose factors were multiplied before
ROUNDING = 1e-5  # of float32, in some twenty layers that divide by small deviations


@pytest.mark.parametrize(("stride", "minimum"), [(1, 1), (4, 16), (8, 16), (32, 256)])
def test_padding_is_that_of_pictures(stride, minimum):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1), tf.int32)], autograph=False)
    def pad(x):
        return _reflect(_reflect(x, 1, stride, minimum), 2, stride, minimum)

    for height in range(1, 36):
        width = 37 * height % 41 + 1
        x = np.arange(2 * height * width, dtype=np.int32).reshape(2, height, width, 1)
        expected, _ = pictures.pad_to_multiple(x, stride, minimum)
        np.testing.assert_array_equal(pad(x), expected)


def test_pixels_are_those_of_pictures(generator, photo):
    network = AnyPicture(generator)
    for size in ((16, 20), (1, 1), (21, 7)):
        x = photo(*size)[None]
        floats = network.pm1(tf.constant(pictures.to_pm1(x)))["anime_pm1"].numpy()
        pixels = network.u8(tf.constant(x))["anime_u8"].numpy()
        assert (pixels.dtype, pixels.shape) == (np.uint8, x.shape)
        level = 1  # where a rounding error lies on the border between two levels
        assert np.abs(pixels.astype(int) - pictures.to_u8(floats)).max() <= level


def test_it_is_traced_once_for_all_sizes(generator):
    network = AnyPicture(generator)
    for shape in ((1, 16, 16, 3), (2, 5, 40, 3)):
        network.pm1(tf.zeros(shape))
    assert network.pm1.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("name", GENERATORS)
def test_held_statistics(name, photo):
    """Of every generator: measured ones are those of `pm1`, and held ones those of before."""
    keras.utils.set_random_seed(3)
    model = GENERATORS[name](width=4)
    network = AnyPicture(model)
    run = network.holding().get_concrete_function()

    def hold(x, held, rate, leeway=1e9):
        return run(x, held, tf.constant(rate), tf.constant(leeway))

    bright, dark = (
        tf.constant(pictures.to_pm1(photo(32, 40, seed=seed)[None]) * scale + shift)
        for seed, scale, shift in ((0, 0.5, 0.5), (1, 0.3, -0.5))
    )
    nothing = tf.zeros(run.structured_outputs["used"].shape)
    assert nothing.shape[0] > 0, "every generator has norms"
    first = hold(bright, nothing, 1.0)
    plain = network.pm1(bright)["anime_pm1"]
    np.testing.assert_array_equal(first["anime_pm1"], plain)

    own = network.pm1(dark)["anime_pm1"]
    moved = hold(dark, first["used"], 1.0)
    np.testing.assert_array_equal(moved["anime_pm1"], own)

    still = hold(dark, first["used"], 0.0)
    np.testing.assert_array_equal(still["used"], first["used"])
    assert np.abs(still["anime_pm1"] - own).max() > 0.01, "not its own statistics"
    again = hold(bright, first["used"], 0.0)["anime_pm1"]
    np.testing.assert_allclose(again, plain, atol=ROUNDING)

    # The first norm sees the same input under all statistics: its part is exactly between.
    half = hold(dark, first["used"], 0.25)["used"]
    expected = 0.75 * first["used"][:2] + 0.25 * moved["used"][:2]
    np.testing.assert_allclose(half[:2], expected, rtol=ROUNDING)

    np.testing.assert_array_equal(hold(dark, first["used"], 0.0, 0.0)["anime_pm1"], own)

    expected = still["anime_pm1"]
    for runtime in (None, "tensorflow", "openvino"):
        folded = AnyPicture(model, runtime=runtime, statistics=first["used"].numpy())
        run_folded = folded.pm1.get_concrete_function()
        np.testing.assert_allclose(run_folded(dark)["anime_pm1"], expected, atol=FOLDED)
        operators = {node.type for node in run_folded.graph.get_operations()}
        assert "Rsqrt" not in operators and "FusedBatchNormV3" not in operators, "no norm is left"
        if runtime != "tensorflow":
            continue
        # The same of statistics that are not known before it runs, between two others.
        follow = (
            AnyPicture(model, runtime=runtime).following(nothing.shape[0]).get_concrete_function()
        )
        operators = {node.type for node in follow.graph.get_operations()}
        assert "FusedBatchNormV3" not in operators, "nothing is measured"
        between = moved["used"] + 0.75 * (first["used"] - moved["used"])
        rate, leeway = tf.constant(0.75), tf.constant(1e9)
        found = follow(dark, moved["used"], rate, leeway, first["used"])
        np.testing.assert_allclose(found["used"], between, rtol=ROUNDING, atol=ROUNDING)
        expected_between = hold(dark, found["used"], 0.0)["anime_pm1"]
        np.testing.assert_allclose(found["anime_pm1"], expected_between, atol=FOLDED)


@pytest.mark.parametrize("change", (-2, 2))
def test_statistics_of_another_network(generator, change):
    network = AnyPicture(generator)
    size = network.holding().get_concrete_function().structured_outputs["used"].shape[0]
    with pytest.raises(ValueError, match="too (few|many)"):
        AnyPicture(generator, statistics=np.ones(size + change)).pm1.get_concrete_function()


def test_the_leeway_of_held_statistics():
    mixing = _Mixing(tf.constant([2.0, 9.0, 5.2, 3.8]), tf.constant(0.0), tf.constant(0.1))
    norm = layer_norm("norm")
    # Mean 3 and deviation 2: at most 0.2 and a factor of 1.1 away.
    mean, variance = mixing(norm, lambda: (tf.fill((1, 1, 1, 1), 3.0), tf.fill((1, 1, 1, 1), 4.0)))
    np.testing.assert_allclose([mean, variance], np.reshape([2.8, 4.84], (2, 1, 1, 1, 1)))
    mean, variance = mixing(norm, lambda: (tf.fill((1, 1, 1, 1), 5.1), tf.fill((1, 1, 1, 1), 4.0)))
    np.testing.assert_allclose([mean, variance], np.reshape([5.2, 3.8], (2, 1, 1, 1, 1)))
    np.testing.assert_allclose(mixing.all_used(), [2.8, 4.84, 5.2, 3.8])


def test_held_statistics_are_not_in_exports(generator):
    """A tf.function with a signature is traced and written, asked for or not."""
    network = AnyPicture(generator)
    network.holding().get_concrete_function()
    functions = [v for v in vars(network).values() if hasattr(v, "get_concrete_function")]
    assert len(functions) == 2, "pm1 and u8"
