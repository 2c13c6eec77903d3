"""AnimeGANv3's discriminators against the original graphs. Tolerances are those of the goldens."""

import pytest
import tensorflow as tf
from golden_files import arrays, assert_close, fill, numbers
from golden_recipe import value_v3

from anime_tf.losses.adversarial import square_loss
from anime_tf.losses.double_tail import to_gray
from anime_tf.models.animegan_v3_discriminator import DoubleDiscriminator
from anime_tf.training.config import TrainConfig
from anime_tf.training.import_tf1 import double_discriminator

LOGITS, U, GRADIENTS, INPUT_GRADIENT = 1e-6, 1e-6, 1e-4, 1e-8


def golden_discriminators(spectral_norm=True):
    model = DoubleDiscriminator(spectral_norm=spectral_norm)
    names = double_discriminator(TrainConfig(spectral_norm=spectral_norm))
    fill(model, names, value_v3)
    return model, names


def test_variables_are_the_originals():
    model, names = golden_discriminators()
    shapes = {names[w.path]: list(w.shape) for w in model.weights}
    assert shapes == numbers("animegan_v3_discriminators_variables")


@pytest.mark.parametrize(("tail", "target"), [("support", 0.9), ("main", 1.0)])
def test_discriminators_equal_the_originals(tail, target):
    golden, expected = arrays("animegan_v3_discriminators"), numbers("animegan_v3_discriminators")
    models, names = golden_discriminators()
    model = getattr(models, tail)
    x = tf.constant(golden["input"])
    x = to_gray(x) if tail == "support" else x
    with tf.GradientTape() as tape:
        tape.watch(x)
        logits = model(x, training=True)
        loss = square_loss(logits, target)
    assert_close(logits, golden[f"{tail}/logits_1"], atol=LOGITS)
    assert_close(loss, expected[tail]["loss_1"], rtol=1e-5)
    variables = model.trainable_variables
    gradients = tape.gradient(loss, [x, *(v.value for v in variables)])
    assert_close(gradients[0][:, ::4, ::4], golden[f"{tail}/input_gradient"], atol=INPUT_GRADIENT)
    for variable, gradient in zip(variables, gradients[1:], strict=True):
        l2 = expected[tail]["gradient"][names[variable.path]]["l2"]
        assert_close(tf.norm(gradient), l2, rtol=GRADIENTS)
    for u in model.non_trainable_variables:
        assert_close(u[0], golden[f"u_1/{names[u.path]}"], atol=U)
    assert_close(model(x, training=True), golden[f"{tail}/logits_2"], atol=LOGITS)


def test_without_spectral_norm_equals_the_original():
    golden = arrays("animegan_v3_discriminators")
    model, _ = golden_discriminators(spectral_norm=False)
    assert_close(model.support(to_gray(golden["input"])), golden["plain/logits"], atol=2e-5)


def test_there_is_no_dropout():
    with pytest.raises(ValueError, match="expected no dropout"):
        DoubleDiscriminator(dropout=0.5)
