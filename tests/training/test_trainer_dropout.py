"""Dropout in the discriminator: what it computes, and that a run with it can be resumed."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from golden_files import assert_close
from small_data_set import NO_VGG, SMALL_NETWORKS

from anime_tf.models.discriminator import AnimeGANDiscriminator
from anime_tf.training.config import TrainConfig
from anime_tf.training.objective import Objective, network_inputs
from anime_tf.training.run_dir import RunDir
from anime_tf.training.trainer import Trainer

ROUNDING = 1e-5


def discriminator(**options):
    keras.utils.set_random_seed(3)
    return AnimeGANDiscriminator(8, 3, spectral_norm=False, **options)


def pictures(count=2, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, (count, 32, 32, 3)).astype(np.float32)


def test_no_dropout_changes_nothing():
    plain, dropping = discriminator(), discriminator(dropout=0.5)
    for ours, theirs in zip(dropping.weights, plain.weights, strict=True):
        assert_close(ours, theirs)
    assert_close(dropping(pictures()), plain(pictures()))
    assert_close(plain(pictures(), training=True), plain(pictures()))


def test_kept_values_are_scaled_and_dropped_ones_are_0():
    plain, dropping = discriminator(), discriminator(dropout=0.5)
    x = pictures()
    # All kept: the norms after the first two take the factor 2 out again, the last one stays.
    logits = dropping(x, training=True, noise=lambda shape: np.full(shape, 0.5, np.float32))
    assert_close(logits, 2 * plain(x), atol=ROUNDING)
    assert not np.any(dropping(x, training=True, noise=lambda shape: np.zeros(shape, np.float32)))


def test_noise_has_the_shape_of_the_normalized_blocks():
    shapes = []

    def noise(shape):
        shapes.append(tuple(shape))
        return np.ones(shape, np.float32)

    discriminator(dropout=0.1)(pictures(), training=True, noise=noise)
    assert shapes == [(2, 16, 16, 16), (2, 8, 8, 32), (2, 8, 8, 32)]


def test_invalid_settings_are_refused():
    with pytest.raises(ValueError, match=r"expected dropout in \[0, 1\), got 1"):
        AnimeGANDiscriminator(8, dropout=1.0)
    with pytest.raises(
        ValueError, match="discriminator_dropout: expected a number of at least 0 and below 1"
    ):
        TrainConfig(discriminator_dropout=-0.1)
    with pytest.raises(ValueError, match="expected noise for dropout 0.5 in training, got None"):
        discriminator(dropout=0.5)(pictures(), training=True)


def test_keras_archive_round_trip(tmp_path):
    model = discriminator(dropout=0.25)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    assert loaded.dropout == 0.25
    assert_close(loaded(pictures()), model(pictures()))


def config(**settings):
    small = {**SMALL_NETWORKS, **NO_VGG, "discriminator_dropout": 0.3}
    return TrainConfig(**{**small, **settings})


def d_terms(objective, seeds, names=("anime", "anime_gray", "smooth_gray", "generated")):
    batch = {name: tf.constant(pictures(len(seeds), i)) for i, name in enumerate(names)}
    seeds = tf.constant([[7, seed] for seed in seeds], tf.int64)
    return objective.discriminator_loss({**batch, "seed": seeds}, batch["generated"])[1]


def test_terms_follow_from_the_seeds():
    objective = Objective(config(), None, discriminator(dropout=0.3))
    plain = Objective(config(discriminator_dropout=0.0), None, discriminator())
    first, second, other = (d_terms(objective, seeds) for seeds in ([0, 1], [0, 1], [2, 3]))
    for name, term in d_terms(plain, [0, 1]).items():
        assert_close(first[name], second[name])
        assert abs(float(first[name] - other[name])) > 1e-6
        assert abs(float(first[name] - term)) > 1e-6


def test_every_term_and_picture_drops_different_values():
    """One picture under every name, twice: where two had one seed, their logits were the same."""
    objective = Objective(config(), None, discriminator(dropout=0.3))
    x = tf.constant(np.repeat(pictures(1), 2, axis=0))
    seeds = tf.constant([[7, 0], [7, 1]], tf.int64)
    terms = ("d/real", "d/gray", "d/fake", "d/smooth")
    logits = list(objective.logits(dict.fromkeys(terms, x), {"seed": seeds}).numpy())
    logits += list(objective.logits({"g/adv": x}, {"seed": seeds}).numpy())
    assert len(logits) == 10
    for i, one in enumerate(logits):
        for other in logits[:i]:
            assert np.abs(one - other).max() > 1e-6


def test_chunks_drop_what_the_whole_batch_does():
    objective = Objective(config(), None, discriminator(dropout=0.3))
    x, seeds = tf.constant(pictures(4)), tf.constant([[7, i] for i in range(4)], tf.int64)
    judged = {"d/real": x, "d/fake": -x}
    whole = objective.logits(judged, {"seed": seeds}).numpy().reshape(2, 4, -1)
    for half in (slice(0, 2), slice(2, 4)):
        part = {term: picture[half] for term, picture in judged.items()}
        logits = objective.logits(part, {"seed": seeds[half]}).numpy().reshape(2, 2, -1)
        assert_close(logits, whole[:, half], atol=ROUNDING)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(precision):
    exact = d_terms(Objective(config(), None, discriminator(dropout=0.3)), [0, 1])
    mixed = discriminator(dropout=0.3, dtype=precision)
    for name, term in d_terms(Objective(config(), None, mixed), [0, 1]).items():
        assert_close(
            term, exact[name], rtol=0.02
        )  # the same values drop; bfloat16 has 8 bits, 0.004


@pytest.mark.eager
def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path):
    random = np.random.default_rng(0)
    names = ("photo", "anime", "smooth")
    batch = network_inputs(
        {name: tf.constant(random.integers(0, 256, (2, 32, 32, 3), np.uint8)) for name in names}
    )
    settings = config(run_dir=str(tmp_path / "run"), style="Dots")
    trainer = Trainer(settings)
    with RunDir(settings, trainer, resume=False) as run:
        trainer.gan_step(batch)
        run.save()
    expected = trainer.gan_step(batch)
    resumed = Trainer(settings)
    with RunDir(settings, resumed, resume=True):
        row = resumed.gan_step(batch)
    for name, value in expected.items():
        # Additions in another order; `train.py` on CPU has one order alone.
        assert_close(row[name], value, rtol=2e-5, atol=1e-6)
