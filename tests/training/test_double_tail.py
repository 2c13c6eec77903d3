"""AnimeGANv3's training: both recipes against the original trajectories, and their options."""

import numpy as np
import pytest
import tensorflow as tf
from golden_files import (
    arrays,
    assert_close,
    double_tail_names,
    fill,
    golden_vgg19,
    numbers,
)
from golden_recipe import img, value_v3

from anime_tf.datasets.superpixels import l0_smooth
from anime_tf.losses.double_tail import smooth_guided
from anime_tf.models.mobilenet_v1 import MobileNetV1Features
from anime_tf.training.config import TrainConfig
from anime_tf.training.import_tf1 import double_discriminator
from anime_tf.training.trainer import Trainer

# The goldens' own, relative.
INIT = (1e-6, 2e-4)
TERMS = {
    "content": ("content", 5e-3),
    "lab": ("lab", 5e-3),
    "tv": ("tv", 1e-2),
    "tv_main": ("tv_main", 1e-2),
    "style_2_2": ("s22", 1e-2),
    "style_3_3": ("s33", 1e-2),
    "style_4_4": ("s44", 1e-2),
    "adv": ("g_adv", 1e-4),
    "adv_main": ("g_main_adv", 1e-4),
    "revision": ("revision_l1", 5e-3),
    "revision_content": ("revision_vgg", 5e-3),
}
G, D = 5e-3, 1e-5
L2, MEAN, FIRST, FIRST_MEDIAN = 1e-4, 1e-5, 5e-4, 5e-6
STREAMS = ("photo", "anime", "smooth", "photo_superpixel")

TINY = {
    "generator_width": 2,
    "discriminator_width": 4,
    "discriminator_depth": 1,
    "batch_size": 2,
    "image_size": 32,
    "perceptual": "mobilenetv1",
    "perceptual_weights": "random",
}


def stored_targets(stored, step):
    nlm = stored[f"nlm_{step}"] / 255.0
    revised = np.stack([np.clip(2 * l0_smooth(x) - 1, -1, 1) for x in nlm])
    return {
        "superpixel": tf.constant(stored[f"superpixel_{step}"] / 127.5 - 1, tf.float32),
        "revised": tf.constant(revised, tf.float32),
    }


@pytest.mark.slow
@pytest.mark.parametrize("style", [pytest.param("hayao", marks=pytest.mark.grappler), "shinkai"])
def test_trajectory_equals_the_original(style):
    expected = numbers(f"animegan_v3_training_{style}")
    stored = arrays(f"animegan_v3_training_{style}_targets")
    config = TrainConfig.from_preset(f"animegan_v3_{style}", {"batch_size": 2, "image_size": 64})
    trainer = Trainer(config, golden_vgg19())
    names = double_tail_names(trainer.trained) | double_discriminator(config)
    fill(trainer.trained, names, value_v3)
    fill(trainer.discriminator, names, value_v3)
    for row in expected["log"]:
        step = row["step"]
        batch = {name: tf.constant(img(7200 + 10 * step + i)) for i, name in enumerate(STREAMS)}
        if "init" in row:
            found = trainer.init_step({"photo": batch["photo"]})
            assert_close(found["g/loss"], row["init"], rtol=INIT[min(step, 1)])
            continue
        trainer.targets.maker.collect = lambda _, step=step: stored_targets(stored, step)
        found = trainer.gan_step(batch)
        assert_close(found["g/loss"], row["g"], rtol=G)
        assert_close(found["d/loss"], row["d"], rtol=D)
        weighted = {k: float(v) * trainer.objective.weights.get(k, 1) for k, v in found.items()}
        regions = weighted["g/region"] + weighted["g/region_photo"]
        assert_close(regions, row["region"], rtol=G)
        for ours, (theirs, tolerance) in TERMS.items():
            assert_close(weighted[f"g/{ours}"], row[theirs], rtol=tolerance)

    deviations = []
    for weight in (*trainer.trained.weights, *trainer.discriminator.weights):
        final, values = expected["final"][names[weight.path]], weight.numpy().astype(np.float64)
        assert_close(np.linalg.norm(values), final["l2"], rtol=L2)
        assert_close(values.mean(), final["mean"], atol=MEAN)
        deviations.extend(np.abs(values.ravel()[:4] - final["first"]))
    assert max(deviations) < FIRST
    assert np.median(deviations) < FIRST_MEDIAN


