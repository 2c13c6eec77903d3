import pytest

from anime_tf.config import settings
from anime_tf.training import config
from anime_tf.training.config import PRESETS, TrainConfig


def test_defaults_are_animegan_v2s_for_hayao():
    values = TrainConfig()
    assert (values.epochs, values.init_epochs, values.batch_size, values.image_size) == (
        101,
        10,
        12,
        256,
    )
    rates = (values.init_learning_rate, values.g_learning_rate, values.d_learning_rate)
    assert rates == (2e-4, 2e-5, 4e-5)
    weights = (
        values.g_adv_weight,
        values.d_adv_weight,
        values.content_weight,
        values.style_weight,
        values.color_weight,
        values.tv_weight,
    )
    assert weights == (300, 300, 1.5, 2.5, 15, 1)
    d_weights = (
        values.d_real_weight,
        values.d_fake_weight,
        values.d_gray_weight,
        values.d_smooth_weight,
    )
    assert d_weights == (1.2, 1.2, 1.2, 0.8)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("paprika", (2.0, 0.6, 50, 0.1, 1, 1, 1, 0.005)),
        ("shinkai", (1.2, 2.0, 10, 1, 1.7, 1.7, 1.7, 1.0)),
    ],
)
def test_published_presets(name, expected):
    values = TrainConfig.from_dict(PRESETS[name])
    assert expected == (
        values.content_weight,
        values.style_weight,
        values.color_weight,
        values.tv_weight,
        values.d_real_weight,
        values.d_fake_weight,
        values.d_gray_weight,
        values.d_smooth_weight,
    )


def test_third_party_recipes():
    mindspore = TrainConfig.from_dict(PRESETS["mindspore"])
    assert (mindspore.epochs, mindspore.init_epochs, mindspore.batch_size) == (40, 5, 4)
    rates = (mindspore.init_learning_rate, mindspore.g_learning_rate, mindspore.d_learning_rate)
    assert rates == (1e-3, 2e-4, 4e-4)
    assert loss_weights(mindspore) == (1.2, 300, 1.8, 2, 10)
    report = TrainConfig.from_dict(PRESETS["course_report"])
    assert (report.epochs, report.init_epochs, report.batch_size) == (100, 1, 12)
    assert loss_weights(report) == (300, 300, 1.5, 3, 10)


def loss_weights(values):
    return (
        values.g_adv_weight,
        values.d_adv_weight,
        values.content_weight,
        values.style_weight,
        values.color_weight,
    )


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_a_config(name):
    TrainConfig.from_dict(PRESETS[name])


def test_unknown_settings_raise():
    with pytest.raises(ValueError, match="expected settings of TrainConfig, got epoch, steps"):
        TrainConfig.from_dict({"steps": 1, "epoch": 2})


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"gan_type": "wgan"}, "gan_type: expected one of gan, lsgan, hinge, .*, got 'wgan'"),
        ({"precision": "float16"}, "precision: expected one of"),
        ({"image_size": 100}, "image_size: expected a multiple of 8"),
        ({"batch_size": 0}, "batch_size: expected an integer of at least 1, got 0"),
        ({"tv_weight": -1.0}, "tv_weight: expected a number of at least 0"),
        ({"training_rate": 0}, "training_rate: expected an integer of at least 1"),
        (
            {"discriminator_color": False},
            "d_gray_weight: expected 0 with discriminator_color=false",
        ),
        (
            {**PRESETS["animegan_v3_hayao"], "discriminator_color": False},
            "discriminator_color: expected true with discriminator=animegan_v3",
        ),
    ],
)
def test_values_are_checked(settings, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig(**settings)


def test_replace_checks_too():
    assert TrainConfig().replace(epochs=3).epochs == 3
    with pytest.raises(ValueError, match="epochs: expected an integer of at least 1"):
        TrainConfig().replace(epochs=0)


def test_every_setting_is_documented():
    assert all(setting.help for setting in settings(TrainConfig).values())


@pytest.mark.parametrize(
    ("model", "style", "preset"),
    [
        (None, "Shinkai", "shinkai"),
        (None, "MyStyle", "hayao"),
        ("animegan_v2_light", "Paprika", "paprika"),
        ("cartoongan", "Shinkai", "cartoongan"),
        ("animegan_v1", "MyStyle", "animegan_v1"),
        ("ue_animegan_v2", "MyStyle", "ue_animegan_v2"),
    ],
)
def test_a_model_has_its_own_recipe(model, style, preset):
    assert config.default_preset(model, style) == preset
    assert PRESETS[preset].get("model", model) == model or model is None


def test_recipes_of_the_other_papers():
    v1 = TrainConfig.from_dict(PRESETS["animegan_v1"])
    rates = (v1.init_learning_rate, v1.g_learning_rate, v1.d_learning_rate)
    assert (v1.epochs, v1.init_epochs, v1.batch_size, *rates) == (101, 5, 6, 1e-4, 8e-5, 16e-5)
    weights = (v1.content_weight, v1.style_weight, v1.color_weight, v1.tv_weight)
    assert weights == (1.5, 3, 10, 0)
    d_weights = (v1.d_real_weight, v1.d_fake_weight, v1.d_gray_weight, v1.d_smooth_weight)
    assert d_weights == (1, 1, 1, 0.1)

    cartoon = TrainConfig.from_dict(PRESETS["cartoongan"])
    assert (cartoon.gan_type, cartoon.smooth_color, cartoon.fit) == ("gan", True, "crop")
    assert (cartoon.content_weight, cartoon.init_epochs) == (10, 10)
    unused = (cartoon.style_weight, cartoon.color_weight, cartoon.tv_weight, cartoon.d_gray_weight)
    assert unused == (0, 0, 0, 0)


@pytest.mark.parametrize("preset", PRESETS)
def test_smooth_pictures_are_needed_by_one_term_alone(preset):
    config = TrainConfig.from_preset(preset, {})
    # The built-in styles were trained on painted pairs, without a GAN phase.
    assert config.needs_smooth == (
        preset not in ("cel", "gouache", "cel_live", "gouache_live", "manga")
    )
    with_gan = config.replace(epochs=config.epochs + 1)
    assert with_gan.needs_smooth
    assert not with_gan.replace(d_smooth_weight=0.0).needs_smooth
