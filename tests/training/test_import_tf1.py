"""Whole TensorFlow 1 trainings, written by TensorFlow 1's own Saver, resumed here."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
from golden_files import (
    assert_close,
    assert_trajectory,
    discriminator_names,
    double_tail_names,
    generator_names,
    golden_vgg19,
    numbers,
)
from golden_recipe import value, value_v3
from small_data_set import NO_VGG, SMALL_NETWORKS, make_data_set
from tf1_trainings import initial_power, power, save, state_of, write

from anime_tf.training.config import TrainConfig
from anime_tf.training.import_tf1 import (
    count_updates,
    double_discriminator,
    import_training,
    read_settings,
)
from anime_tf.training.run_dir import RunDir, resumed_config
from anime_tf.training.trainer import Trainer

# Of updates of about 1e-3, to variables of about 1, whose last digit is worth 1.2e-7.
UPDATE = 3e-7

# Two runs of the same steps in one process: threads add in another order.
RESUMED = 1e-5

SMALL = {**SMALL_NETWORKS, **NO_VGG, "init_epochs": 1, "steps_per_epoch": 1}


def assert_same_state(trainer: Trainer, other: Trainer) -> None:
    expected = state_of(other)
    for name, x in state_of(trainer).items():
        np.testing.assert_array_equal(x, expected[name], err_msg=name)


def config_of(checkpoint: Path, run_dir: Path, **settings) -> TrainConfig:
    found = read_settings(checkpoint)
    return TrainConfig(**{**SMALL, **settings, **found, "run_dir": str(run_dir)})


def resumed(run_dir: Path, perceptual_network=None) -> Trainer:
    config = resumed_config(run_dir, {})
    trainer = Trainer(config, perceptual_network)
    with RunDir(config, trainer, resume=True):
        return trainer


@pytest.mark.slow
def test_six_steps_of_a_converted_training_equal_the_originals(tmp_path):
    """From the recipe's values, in a checkpoint with the names and shapes of the originals'."""
    shapes = numbers("animegan_v2_training_checkpoint_variables")
    variables = {}
    for name, shape in shapes.items():
        if "_power" in name:
            variables[name] = initial_power(name)
        elif "/Adam" in name:
            variables[name] = np.zeros(shape, np.float32)
        else:
            variables[name] = value(name, shape)
    checkpoint = save(tmp_path / "AnimeGANv2.model-0", variables)

    found = read_settings(checkpoint)
    assert found == {
        "model": "animegan_v2",
        "discriminator": "animegan_v2",
        "spectral_norm": False,
        "generator_width": 32,
        "discriminator_width": 64,
        "discriminator_depth": 3,
    }
    config = TrainConfig(
        **found, batch_size=2, image_size=64, steps_per_epoch=2, run_dir=str(tmp_path / "run")
    )
    done = import_training(checkpoint, config)
    assert (done.step, done.variables) == (0, 430 - 6)
    assert done.updates == {"init": 0, "g": 0, "d": 0}
    assert_trajectory(
        resumed(tmp_path / "run", golden_vgg19()), numbers("animegan_v2_training")["lsgan"]
    )


@pytest.mark.parametrize("style", ["hayao", "shinkai"])
def test_trainings_of_animegan_v3(style, tmp_path):
    """Every variable of the originals' lists, which differ in the state of the main tail."""
    shapes = numbers(f"animegan_v3_training_checkpoint_variables_{style}")
    variables = {
        name: initial_power(name) if "_power" in name else value_v3(name, shape)
        for name, shape in shapes.items()
    }
    checkpoint = write(tmp_path / "AnimeGANv3.model-0", variables)
    found = read_settings(checkpoint)
    assert found == {
        "model": "animegan_v3",
        "discriminator": "animegan_v3",
        "spectral_norm": True,
        "generator_width": 32,
        "discriminator_width": 64,
        "discriminator_depth": 3,
        "init_main_tail": style == "hayao",
    }
    settings = {**found, "steps_per_epoch": 2, "run_dir": str(tmp_path / "run")}
    config = TrainConfig.from_preset(f"animegan_v3_{style}", settings)
    assert config.init_main_tail == (style == "hayao")
    done = import_training(checkpoint, config)
    unused = [name for name in shapes if "_power" in name or name.startswith("generator_1/")]
    assert (done.step, done.variables) == (0, len(shapes) - len(unused))
    trainer = resumed(tmp_path / "run", keras.Sequential())
    for weight in (*trainer.trained.weights, *trainer.discriminator.weights):
        name = (double_tail_names(trainer.trained) | double_discriminator(config))[weight.path]
        np.testing.assert_array_equal(weight.numpy(), variables[name])
    slots = {variable.path: variable.numpy() for variable in trainer.g_optimizer.variables}
    momentum = "Adam_2" if style == "hayao" else "Adam"
    np.testing.assert_array_equal(
        slots["g_adam/generator_main_out_layer_kernel_momentum"],
        variables[f"generator/main/Conv_12/weights/{momentum}"],
    )
    missing = {k: v for k, v in variables.items() if k != "generator/support/Conv_3/weights"}
    broken = write(tmp_path / "broken", missing)
    with pytest.raises(ValueError, match="generator/support/Conv_3/weights"):
        import_training(broken, config.replace(run_dir=str(tmp_path / "other")))


