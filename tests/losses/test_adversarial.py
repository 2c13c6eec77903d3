import numpy as np
import pytest
from golden_files import arrays, assert_close, numbers

from anime_tf.losses.adversarial import GAN_TYPES
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
    ],
)
def test_terms_by_hand(name, real, fake, generator):
    logits = np.full((2, 3, 3, 1), 2.0, np.float32)
    gan = GAN_TYPES[name]
    terms = gan.real(logits), gan.fake(logits), gan.generator(logits)
    assert_close(terms, (real, fake, generator), rtol=1e-6)


@pytest.mark.parametrize("name", GAN_TYPES)
def test_large_logits_stay_finite(name):
    logits = np.array([-1e4, 1e4], np.float32)
    gan = GAN_TYPES[name]
    assert np.isfinite([gan.real(logits), gan.fake(logits), gan.generator(logits)]).all()


def test_the_command_line_knows_every_type():
    assert tuple(GAN_TYPES) == config.GAN_TYPES
