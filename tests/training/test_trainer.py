import math

import numpy as np
import pytest
import tensorflow as tf
from golden_files import (
    arrays,
    assert_close,
    assert_trajectory,
    discriminator_names,
    fill,
    generator_names,
    golden_vgg19,
    numbers,
)
from small_data_set import NO_VGG, QUICK, SMALL_NETWORKS
from tolerances import FEW_ROUNDINGS, rounding

from anime_tf.losses.adversarial import GAN_TYPES, gradient_norm
from anime_tf.models.archive import load_generator, save_generator
from anime_tf.training.config import TrainConfig
from anime_tf.training.objective import TERM_WEIGHTS, network_inputs
from anime_tf.training.trainer import Trainer

TRAJECTORIES = [
    pytest.param("animegan_v2_training", "lsgan", marks=pytest.mark.grappler),
    pytest.param("animegan_v2_training", "hinge", marks=pytest.mark.eager),
    pytest.param("animegan_v2_training", "gan", marks=pytest.mark.eager),
    pytest.param("animegan_v2_training_sn", "lsgan", marks=pytest.mark.eager),
    pytest.param("animegan_v2_training_sn", "hinge", marks=pytest.mark.grappler),
]


@pytest.fixture(scope="module")
def vgg19():
    return golden_vgg19()


@pytest.mark.slow
@pytest.mark.parametrize(("golden", "gan_type"), TRAJECTORIES)
def test_six_steps_equal_the_originals(golden, gan_type, vgg19):
    expected = numbers(golden)[gan_type]
    config = TrainConfig(
        gan_type=gan_type, spectral_norm=golden.endswith("sn"), batch_size=2, image_size=64
    )
    trainer = Trainer(config, vgg19)
    fill(trainer.generator, generator_names(trainer.generator))
    fill(trainer.discriminator, discriminator_names(trainer.discriminator))
    assert_trajectory(trainer, expected)


def batch(side=32, names=("photo", "anime", "smooth", "paired")):
    random = np.random.default_rng(0)
    return {
        name: tf.constant(random.integers(0, 256, (2, side, side, 3), np.uint8)) for name in names
    }


def small_config(**settings):
    return TrainConfig(**{**SMALL_NETWORKS, "perceptual_weights": "random", **settings})


def test_network_inputs():
    inputs = network_inputs(
        {
            "photo": tf.constant([[[[0, 51, 255]]]], tf.uint8),
            "anime": tf.constant([[[[255, 255, 255]]]], tf.uint8),
            "smooth": tf.constant([[[[10, 20, 30]]]], tf.uint8),
        }
    )
    assert set(inputs) == {"photo", "anime", "anime_gray", "smooth", "smooth_gray"}
    assert_close(inputs["photo"][0, 0, 0], [-1, -0.6, 1], atol=FEW_ROUNDINGS)
    assert_close(inputs["anime_gray"][0, 0, 0], [1, 1, 1], atol=FEW_ROUNDINGS)
    # luma 2.99 + 11.74 + 3.42 = 18.15, rounded to 18
    assert_close(inputs["smooth_gray"][0, 0, 0], np.full(3, 18 / 127.5 - 1), atol=FEW_ROUNDINGS)


@pytest.mark.parametrize(
    "precision",
    [
        pytest.param("mixed_bfloat16", marks=pytest.mark.eager),
        # A graph leaves out VGG-19's unused gradients; in float16 CPUs take a minute for them.
        "mixed_float16",
    ],
)
def test_mixed_precision_trains(precision, narrow_vgg19):
    trainer = Trainer(small_config(precision=precision))
    inputs = network_inputs(batch())
    weights = trainer.generator.weights
    before = [w.numpy().copy() for w in weights]
    # Under float16 the first steps only bring the loss scale down to where gradients are finite.
    rows = [trainer.init_step(inputs) for _ in range(12)] + [trainer.gan_step(inputs)]
    for row in rows:
        assert all(value.dtype == tf.float32 and np.isfinite(value) for value in row.values())
    assert {str(w.dtype) for w in weights} == {"float32"}
    moved = max(np.abs(w.numpy() - b).max() for w, b in zip(weights, before, strict=True))
    assert 1e-5 < moved < 1e-2
    if precision == "mixed_float16":
        assert 1 <= float(trainer.init_optimizer.dynamic_scale) < 2.0**15


