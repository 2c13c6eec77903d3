"""AnimeGANv3 against the original graphs. Tolerances are those of the goldens."""

import numpy as np
import tensorflow as tf
from golden_files import (
    arrays,
    assert_close,
    double_tail_names,
    golden_double_tail,
    numbers,
)

from anime_tf.models.norms import MAX_SCORE, DoubleNorm, lade

PARITY, INTERNAL, GUIDED, AVERAGES, GRADIENTS = 1e-5, 2e-5, 4e-5, 1e-6, 1e-3


def test_inference_equals_the_original():
    golden, model = arrays("animegan_v3_generator"), golden_double_tail("inference")
    support, main = model(golden["input_1"])
    assert_close(main, golden["main_1"], atol=PARITY)
    assert_close(support, golden["support_1"], atol=PARITY)
    assert_close(model.generator(golden["input_2"]), golden["main_2"], atol=PARITY)
    features = model.generator.base(golden["input_1"])
    assert_close(features[0][:, ::8, ::8], golden["base/b0_1"], atol=INTERNAL)
    assert_close(features[3][:, ::2, ::2], golden["base/b6_1"], atol=INTERNAL)
    attended = model.generator.main.attention(features[3])
    assert_close(attended[:, ::2, ::2], golden["main/attention_1"], atol=INTERNAL)


def test_variables_are_the_originals():
    model = golden_double_tail()
    shapes = {}
    for batch_norm in ("inference", "training"):
        names = double_tail_names(model, batch_norm)
        shapes |= {names[w.path]: list(w.shape) for w in model.weights}
    assert shapes == numbers("animegan_v3_generator_both_tails_variables")
    trainable = sum(int(np.prod(w.shape)) for w in model.generator.trainable_weights)
    assert trainable == 1_027_520


def test_training_mode_equals_the_original():
    golden, model = arrays("animegan_v3_generator_training"), golden_double_tail()
    names = double_tail_names(model)
    support, main = model(golden["input"], training=True)
    assert_close(support, golden["support"], atol=PARITY)
    assert_close(main, golden["main"], atol=PARITY)
    averages = [w for w in model.weights if "moving" in w.path]
    assert len(averages) == 4
    for weight in averages:
        assert_close(weight, golden[f"after_1/{names[weight.path]}"], atol=AVERAGES)
    model.support_picture(golden["input"], training=True)
    for weight in averages:
        assert_close(weight, golden[f"after_2/{names[weight.path]}"], atol=AVERAGES)


def test_statistics_reproduce_the_call():
    x = np.random.default_rng(0).normal(size=(2, 8, 12, 6)).astype(np.float32)
    for layer in (lade("norm"), DoubleNorm()):
        expected = layer(x)
        assert_close(layer.normalize(tf.constant(x), *layer.measure(x)), expected, atol=1e-5)


def test_double_norm_is_finite_for_any_scores():
    layer = DoubleNorm()
    x = np.zeros((1, 2, 2, 3), np.float32)
    x[0, 0, 0] = (100.0, -100.0, MAX_SCORE)
    assert np.isfinite(layer(x)).all()
    assert np.isfinite(layer(x - 90)).all()