def test_gradients_equal_the_original():
    golden = arrays("animegan_v3_generator_training")
    expected = numbers("animegan_v3_generator_gradients")
    trainer = Trainer(TrainConfig.from_preset("animegan_v3_hayao", TINY | {"generator_width": 32}))
    names = double_tail_names(trainer.trained)
    fill(trainer.trained, names, value_v3)
    tape, (support, main) = trainer._generate({"photo": tf.constant(golden["input"])})
    with tape:
        guided = smooth_guided(support)
        loss = tf.reduce_mean(main**2) + tf.reduce_mean(guided**2)
    assert_close(guided, golden["guided"], atol=4e-5)
    assert_close(loss, expected["loss"], rtol=1e-5)
    variables = trainer.trained.trainable_variables
    for variable, gradient in zip(
        variables, tape.gradient(loss, [v.value for v in variables]), strict=True
    ):
        l2 = expected["gradient"][names[variable.path]]["l2"]
        assert_close(tf.norm(gradient), l2, rtol=1e-3)


def tiny_batch(seed=0):
    random = np.random.default_rng(seed)
    return {
        name: tf.constant(random.uniform(-1, 1, (2, 32, 32, 3)), tf.float32) for name in STREAMS
    }


@pytest.mark.eager
def test_targets_are_made_on_other_cores():
    trainer = Trainer(TrainConfig.from_preset("animegan_v3_hayao", TINY))
    photo = tiny_batch()["photo"]
    support = trainer.trained.support_picture(photo, training=False)
    drafts = {k: v.numpy() for k, v in trainer.objective.drafts(support).items()}
    maker = trainer.targets.maker
    targets, again = maker.collect(maker.submit(drafts)), maker.collect(maker.submit(drafts))
    for name in ("superpixel", "revised"):
        assert targets[name].shape == (2, 32, 32, 3)
        assert np.abs(targets[name]).max() <= 1
        np.testing.assert_array_equal(targets[name], again[name])


@pytest.mark.eager
@pytest.mark.parametrize("style", ["hayao", "shinkai"])
def test_initialization_trains_the_tails_of_the_recipe(style):
    trainer = Trainer(TrainConfig.from_preset(f"animegan_v3_{style}", TINY))
    before = {w.path: w.numpy() for w in trainer.trained.trainable_weights}
    trainer.init_step({"photo": tiny_batch()["photo"]})
    moved = {
        w.path for w in trainer.trained.trainable_weights if (w != before[w.path]).numpy().any()
    }
    for part, moves in (("base/", True), ("support/", True), ("main/", style == "hayao")):
        assert any(part in path for path in moved) == moves


@pytest.mark.eager
def test_accumulation_equals_the_whole_batch():
    # But for batch norm, whose statistics are those of a chunk: identical pictures hide that.
    steps = {}
    for accumulation in (1, 2):
        config = TrainConfig.from_preset(
            "animegan_v3_hayao", TINY | {"accumulation": accumulation, "ema_decay": 0.5}
        )
        trainer = Trainer(config, MobileNetV1Features())
        batch = {k: tf.repeat(v[:1], 2, axis=0) for k, v in tiny_batch().items()}
        steps[accumulation] = [trainer.init_step(batch), trainer.gan_step(batch)]
    for one, two in zip(*steps.values(), strict=True):
        assert set(one) == set(two)
        for name in one:
            assert_close(one[name], two[name], rtol=1e-3, atol=1e-6)


@pytest.mark.eager
@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision_is_finite(precision):
    trainer = Trainer(TrainConfig.from_preset("animegan_v3_hayao", TINY | {"precision": precision}))
    for terms in (trainer.init_step(tiny_batch()), trainer.gan_step(tiny_batch())):
        assert all(np.isfinite(value) for value in terms.values())


