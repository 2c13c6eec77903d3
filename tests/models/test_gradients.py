import numpy as np
import pytest
import tensorflow as tf

from anime_tf.models.gradients import plain_operations
from anime_tf.models.layers import leaky_relu, upsample_legacy_bilinear
from anime_tf.models.norms import instance_norm, layer_norm

# Of numbers around 1, added up over 60 pixels in another order.
ROUNDING = 2e-6
ROUNDING_BFLOAT16 = 0.02


def normal(*shape, seed=0, scale=1.0, offset=0.0):
    values = np.random.default_rng(seed).normal(offset, scale, shape)
    return tf.constant(values, tf.float32)


def gradients_of(run, x, weights=()):
    upstream = normal(*run(x).shape, seed=1)
    with tf.GradientTape() as tape:
        tape.watch(x)
        loss = tf.reduce_sum(tf.cast(run(x), tf.float32) * upstream)
    return tape.gradient(loss, [x, *weights])


def assert_equal_to_plain(run, x, weights=(), atol=ROUNDING):
    ours = gradients_of(run, x, weights)
    with plain_operations():
        plain = gradients_of(run, x, weights)
    for one, other in zip(ours, plain, strict=True):
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
    assert_equal_to_plain(norm, x, weights, atol)
    np.testing.assert_array_equal(norm(x).dtype, norm.compute_dtype)


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_leaky_relu(dtype):
    assert_equal_to_plain(leaky_relu, tf.cast(normal(2, 5, 6, 3), dtype), atol=0)


@pytest.mark.parametrize(
    ("dtype", "atol"), [("float32", ROUNDING), ("bfloat16", ROUNDING_BFLOAT16)]
)
def test_upsampling(dtype, atol):
    x = tf.cast(normal(2, 5, 6, 3), dtype)
    assert_equal_to_plain(upsample_legacy_bilinear, x, atol=atol)


def test_upsampling_by_hand():
    # From (a, b) in a row come a, (a + b) / 2, b, b, and the row below is the same.
    x = tf.constant([[[[3.0], [5.0]]]])
    with tf.GradientTape() as tape:
        tape.watch(x)
        y = upsample_legacy_bilinear(x)
        loss = tf.reduce_sum(y * tf.constant([1.0, 10.0, 100.0, 1000.0])[None, None, :, None])
    np.testing.assert_array_equal(y[0, :, :, 0], [[3, 4, 5, 5]] * 2)
    np.testing.assert_array_equal(tape.gradient(loss, x)[0, 0, :, 0], [2 * 6, 2 * 1105])


def test_norms_are_differentiated_twice_by_plain_operations():
    norm = layer_norm("norm")
    x = normal(1, 3, 4, 2)
    with plain_operations(), tf.GradientTape() as outer:
        outer.watch(x)
        with tf.GradientTape() as inner:
            inner.watch(x)
            y = tf.reduce_sum(norm(x) ** 3)
        first = inner.gradient(y, x)
        square = tf.reduce_sum(first**2)
    second = outer.gradient(square, x)
    step, direction = 1e-2, normal(1, 3, 4, 2, seed=5)

    def squared_gradient(x):
        with plain_operations(), tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.reduce_sum(norm(x) ** 3)
        return float(tf.reduce_sum(tape.gradient(y, x) ** 2))

    slope = (squared_gradient(x + step * direction) - squared_gradient(x - step * direction)) / (
        2 * step
    )
    assert slope == pytest.approx(float(tf.reduce_sum(second * direction)), rel=0.02)