@pytest.mark.eager
def test_content_alone_falls(narrow_vgg19):
    trainer = Trainer(small_config(**QUICK, init_learning_rate=1e-2))
    inputs = network_inputs(batch(names=("photo",)))
    losses = [float(trainer.init_step(inputs)["g/content"]) for _ in range(12)]
    assert losses[-1] < 0.95 * losses[0]


@pytest.mark.eager
def test_terms_without_weight_are_not_computed():
    settings = {name: 0.0 for name in ("content_weight", "style_weight", "color_weight")}
    trainer = Trainer(
        small_config(
            **settings,
            **QUICK,
            tv_weight=0.0,
            paired_weight=1.0,
            paired_detail_weight=1.0,
            paired_edge_weight=1.0,
        )
    )
    assert trainer.objective.features is None
    paired = {"g/paired", "g/paired_detail", "g/paired_edge"}
    assert trainer.objective.init_streams == ("photo", "paired")
    inputs = network_inputs(batch())
    assert set(trainer.init_step(inputs)) == {*paired, "g/loss"}
    d_terms = {"d/real", "d/gray", "d/fake", "d/smooth", "d/loss"}
    assert set(trainer.gan_step(inputs)) == {"g/adv", *paired, "g/loss"} | d_terms


@pytest.mark.eager
def test_the_discriminator_update_can_be_skipped():
    trainer = Trainer(small_config(**NO_VGG, **QUICK))
    kernel = trainer.discriminator.conv_0.kernel
    before = kernel.numpy().copy()
    losses = trainer.gan_step(network_inputs(batch()), update_discriminator=False)
    assert not any(name.startswith("d/") for name in losses)
    assert_close(kernel, before)


@pytest.mark.eager
def test_a_discriminator_of_lightness_is_blind_to_hue():
    off = dict.fromkeys(("d_gray_weight", "d_smooth_weight", "tv_weight", "color_weight"), 0)
    config = small_config(**NO_VGG, **off, discriminator_color=False, g_learning_rate=1e-3)
    trainer = Trainer(config)
    objective = trainer.objective
    colors = tf.constant(np.random.default_rng(0).uniform(-0.5, 0.5, (1, 32, 32, 3)), tf.float32)
    # Of equal luma: 0.299 of red against 0.114 of blue.
    turned = colors + tf.constant([0.114, 0.0, -0.299])
    inputs = network_inputs(batch())
    logits = objective.logits({"d/real": colors}, inputs)
    tolerance = rounding(1000)  # the largest convolution adds 8 * 8 * 9 products, and norms divide
    assert_close(objective.logits({"d/real": turned}, inputs), logits, atol=tolerance)
    brighter = objective.logits({"d/real": colors + 0.1}, inputs)
    assert np.abs(brighter - logits).max() > 100 * tolerance
    gradient = objective.discriminator_gradient(colors)
    ratios = gradient / tf.reduce_sum(gradient, -1, keepdims=True)
    assert_close(np.median(ratios, axis=(0, 1, 2)), [0.299, 0.587, 0.114], atol=1e-4)
    before = trainer.generator.out_layer.get_weights()[0]
    terms = trainer.gan_step(inputs)
    assert set(terms) == {"g/adv", "g/loss", "d/real", "d/fake", "d/loss"}
    assert np.abs(trainer.generator.out_layer.get_weights()[0] - before).max() > 0


def test_every_term_has_a_setting():
    assert set(TERM_WEIGHTS.values()) <= set(TrainConfig.__dataclass_fields__)


def test_weights_follow_from_the_seed():
    first, second, other = (
        Trainer(small_config(content_weight=0.0, style_weight=0.0, seed=seed)) for seed in (1, 1, 2)
    )
    for ours, same in zip(first.generator.weights, second.generator.weights, strict=True):
        assert_close(ours, same)
    kernel = first.generator.A[0].conv.kernel
    assert np.abs(kernel.numpy() - other.generator.A[0].conv.kernel.numpy()).max() > 1e-3


PENALTY = 2e-5  # relative; float32 through two derivatives