def batch() -> dict[str, tf.Tensor]:
    names = ("photo", "anime", "anime_gray", "smooth_gray")
    return {
        name: tf.random.stateless_uniform((2, 32, 32, 3), (i, 5), -1, 1)
        for i, name in enumerate(names)
    }


@pytest.mark.eager
def test_a_resumed_training_equals_an_uninterrupted_one(tmp_path):
    trainer = Trainer(TrainConfig(**SMALL))
    for _ in range(3):
        trainer.gan_step(batch())
    checkpoint = save(tmp_path / "AnimeGANv2.model-3", state_of(trainer))

    config = config_of(checkpoint, tmp_path / "run", init_epochs=0)
    done = import_training(checkpoint, config)
    assert done.updates == {"init": 0, "g": 3, "d": 3}
    assert (done.step, done.step_source) == (3, "the updates of G's optimizers")
    other = resumed(tmp_path / "run")
    assert int(other.step) == 3
    assert_same_state(other, trainer)
    for _ in range(3):
        row, expected = other.gan_step(batch()), trainer.gan_step(batch())
        assert set(row) == set(expected)
        for name in row:
            assert_close(row[name], expected[name], rtol=RESUMED)


def test_optimizers_continue_as_tensorflow_1s_own(tmp_path):
    """Its Adam updates these variables in a graph, on gradients that are given; we go on."""
    trainer = Trainer(TrainConfig(**SMALL))
    names = generator_names(trainer.generator) | discriminator_names(trainer.discriminator)
    weights = {
        "generator": trainer.generator.weights,
        "discriminator": trainer.discriminator.weights,
    }
    random = np.random.default_rng(0)
    gradients = {
        name: random.normal(size=weight.shape).astype(np.float32)
        for network in weights.values()
        for weight in network
        if weight.trainable and (name := names[weight.path])
    }
    v1 = tf.compat.v1
    updates = {"init": 2, "g": 3, "d": 1}
    values = {network: [w.numpy() for w in ws] for network, ws in weights.items()}
    with tf.Graph().as_default(), v1.Session() as session:
        made = {
            network: [
                v1.get_variable(names[w.path], initializer=x, use_resource=False)
                for w, x in zip(weights[network], xs, strict=True)
            ]
            for network, xs in values.items()
        }
        scale = v1.placeholder(tf.float32, ())
        steps = {}
        for ours, network in (("init", "generator"), ("g", "generator"), ("d", "discriminator")):
            optimizer = v1.train.AdamOptimizer(1e-3, beta1=0.5, beta2=0.999)
            pairs = [
                (scale * gradients[v.op.name], v) for v in made[network] if v.op.name in gradients
            ]
            steps[ours] = optimizer.apply_gradients(pairs)
        session.run(v1.global_variables_initializer())
        for ours, count in updates.items():
            for i in range(count):
                session.run(steps[ours], {scale: 1.0 + i})
        v1.train.Saver().save(session, str(tmp_path / "x.model"), global_step=7)
        before = session.run(made)
        for step in steps.values():
            session.run(step, {scale: -2.0})
        after = session.run(made)

    config = config_of(tmp_path / "x.model-7", tmp_path / "run")
    config = config.replace(
        init_epochs=2, init_learning_rate=1e-3, g_learning_rate=1e-3, d_learning_rate=1e-3
    )
    done = import_training(tmp_path / "x.model-7", config)
    assert done.updates == updates
    assert done.step == 5
    ours = resumed(tmp_path / "run")
    for network in ("generator", "discriminator"):
        model = getattr(ours, network)
        for weight, expected in zip(model.weights, before[network], strict=True):
            np.testing.assert_array_equal(weight.numpy(), expected)
        for name in ("init", "g") if network == "generator" else ("d",):
            getattr(ours, f"{name}_optimizer").apply(
                [tf.constant(-2 * gradients[names[w.path]]) for w in model.trainable_variables],
                model.trainable_variables,
            )
        for weight, first, then in zip(model.weights, before[network], after[network], strict=True):
            assert_close(weight.numpy() - first, then - first, atol=UPDATE)


