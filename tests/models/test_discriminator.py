import keras
import numpy as np
import pytest
import tensorflow as tf
from golden_files import arrays, assert_close, discriminator_names, golden_discriminator, numbers
from tolerances import FEW_ROUNDINGS, rounding

from anime_tf.models.discriminator import AnimeGANDiscriminator

LOGITS = 2e-5
# Of the largest value: a leaky ReLU's input that rounds to the other side of 0 moves it so much;
# noise of 1e-6 on the picture does as well.
GRADIENT = 5e-3
POWER_ITERATION = rounding(9 * 256)  # of the longest sums, over a kernel of 256 channels


@pytest.mark.parametrize("kind", ["plain", "sn"])
def test_logits_of_two_calls_equal_the_originals(kind):
    golden = arrays(f"animegan_v2_discriminator_{kind}")
    model = golden_discriminator(spectral_norm=kind == "sn")
    assert_close(model(golden["input"], training=True), golden["logits"], atol=LOGITS)
    second = model(golden["input"], training=True)
    assert_close(second, golden["logits_second_call"], atol=LOGITS)


@pytest.mark.parametrize("kind", ["plain", "sn"])
def test_variables_are_the_originals(kind):
    model = AnimeGANDiscriminator(spectral_norm=kind == "sn")
    names = discriminator_names(model)
    shapes = {names[w.path]: list(w.shape) for w in model.weights}
    assert shapes == numbers(f"animegan_v2_discriminator_{kind}_variables")
    assert sum(int(np.prod(w.shape)) for w in model.trainable_weights) == 1_128_800


def test_normalised_kernels_are_the_originals():
    golden = arrays("animegan_v2_discriminator_sn")
    model = golden_discriminator()
    for layer in (model.conv_0, model.convs_s2[0], model.D_logit):
        kernel, _ = layer.normalized_kernel()
        name = f"kernel_normalized_first_call/{layer.name}"
        assert_close(kernel, golden[name], atol=POWER_ITERATION)


def test_u_and_gradients_equal_the_originals():
    golden = arrays("animegan_v2_discriminator_sn")
    model = golden_discriminator()
    names = discriminator_names(model)
    kernels = {w.path: w.numpy() for w in model.trainable_variables}
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(golden["input"], training=True) - 1))
    assert_close(loss, golden["loss_mean_square_minus_1"], rtol=POWER_ITERATION)
    gradients = tape.gradient(loss, [v.value for v in model.trainable_variables])
    for variable, gradient in zip(model.trainable_variables, gradients, strict=True):
        name = names[variable.path]
        norm = golden[f"gradient_norm/{name}"]
        assert_close(tf.norm(gradient), norm, rtol=GRADIENT)
        if f"gradient_of_loss/{name}" in golden:
            expected = golden[f"gradient_of_loss/{name}"]
            assert_close(gradient, expected, atol=GRADIENT * np.abs(expected).max())
        assert_close(variable, kernels[variable.path])
    for variable in model.non_trainable_variables:
        assert_close(
            variable, golden[f"u_after_first_call/{names[variable.path]}"], atol=POWER_ITERATION
        )


def test_keras_archive_round_trip(tmp_path):
    x = np.random.default_rng(0).uniform(-1, 1, (2, 32, 48, 3)).astype(np.float32)
    for spectral_norm in (True, False):
        model = AnimeGANDiscriminator(8, 2, spectral_norm)
        model.save(tmp_path / "model.keras")
        loaded = keras.saving.load_model(tmp_path / "model.keras")
        assert loaded.get_config() == model.get_config()
        assert_close(loaded(x), model(x))
        assert loaded(x[:1, :17, :21]).shape == (1, 8, 10, 1)


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_keeps_sigma_in_float32(policy):
    mixed, exact = golden_discriminator(dtype=policy), golden_discriminator()
    x = arrays("animegan_v2_discriminator_sn")["input"]
    assert mixed(x, training=True).dtype == "float32"
    exact(x, training=True)
    for ours, theirs in zip(
        mixed.non_trainable_variables, exact.non_trainable_variables, strict=True
    ):
        assert_close(ours, theirs, atol=FEW_ROUNDINGS)
