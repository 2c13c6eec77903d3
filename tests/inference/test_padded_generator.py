"""`PaddedGenerator` against the numpy rules of io.pictures."""

from __future__ import annotations

import keras
import numpy as np
import pytest
import tensorflow as tf

from anime_tf.inference.lowering.lower import CPU, OPENVINO, PORTABLE
from anime_tf.inference.lowering.norm_statistics import EmaStatistics
from anime_tf.inference.padded_generator import PaddedGenerator, reflect_to_multiple
from anime_tf.io.geometry import pad_to_multiple
from anime_tf.io.pixels import to_pm1, to_u8
from anime_tf.models.registry import GENERATORS

FUSED = 1e-4  # of float32: kernels are multiplied before the sums, not after
ROUNDING = 1e-5  # of float32, in some twenty layers that divide by small deviations


@pytest.mark.parametrize(("stride", "minimum"), [(1, 1), (4, 16), (8, 16), (32, 256)])
def test_padding(stride, minimum):
    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 1), tf.int32)], autograph=False)
    def pad(x):
        x = reflect_to_multiple(x, 1, stride, minimum)
        return reflect_to_multiple(x, 2, stride, minimum)

    for height in range(1, 36):
        width = 37 * height % 41 + 1
        x = np.arange(2 * height * width, dtype=np.int32).reshape(2, height, width, 1)
        expected, _ = pad_to_multiple(x, stride, minimum)
        np.testing.assert_array_equal(pad(x), expected)


def test_pixels(generator, photo):
    network = PaddedGenerator(generator)
    for size in ((16, 20), (1, 1), (21, 7)):
        x = photo(*size)[None]
        floats = network.pm1(tf.constant(to_pm1(x)))["anime_pm1"].numpy()
        pixels = network.u8(tf.constant(x))["anime_u8"].numpy()
        assert (pixels.dtype, pixels.shape) == (np.uint8, x.shape)
        level = 1  # rounding at the border of a level
        assert np.abs(pixels.astype(int) - to_u8(floats)).max() <= level


def test_one_trace_serves_all_sizes(generator):
    network = PaddedGenerator(generator)
    for shape in ((1, 16, 16, 3), (2, 5, 40, 3)):
        network.pm1(tf.zeros(shape))
    assert network.pm1.experimental_get_tracing_count() == 1


@pytest.mark.parametrize("name", GENERATORS)
def test_ema_statistics(name, photo):
    """Momentum 1 gives the result of `pm1`, momentum 0 the statistics of the frame before."""
    keras.utils.set_random_seed(3)
    model = GENERATORS[name](width=4)
    network = PaddedGenerator(model)
    run = network.make_ema_function().get_concrete_function()

    def stylize(x, previous, momentum, tolerance=1e9):
        return run(x, previous, tf.constant(momentum), tf.constant(tolerance))

    bright, dark = (
        tf.constant(to_pm1(photo(32, 40, seed=seed)[None]) * scale + shift)
        for seed, scale, shift in ((0, 0.5, 0.5), (1, 0.3, -0.5))
    )
    nothing = tf.zeros(network.statistics_length)
    if name == "whitebox":  # the only generator without norms or an exposure
        assert nothing.shape[0] == 0
        x = stylize(bright, nothing, 0.5)["anime_pm1"]
        np.testing.assert_array_equal(x, network.pm1(bright)["anime_pm1"])
        return
    assert nothing.shape[0] > 0
    first = stylize(bright, nothing, 1.0)
    plain = network.pm1(bright)["anime_pm1"]
    np.testing.assert_array_equal(first["anime_pm1"], plain)

    own = network.pm1(dark)["anime_pm1"]
    moved = stylize(dark, first["statistics"], 1.0)
    np.testing.assert_array_equal(moved["anime_pm1"], own)

    still = stylize(dark, first["statistics"], 0.0)
    np.testing.assert_array_equal(still["statistics"], first["statistics"])
    assert np.abs(still["anime_pm1"] - own).max() > 0.01, "not its own statistics"
    again = stylize(bright, first["statistics"], 0.0)["anime_pm1"]
    np.testing.assert_allclose(again, plain, atol=ROUNDING)

    # The first norm sees the same input under all statistics: its part is exactly between.
    half = stylize(dark, first["statistics"], 0.25)["statistics"]
    expected = 0.75 * first["statistics"][:2] + 0.25 * moved["statistics"][:2]
    np.testing.assert_allclose(half[:2], expected, rtol=ROUNDING)

    np.testing.assert_array_equal(stylize(dark, first["statistics"], 0.0, 0.0)["anime_pm1"], own)

    expected = still["anime_pm1"]
    for lowering in (PORTABLE, CPU, OPENVINO):
        fused = PaddedGenerator(model, lowering=lowering, statistics=first["statistics"].numpy())
        run_fused = fused.pm1.get_concrete_function()
        np.testing.assert_allclose(run_fused(dark)["anime_pm1"], expected, atol=FUSED)
        operators = {node.type for node in run_fused.graph.get_operations()}
        assert "Rsqrt" not in operators and "FusedBatchNormV3" not in operators, "no norm is left"
        if lowering is not CPU:
            continue
        # The same with statistics that are given at run time, between two others.
        network = PaddedGenerator(model, lowering=lowering)
        follow = network.make_ema_function(measure=False).get_concrete_function()
        operators = {node.type for node in follow.graph.get_operations()}
        assert "FusedBatchNormV3" not in operators, "nothing is measured"
        between = moved["statistics"] + 0.75 * (first["statistics"] - moved["statistics"])
        momentum, tolerance = tf.constant(0.75), tf.constant(1e9)
        found = follow(dark, moved["statistics"], momentum, tolerance, first["statistics"])
        np.testing.assert_allclose(found["statistics"], between, rtol=ROUNDING, atol=ROUNDING)
        expected_between = stylize(dark, found["statistics"], 0.0)["anime_pm1"]
        np.testing.assert_allclose(found["anime_pm1"], expected_between, atol=FUSED)


@pytest.mark.parametrize("change", [-2, 2])
def test_statistics_of_another_network(generator, change):
    size = PaddedGenerator(generator).statistics_length
    with pytest.raises(ValueError, match=f"expected {size} norm statistics .* got {size + change}"):
        PaddedGenerator(generator, statistics=np.ones(size + change)).pm1.get_concrete_function()


def test_the_tolerance_of_ema_statistics():
    ema = EmaStatistics(tf.constant([2.0, 9.0, 5.2, 3.8]), tf.constant(0.0), tf.constant(0.1))

    def use(begin, mean, variance):
        moments = [tf.fill((1, 1, 1, 1), moment) for moment in (mean, variance)]
        return ema(slice(begin, begin + 2), lambda: moments)

    # Mean 3 and deviation 2: at most 0.2 and a factor of 1.1 away.
    np.testing.assert_allclose(use(0, 3.0, 4.0), np.reshape([2.8, 4.84], (2, 1, 1, 1, 1)))
    np.testing.assert_allclose(use(2, 5.1, 4.0), np.reshape([5.2, 3.8], (2, 1, 1, 1, 1)))
    np.testing.assert_allclose(ema.used(), [2.8, 4.84, 5.2, 3.8])


def test_ema_functions_are_not_in_exports(generator):
    """TensorFlow traces and writes every tf.function with a signature that is an attribute."""
    network = PaddedGenerator(generator)
    network.make_ema_function().get_concrete_function()
    functions = [v for v in vars(network).values() if hasattr(v, "get_concrete_function")]
    assert len(functions) == 2, "pm1 and u8"