@pytest.fixture(scope="module")
def state() -> dict[str, np.ndarray]:
    return state_of(Trainer(TrainConfig(**SMALL)))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"generator/G_MODEL/A/Conv/weights/Adam_3": None},
            r"expected a whole training of animegan_v2, got other names or shapes; nothing .*\n"
            r"  missing.*: 1\n    g_adam/generator_A_0_conv_kernel_velocity \(7, 7, 3, 2\) <- ",
        ),
        ({"discriminator/conv_0/u": None}, r"discriminator/conv_0/u \(1, 4\) <- "),
        ({"other": np.zeros(3, np.float32)}, r"extra.*: 1\n    other \(3,\)"),
        ({"beta2_power_1": None}, "expected beta2_power_1, which counts the updates"),
        (
            {"beta2_power_1": np.float32(0.9985)},
            r"beta\*_power_1: .* got 0.9984.* nearest .* 1 upd",
        ),
        (
            {"beta2_power_2": np.float32(np.nan)},
            r"_power_2: expected a power of beta 2, got nan",
        ),
        (
            {"beta1_power": np.float32(0.25)},
            "expected 0.5 for .* beta 1 after 0 updates .* got 0.25",
        ),
        (
            {"global_step": np.int64(3)},
            "has not begun: expected at most 1 steps .* got 3 .from gl",
        ),
        ({"global_step": np.float32(3)}, "global_step: expected integers, got float32"),
        (
            {"discriminator/1_norm_1/beta": np.full(16, np.inf, np.float32)},
            "got NaN or infinity in discriminator/1_norm_1/beta",
        ),
    ],
)
def test_mismatches_are_reported_and_nothing_is_written(changes, words, state, tmp_path):
    changed = {name: x for name, x in {**state, **changes}.items() if x is not None}
    arrays = {name: np.asarray(x) for name, x in changed.items()}
    checkpoint = write(tmp_path / "x.ckpt", arrays)
    before = sorted(path.name for path in tmp_path.iterdir())
    with pytest.raises(ValueError, match=words) as caught:
        import_training(checkpoint, config_of(checkpoint, tmp_path / "run"))
    assert str(caught.value).startswith(str(checkpoint))
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_the_resumed_step(state, tmp_path):
    data = make_data_set(tmp_path / "data", photos=6)
    where = {"dataset_dir": str(data), "style": "Dots", "steps_per_epoch": 0, "init_epochs": 4}

    def step(name, epoch=None, **changes):
        checkpoint = write(tmp_path / name, {**state, **changes})
        config = config_of(checkpoint, tmp_path / f"run {name}", **where)
        done = import_training(checkpoint, config, epoch=epoch, verify=False)
        assert done.config.steps_per_epoch == 3  # 6 photos, 2 a step
        assert resumed_config(done.run_dir, {}).steps_per_epoch == 3
        return done.step, done.step_source

    assert step("a", global_step=np.asarray(9)) == (9, "global_step")
    five = {"beta1_power": power(0.5, 5), "beta2_power": power(0.999, 5)}
    assert step("c", **five) == (5, "the updates of G's optimizers")
    many = {"beta1_power": np.asarray(np.float32(0)), "beta2_power": np.asarray(np.float32(0))}
    with pytest.raises(ValueError, match="more updates than Adam's powers can count; give the ep"):
        step("d", **many)
    assert step("e", epoch=4, global_step=np.asarray(9), **many) == (12, "--epoch=4")
    with pytest.raises(ValueError, match="not begun: expected at most 12 steps .4 ep.* got 15 "):
        step("f", epoch=5)
    begun = {"beta1_power_1": power(0.5, 5), "beta2_power_1": power(0.999, 5)}
    with pytest.raises(ValueError, match="has begun: expected at least 12 steps .4 ep.* got 5 "):
        step("g", **begun)
    with pytest.raises(FileExistsError, match="run a: exists already"):
        step("a")


def test_a_generator_alone_is_no_training(state, tmp_path):
    generator = {n: x for n, x in state.items() if n.startswith("gen") and "Adam" not in n}
    with pytest.raises(ValueError, match="got no variable of a discriminator; omit --tr"):
        read_settings(write(tmp_path / "x.ckpt", generator))


def test_the_first_versions_discriminator_has_names_of_its_own(tmp_path):
    trainer = Trainer(
        TrainConfig(**{**SMALL, "model": "animegan_v1", "discriminator": "animegan_v1"})
    )
    renamed = {
        name.replace("/1_norm_", "/ins_norm_").replace("/2_ins_norm", "/last_ins_norm"): x
        for name, x in state_of(trainer).items()
    }
    checkpoint = write(tmp_path / "AnimeGAN.model-9", renamed)
    config = config_of(checkpoint, tmp_path / "run")
    assert (config.model, config.discriminator) == ("animegan_v1", "animegan_v1")
    import_training(checkpoint, config)
    assert_same_state(resumed(tmp_path / "run"), trainer)


@pytest.mark.parametrize("updates", [0, 1, 2, 124, 125, 126, 555, 16_000, 56_000, 87_000])
def test_powers_count_updates_exactly(updates):
    powers = np.multiply.accumulate(np.full(updates + 1, 0.999, np.float32), dtype=np.float32)
    assert count_updates(0.5 ** (updates + 1), float(powers[-1])) == updates


def test_powers_of_other_programs_and_of_long_trainings():
    assert count_updates(0.5**10001, float(np.float32(0.999**10001))) == 10000
    assert count_updates(0.0, 0.0) is None
    assert count_updates(0.0, 1e-40) is None
    with pytest.raises(ValueError, match=r"nearest is that after 104 .* beta1=0.5 and beta2=0.999"):
        count_updates(0.0, 0.9)