def test_gradient_penalties_equal_the_originals():
    expected = arrays("animegan_v2_gradient_penalty")
    point = tf.constant(expected["interpolated"])
    trainer = Trainer(
        small_config(**NO_VGG, discriminator_width=64, discriminator_depth=3, spectral_norm=False)
    )
    discriminator = trainer.discriminator
    names = discriminator_names(discriminator)
    fill(discriminator, names)
    assert_close(
        gradient_norm(trainer.objective.discriminator_gradient(point)),
        expected["gradient_norm"],
        rtol=PENALTY,
    )
    for name in ("wgan-gp", "wgan-lp"):
        with tf.GradientTape() as tape:
            gradient = trainer.objective.discriminator_gradient(point)
            loss = trainer.config.penalty_weight * GAN_TYPES[name].penalty.term(gradient)
        assert_close(loss, expected[f"{name.replace('-', '_')}_penalty"], rtol=PENALTY)
    variables = discriminator.trainable_variables
    for variable, slope in zip(
        variables, tape.gradient(loss, [v.value for v in variables]), strict=True
    ):
        norm = expected[f"l2_of_penalty_gradient/{names[variable.path]}"]
        # The last beta shifts all logits alike and has no part in the gradient.
        assert_close(0 if slope is None else tf.norm(slope), norm, rtol=5 * PENALTY)


@pytest.mark.parametrize(
    ("gan_type", "precision"),
    [
        pytest.param("wgan-gp", "float32", marks=pytest.mark.eager),
        pytest.param("wgan-lp", "mixed_bfloat16", marks=pytest.mark.eager),
        pytest.param("dragan", "float32", marks=pytest.mark.eager),
        ("dragan", "mixed_float16"),
    ],
)
def test_gan_types_with_a_penalty_train(gan_type, precision):
    trainer = Trainer(small_config(**NO_VGG, **QUICK, gan_type=gan_type, precision=precision))
    inputs = network_inputs(batch())
    before = [w.numpy().copy() for w in trainer.discriminator.trainable_weights]
    u = trainer.discriminator.conv_0.u.numpy()
    # Under float16 the first steps only bring the loss scale down to where gradients are finite.
    steps = 16 if precision == "mixed_float16" else 2
    rows = [trainer.gan_step(inputs) for _ in range(steps)]
    assert all(np.isfinite(value) for row in rows for value in row.values())
    assert rows[0]["d/penalty"] >= 0  # the one-sided one may well be 0
    parts = sum(
        rows[0][f"d/{k}"] * trainer.objective.weights[f"d/{k}"]
        for k in ("real", "gray", "fake", "smooth")
    )
    assert_close(
        rows[0]["d/loss"], 300 * parts + 10 * rows[0]["d/penalty"], rtol=10 * FEW_ROUNDINGS
    )
    after = [w.numpy() for w in trainer.discriminator.trainable_weights]
    assert max(np.abs(a - b).max() for a, b in zip(after, before, strict=True)) > 1e-6
    assert not np.array_equal(u, trainer.discriminator.conv_0.u.numpy())


def test_penalties_are_the_same_in_mixed_precision():
    """At one point, with the same weights: to the precision of 8 and 11 significant bits."""
    point = tf.random.stateless_uniform((2, 32, 32, 3), (3, 4), -1, 1)
    norms = {}
    for precision in ("float32", "mixed_bfloat16", "mixed_float16"):
        trainer = Trainer(small_config(**NO_VGG, gan_type="wgan-gp", precision=precision))
        norms[precision] = gradient_norm(trainer.objective.discriminator_gradient(point)).numpy()
    layers = 5  # each rounds once; the norm averages over the pixels
    assert_close(norms["mixed_bfloat16"], norms["float32"], rtol=rounding(layers, "bfloat16"))
    assert_close(norms["mixed_float16"], norms["float32"], rtol=rounding(layers, "float16"))


SPLIT = 2e-5  # relative; the order of additions
FUSED = 1e-4  # XLA adds in another order, and Adam divides a gradient by its own size


