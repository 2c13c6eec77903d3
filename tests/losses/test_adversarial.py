import numpy as np
import pytest
from golden_files import arrays, assert_close, numbers
from tolerances import FEW_ROUNDINGS

from anime_tf.losses.adversarial import (
    GAN_TYPES,
    gradient_norm,
    lipschitz_penalty,
    toward_generated,
    toward_noise,
    unit_penalty,
)
from anime_tf.training import config

LOSS = 1e-5


@pytest.mark.parametrize("name", GAN_TYPES)
def test_terms_equal_the_originals(name):
    logits, expected = arrays("animegan_v2_losses"), numbers("animegan_v2_losses")
    gan = GAN_TYPES[name]
    terms = [gan.real(logits["logits_real"])]
    terms += [gan.fake(logits[f"logits_{kind}"]) for kind in ("gray", "fake", "smooth")]
    assert_close(terms, expected[f"d/{name}"], rtol=LOSS)
    assert_close(gan.generator(logits["logits_fake"]), expected[f"g/{name}"], rtol=LOSS)


@pytest.mark.parametrize(
    ("name", "real", "fake", "generator"),
    [
        ("gan", np.log1p(np.exp(-2)), np.log1p(np.exp(2)), np.log1p(np.exp(-2))),
        ("lsgan", 1, 4, 1),
        ("hinge", 0, 3, -2),
        ("wgan-gp", -2, 2, -2),
        ("wgan-lp", -2, 2, -2),
        ("dragan", np.log1p(np.exp(-2)), np.log1p(np.exp(2)), np.log1p(np.exp(-2))),
    ],
)
def test_terms_by_hand(name, real, fake, generator):
    logits = np.full((2, 3, 3, 1), 2.0, np.float32)
    gan = GAN_TYPES[name]
    terms = gan.real(logits), gan.fake(logits), gan.generator(logits)
    assert_close(terms, (real, fake, generator), rtol=FEW_ROUNDINGS)


@pytest.mark.parametrize("name", GAN_TYPES)
def test_large_logits_stay_finite(name):
    logits = np.array([-1e4, 1e4], np.float32)
    gan = GAN_TYPES[name]
    assert np.isfinite([gan.real(logits), gan.fake(logits), gan.generator(logits)]).all()


def test_penalties_by_hand():
    gradient = np.zeros((2, 2, 2, 3), np.float32)
    gradient[0, 0, 0] = (2, 2, 1)  # norm 3
    gradient[1, 1, 1, 0] = 0.5
    assert_close(gradient_norm(gradient), [3, 0.5], rtol=FEW_ROUNDINGS)
    assert_close(unit_penalty(gradient), (2**2 + 0.5**2) / 2, rtol=FEW_ROUNDINGS)
    assert_close(lipschitz_penalty(gradient), 2**2 / 2, rtol=FEW_ROUNDINGS)


def test_ends_of_the_penalties():
    real = np.stack([np.full((2, 2, 3), -1, np.float32), np.full((2, 2, 3), 3, np.float32)])
    noise = np.full_like(real, 0.5)
    assert toward_generated(real, "generated", noise) == "generated"
    # mean 1, standard deviation 2 over the whole batch
    assert_close(toward_noise(real, None, noise), real + 0.5 * 2 * 0.5, rtol=FEW_ROUNDINGS)


def test_the_command_line_offers_every_type():
    assert tuple(GAN_TYPES) == config.GAN_TYPES
