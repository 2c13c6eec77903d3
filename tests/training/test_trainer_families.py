"""Fifty tiny training steps of every network with its own recipe."""

from __future__ import annotations

import numpy as np
import pytest
import tensorflow as tf

from anime_tf.models.registry import GENERATORS
from anime_tf.training.config import PRESETS, TrainConfig, default_preset
from anime_tf.training.objective import network_inputs
from anime_tf.training.trainer import Trainer

INIT_STEPS, GAN_STEPS = 20, 30

SMALL = {
    "generator_width": 4,
    "discriminator_width": 8,
    "batch_size": 1,
    "image_size": 32,
    "perceptual_weights": "random",
}

TERMS = {
    "animegan_v1": {"g/adv", "g/content", "g/style", "g/color"},
    "animegan_v2": {"g/adv", "g/content", "g/style", "g/color", "g/tv"},
    "animegan_v2_light": {"g/adv", "g/content", "g/style", "g/color", "g/tv"},
    "animegan_v3": {
        *("g/adv", "g/content", "g/style_2_2", "g/style_3_3", "g/style_4_4", "g/region"),
        *("g/region_photo", "g/lab", "g/tv", "g/tv_main", "g/revision", "g/revision_content"),
        *("g/adv_main", "d/real_main", "d/fake_main"),
    },
    "live": {"g/adv", "g/content", "g/style", "g/color", "g/tv"},
    "live_large": {"g/adv", "g/content", "g/style", "g/color", "g/tv"},
    "whitebox": {"g/adv", "g/content", "g/style", "g/color", "g/tv"},
    "cartoongan": {"g/adv", "g/content"},
    "ue_animegan_v2": {"g/adv", "g/content", "g/style", "g/color", "g/tv", "g/edge"},
}


@pytest.mark.slow
@pytest.mark.parametrize("name", GENERATORS)
def test_fifty_steps(name, narrow_vgg19):
    config = TrainConfig.from_dict(PRESETS[default_preset(name, "")]).replace(
        **SMALL, model=name, init_learning_rate=1e-3
    )
    trainer = Trainer(config)
    y, x = np.mgrid[:32, :32]
    waves = [np.sin(x * a + y * b) * 100 + 127 for a, b in ((0.3, 0.1), (0.1, 0.4), (0.2, -0.2))]
    photo = np.stack(waves, -1)[None].astype(np.uint8)
    batch = {"photo": photo, "anime": photo[:, ::-1] // 64 * 64, "smooth": photo[:, ::-1]}
    batch["photo_superpixel"] = photo // 64 * 64
    inputs = network_inputs({key: tf.constant(value) for key, value in batch.items()})

    init = [trainer.init_step(inputs) for _ in range(INIT_STEPS)]
    assert init[-1]["g/content"] < 0.9 * init[0]["g/content"]
    gan = [trainer.gan_step(inputs) for _ in range(GAN_STEPS)]
    for row in (*init, *gan):
        assert all(np.isfinite(value) for value in row.values())
    d_terms = {"d/real", "d/fake", "d/smooth"} | (
        {"d/gray"} if "cartoongan" != name != "animegan_v3" else set()
    )
    assert set(gan[0]) == TERMS[name] | d_terms | {"g/loss", "d/loss"}
    picture = trainer.generator(inputs["photo"])
    assert picture.shape == inputs["photo"].shape
    assert np.ptp(picture) > 0.2  # neither black nor gray