def assert_same_training(trainer, other, rows, other_rows):
    for row, expected in zip(rows, other_rows, strict=True):
        assert set(row) == set(expected)
        for name in row:
            assert_close(row[name], expected[name], rtol=SPLIT, atol=FEW_ROUNDINGS)
    for network in ("generator", "discriminator"):
        weights = [getattr(t, network).weights for t in (trainer, other)]
        for weight, expected in zip(*weights, strict=True):
            assert_close(weight, expected.numpy(), atol=SPLIT)


@pytest.mark.eager
@pytest.mark.parametrize("gan_type", ["lsgan", "wgan-gp"])
def test_chunks_make_the_update_of_the_whole_batch(gan_type):
    """Spectral norm's vector and the random points of the penalty among it."""
    inputs = {name: tf.concat([x, -x[:, ::-1]], 0) for name, x in network_inputs(batch()).items()}
    trainers, rows = [], []
    for accumulation in (1, 2):
        config = small_config(
            **NO_VGG, **QUICK, gan_type=gan_type, batch_size=4, accumulation=accumulation
        )
        trainers.append(Trainer(config))
        rows.append(
            [trainers[-1].init_step(inputs), *(trainers[-1].gan_step(inputs) for _ in "12")]
        )
    assert_same_training(trainers[1], trainers[0], rows[1], rows[0])


def test_batches_that_cannot_be_split_evenly():
    with pytest.raises(ValueError, match="multiple of 4 .* accumulation=4.*, got 2"):
        Trainer(small_config(accumulation=4))


def test_the_moving_average_is_exported():
    assert (plain := Trainer(small_config(**NO_VGG))).exported is plain.generator
    trainer = Trainer(small_config(**NO_VGG, **QUICK, ema_decay=0.5))
    average = trainer.exported.weights[0].numpy().copy()
    assert_close(trainer.generator.weights[0], average)
    inputs = network_inputs(batch())
    for step in range(1, 15):
        trainer.gan_step(inputs)
        decay = min(0.5, step / (10 + step))
        average = decay * average + (1 - decay) * trainer.generator.weights[0].numpy()
    assert_close(trainer.exported.weights[0], average, atol=rounding())
    assert "average" in trainer.trackables


@pytest.mark.slow
def test_xla_trains_alike():
    inputs = network_inputs(batch())
    # XLA compiles for seconds, in proportion to the operations.
    settings = {**NO_VGG, "model": "animegan_v2_light", "discriminator_depth": 1}
    trainers = [Trainer(small_config(**settings, xla=xla)) for xla in (False, True)]
    rows = [[trainer.gan_step(inputs), trainer.gan_step(inputs)] for trainer in trainers]
    for row, expected in zip(*rows, strict=True):
        for name in row:
            assert_close(row[name], expected[name], rtol=FUSED)


def test_a_cosine_rises_and_falls():
    config = TrainConfig(
        image_size=32,
        batch_size=1,
        generator_width=2,
        discriminator_width=2,
        content_weight=0,
        style_weight=0,
        init_epochs=1,
        steps_per_epoch=1000,
        init_learning_rate=1.0,
        init_decay="cosine",
    )
    trainer = Trainer(config)
    rates = []
    for step in (0, 199, 500, 1000):
        trainer.step.assign(step)
        rates.append(float(trainer._decayed_rate()))
    expected = [0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * s / 1000)) for s in (0, 199, 500, 1000)]
    np.testing.assert_allclose(rates, [expected[0] / 200, *expected[1:]], rtol=1e-5)


def test_training_begins_with_an_archive(tmp_path):
    small = {"image_size": 32, "batch_size": 1, "discriminator_width": 2, "content_weight": 0}
    config = TrainConfig(
        **small, style_weight=0, model="live", generator_width=2, ema_decay=0.9, seed=1
    )
    trainer = Trainer(config)
    save_generator(Trainer(config.replace(seed=2)).generator, tmp_path / "a.keras")
    trainer.begin_with(tmp_path / "a.keras")
    expected = load_generator(tmp_path / "a.keras").get_weights()
    for network in (trainer.generator, trainer.exported):
        for found, weight in zip(network.get_weights(), expected, strict=True):
            np.testing.assert_array_equal(found, weight)
    other = Trainer(config.replace(generator_width=4))
    with pytest.raises(ValueError, match="expected a LiveGenerator of width 4, got a"):
        other.begin_with(tmp_path / "a.keras")
