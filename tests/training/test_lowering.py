"""Memory-saving gradients against those that TensorFlow derives from the reference."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from anime_tf.models.layers import make_leaky_relu
from anime_tf.models.norms import instance_norm, layer_norm
from anime_tf.models.registry import DISCRIMINATORS, GENERATORS
from anime_tf.models.upsampling import Upsample2x
from anime_tf.training.lowering import lower_for_training

# Of numbers around 1, added up over 60 pixels in another order.
ROUNDING = 2e-6
ROUNDING_BFLOAT16 = 0.02


def normal(*shape, seed=0, scale=1.0, offset=0.0):
    values = np.random.default_rng(seed).normal(offset, scale, shape)
    return tf.constant(values, tf.float32)


def gradients(run, x, weights=()):
    upstream = normal(*run(x).shape, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.cast(run(x), tf.float32) * upstream)
    return tape.gradient(loss, [x, *weights])


def assert_equal_to_reference(layer, x, weights=(), atol=ROUNDING):
    lowered = lower_for_training(layer)
    assert type(lowered) is not type(layer)
    np.testing.assert_array_equal(lowered(x), layer(x))
    actual, expected = gradients(lowered, x, weights), gradients(layer, x, weights)
    for one, other in zip(actual, expected, strict=True):
        assert one.dtype == other.dtype
        largest = max(1.0, float(tf.reduce_max(tf.abs(tf.cast(other, tf.float32)))))
        one, other = tf.cast(one, tf.float32), tf.cast(other, tf.float32)
        np.testing.assert_allclose(one, other, atol=atol * largest)


@pytest.mark.parametrize("make", [layer_norm, instance_norm])
@pytest.mark.parametrize(
    ("dtype", "atol"), [("float32", ROUNDING), ("mixed_bfloat16", ROUNDING_BFLOAT16)]
)
def test_norms(make, dtype, atol):
    norm = make("norm", dtype)
    x = tf.cast(normal(2, 6, 10, 4, scale=3.0, offset=2.0), norm.compute_dtype)
    norm.build(x.shape)
    norm.gamma.assign(normal(4, seed=2))
    norm.beta.assign(normal(4, seed=3))
    weights = [norm.gamma.value, norm.beta.value]
    assert_equal_to_reference(norm, x, weights, atol)
    assert lower_for_training(norm)(x).dtype == norm.compute_dtype


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_leaky_relu(dtype):
    x = tf.cast(normal(2, 5, 6, 3), dtype)
    assert_equal_to_reference(make_leaky_relu(dtype), x, atol=0)


@pytest.mark.parametrize(
    ("dtype", "atol"), [("float32", ROUNDING), ("bfloat16", ROUNDING_BFLOAT16)]
)
def test_upsampling(dtype, atol):
    x = tf.cast(normal(2, 5, 6, 3), dtype)
    assert_equal_to_reference(Upsample2x("legacy", dtype=dtype), x, atol=atol)


def test_upsampling_by_hand():
    # A row a, b becomes a, (a + b) / 2, b, b, twice.
    upsample = lower_for_training(Upsample2x("legacy"))
    x = tf.constant([[[[3.0], [5.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = upsample(x)
        loss = tf.reduce_sum(y * tf.constant([1.0, 10.0, 100.0, 1000.0])[None, None, :, None])
    np.testing.assert_array_equal(y[0, :, :, 0], [[3, 4, 5, 5]] * 2)
    np.testing.assert_array_equal(tape.gradient(loss, x)[0, 0, :, 0], [2 * 6, 2 * 1105])


def test_the_reference_norms_are_differentiable_twice():
    norm = layer_norm("norm")
    x = normal(1, 3, 4, 2)
    with tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(norm(x) ** 3)
        first = inner.gradient(y, x)
        square = tf.reduce_sum(first**2)
    second = outer.gradient(square, x)
    step, direction = 1e-2, normal(1, 3, 4, 2, seed=5)

    def squared_gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(norm(x) ** 3)
        return float(tf.reduce_sum(tape.gradient(y, x) ** 2))

    slope = (squared_gradient(x + step * direction) - squared_gradient(x - step * direction)) / (
        2 * step
    )
    assert slope == pytest.approx(
        float(tf.reduce_sum(second * direction)), rel=0.02
    )  # a difference of steps of 0.01


@pytest.mark.parametrize("name", GENERATORS)
def test_generators(name):
    keras.utils.set_random_seed(2)
    model = GENERATORS[name](width=2)
    x = tf.constant(np.random.default_rng(0).uniform(-1, 1, (1, 16, 32, 3)), tf.float32)
    # Half-pixel upsampling by one operation rounds in another order; the others are equal.
    tolerance = ROUNDING if name in ("live", "live_large") else 0
    np.testing.assert_allclose(
        lower_for_training(model)(x, training=True),
        model(x, training=True),
        rtol=0,
        atol=tolerance,
    )


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_discriminators_update_the_state_of_the_reference(name):
    keras.utils.set_random_seed(2)
    model = DISCRIMINATORS[name](width=4, depth=2)
    lowered = lower_for_training(model)
    x = tf.constant(np.random.default_rng(0).uniform(-1, 1, (1, 16, 32, 3)), tf.float32)
    np.testing.assert_array_equal(lowered(x), model(x))
    before = [u.numpy() for u in model.non_trainable_variables]
    assert before
    lowered(x, training=True)
    for u, old in zip(model.non_trainable_variables, before, strict=True):
        assert np.abs(u.numpy() - old).max() > 1e-4