def test_networks_are_checked():
    with pytest.raises(ValueError, match="discriminator: expected model=animegan_v3"):
        TrainConfig(discriminator="animegan_v3")
    with pytest.raises(ValueError, match="perceptual: expected vgg19 or mobilenetv1"):
        TrainConfig.from_preset("animegan_v3_hayao", {"perceptual": "mobilenetv2"})


def test_recipe_follows_from_model_and_style():
    assert TrainConfig.from_preset(None, {"model": "animegan_v3"}).region_min_size == 50
    shinkai = TrainConfig.from_preset(None, {"model": "animegan_v3", "style": "Shinkai"})
    assert (shinkai.region_min_size, shinkai.smooth_salt) == (100, True)


@pytest.mark.eager
def test_targets_made_ahead_survive_a_checkpoint():
    config = TrainConfig.from_preset("animegan_v3_hayao", TINY)
    unbroken, resumed = Trainer(config), Trainer(config)
    unbroken.gan_step(tiny_batch(0), following=tiny_batch(1))
    for new, old in zip(
        tf.nest.flatten(resumed.trackables), tf.nest.flatten(unbroken.trackables), strict=True
    ):
        new.assign(old)
    expected, found = (
        # There are drafts for step 1: making others would fail.
        trainer.targets.maker.collect(trainer.targets.targets(1, None))
        for trainer in (unbroken, resumed)
    )
    for name, target in expected.items():
        np.testing.assert_array_equal(found[name], target)
    late = Trainer(config.replace(targets_ahead=False)).trackables
    assert late["targets"] == {}


@pytest.mark.eager
def test_options_for_other_networks():
    tiny = TINY | {"style_3_3_weight": 1.0, "region_photo_weight": 1.0}
    trainer = Trainer(TrainConfig(**tiny))
    assert "photo_superpixel" in trainer.objective.gan_streams
    batch = tiny_batch()
    batch |= {f"{name}_gray": batch[name] for name in ("anime", "smooth")}
    found = trainer.gan_step(batch)
    assert {"g/style_3_3", "g/region_photo", "g/style"} <= set(found)
    assert "g/style_2_2" not in found
    assert all(np.isfinite(value) for value in found.values())
    assert "photo_superpixel" not in Trainer(TrainConfig(**TINY)).objective.gan_streams


@pytest.mark.eager
@pytest.mark.parametrize("preset", ["hayao", "animegan_v3_hayao", "cartoongan"])
def test_smooth_pictures_are_not_read_without_their_term(preset):
    changes = TINY | {"d_smooth_weight": 0.0, "perceptual": "mobilenetv1"}
    trainer = Trainer(TrainConfig.from_preset(preset, changes))
    assert "smooth" not in trainer.objective.gan_streams
    batch = {k: x for k, x in tiny_batch().items() if not k.startswith("smooth")}
    batch["anime_gray"] = batch["anime"]
    found = trainer.gan_step(batch)
    assert "d/smooth" not in found and {"d/real", "d/fake"} <= set(found)
    assert all(np.isfinite(value) for value in found.values())
    kept = Trainer(TrainConfig.from_preset(preset, TINY | {"perceptual": "mobilenetv1"}))
    assert "smooth" in kept.objective.gan_streams


@pytest.mark.eager
def test_export_with_the_batch_norm_of_the_published_graph():
    trainer = Trainer(TrainConfig.from_preset("animegan_v3_hayao", TINY))
    trainer.init_step(tiny_batch())
    assert trainer.exportable() is trainer.generator
    trainer.config = trainer.config.replace(identity_batch_norm=True)
    copy = trainer.exportable()
    for weight, value in zip(copy.main.attention.norm.weights, (1, 0, 0, 1), strict=True):
        assert_close(weight, np.full(weight.shape, value))
    assert_close(copy.base.weights[0], trainer.generator.base.weights[0])
    with pytest.raises(ValueError, match="identity_batch_norm: expected model=animegan_v3"):
        TrainConfig(identity_batch_norm=True)
