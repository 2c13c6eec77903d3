import numpy as np
import pytest
import tensorflow as tf
from golden_files import arrays, assert_close, golden_vgg19, numbers
from tolerances import FEW_ROUNDINGS, rounding

from anime_tf.losses import perceptual

# Relative; float32 sums in another order.
LOSS = 1e-5


@pytest.fixture(scope="module")
def golden():
    return arrays("animegan_v2_losses"), numbers("animegan_v2_losses")


def test_content_and_style_equal_the_originals(golden):
    pictures, expected = golden
    vgg = golden_vgg19()
    photo, generated, gray = (vgg(pictures[k]) for k in ("photo", "generated", "anime_gray"))
    assert_close(perceptual.content_loss(photo, generated), expected["content"], rtol=LOSS)
    assert_close(perceptual.style_loss(gray, generated), expected["style"], rtol=LOSS)


def test_color_and_total_variation_equal_the_originals(golden):
    pictures, expected = golden
    color = perceptual.color_loss(pictures["photo"], pictures["generated"])
    assert_close(color, expected["color"], rtol=LOSS)
    tv = perceptual.total_variation_loss(pictures["generated"])
    assert_close(tv, expected["tv"], rtol=LOSS)


def test_gram_matrix_by_hand():
    features = np.array([[[1.0, 2.0]], [[3.0, 4.0]]], np.float32)[None]  # h 2, w 1, c 2
    expected = np.array([[10.0, 14.0], [14.0, 20.0]]) / 4
    assert_close(perceptual.gram_matrix(features)[0], expected)


def test_huber_by_hand():
    errors = np.array([0.5, -0.5, 3.0], np.float32)
    expected = (0.125 + 0.125 + 2.5) / 3
    assert_close(perceptual.huber_loss(errors, np.zeros(3)), expected, rtol=FEW_ROUNDINGS)


def test_total_variation_by_hand():
    picture = np.array([[0.0, 1.0], [2.0, 4.0]], np.float32)[None, ..., None]
    expected = ((4 + 9) / 2 + (1 + 4) / 2) / 2
    assert_close(perceptual.total_variation_loss(picture), expected)


def test_gradient_difference_loss_by_hand():
    x = np.array([[0.0, 1.0], [2.0, 4.0]], np.float32)[None, ..., None]
    expected = (2 + 3) / 2 + (1 + 2) / 2
    assert_close(perceptual.gradient_difference_loss(x, np.full_like(x, 7)), expected)
    assert_close(perceptual.gradient_difference_loss(x, x + 0.5), 0)


def test_match_tone_gives_mean_and_deviation_of_the_reference():
    random = np.random.default_rng(2)
    x, reference = random.normal(0.3, 0.2, (2, 2, 5, 6, 3)).astype(np.float32)
    reference = reference * np.array([0.5, 2.0], np.float32)[:, None, None, None] - 0.4
    matched = np.asarray(perceptual.match_tone(x, reference))
    assert_close(matched.mean((1, 2, 3)), reference.mean((1, 2, 3)), atol=FEW_ROUNDINGS)
    assert_close(matched.std((1, 2, 3)), reference.std((1, 2, 3)), rtol=5e-3)  # epsilon in the root
    assert_close(perceptual.match_tone(3 * x + 1, x), x, atol=2e-3)  # epsilon, too


def test_yuv_equals_tensorflows():
    x = np.random.default_rng(0).uniform(size=(2, 3, 4, 3)).astype(np.float32)
    assert_close(perceptual.rgb_to_yuv(x), tf.image.rgb_to_yuv(x), atol=FEW_ROUNDINGS)


def test_gray_is_luma_in_three_channels():
    gray = perceptual.to_gray(np.array([[[[1.0, 0.0, -1.0]]]], np.float32))
    assert_close(gray, np.full((1, 1, 1, 3), 0.299 - 0.114), atol=rounding())


def test_losses_are_float32_in_half_precision():
    x = tf.fill((1, 4, 4, 3), tf.constant(300.0, tf.float16))
    for loss in (
        perceptual.content_loss(x, -x),
        perceptual.style_loss(x, -x),
        perceptual.color_loss(x, -x),
        perceptual.total_variation_loss(x),
    ):
        assert loss.dtype == tf.float32
        assert np.isfinite(loss)


def test_equal_pictures_have_no_distance():
    x = np.random.default_rng(1).uniform(-1, 1, (1, 8, 8, 3)).astype(np.float32)
    for distance in (perceptual.content_loss, perceptual.style_loss, perceptual.color_loss):
        assert float(distance(x, x)) == 0


def test_sobel_magnitude_and_edge_loss_by_hand():
    y, x = np.mgrid[:5, :6].astype(np.float32)
    ramp = np.repeat((0.3 * x + 0.4 * y)[None, ..., None], 3, axis=-1)  # gray: luma is the value
    assert_close(
        perceptual.sobel_magnitude(ramp), np.full((1, 3, 4), 0.5), rtol=1e-5
    )  # epsilon in the root
    assert_close(perceptual.edge_loss(ramp, ramp * 0), 0.5, rtol=1e-3)
    assert_close(perceptual.edge_loss(ramp, ramp + 0.7), 0, atol=FEW_ROUNDINGS)
    # A step of 1 between two columns spreads over the two columns beside it.
    step = np.repeat((x > 2.5).astype(np.float32)[None, ..., None], 3, axis=-1)
    expected = np.tile([0, 0.5, 0.5, 0], (1, 3, 1))
    assert_close(perceptual.sobel_magnitude(step), expected, atol=2e-4)  # the root of epsilon
    green = step * np.array([0, 1, 0], np.float32)
    assert_close(perceptual.sobel_magnitude(green), 0.587 * expected, atol=2e-4)


def test_edge_loss_has_a_gradient_on_flat_pictures():
    flat = tf.Variable(tf.zeros((1, 4, 4, 3)))
    with tf.GradientTape() as tape:
        loss = perceptual.edge_loss(tf.random.stateless_uniform((1, 4, 4, 3), (1, 2)), flat)
    assert np.isfinite(tape.gradient(loss, flat)).all()
