import numpy as np
import pytest
import tensorflow as tf

from anime_tf.models.mobilenet_v2 import MobileNetV2Features
from anime_tf.models.registry import PERCEPTUAL
from anime_tf.training import config
from anime_tf.training.trainer import Trainer


def test_the_command_line_offers_every_perceptual_network():
    assert tuple(PERCEPTUAL) == config.PERCEPTUAL


@pytest.mark.eager
@pytest.mark.parametrize("precision", config.PRECISIONS)
def test_the_generator_learns_through_mobilenet_v2(precision):
    settings = config.TrainConfig(
        perceptual="mobilenetv2",
        perceptual_weights="random",
        precision=precision,
        generator_width=4,
        batch_size=2,
        image_size=32,
        init_learning_rate=1e-3,
    )
    trainer = Trainer(settings)
    assert isinstance(trainer.objective.features, MobileNetV2Features)
    photo = np.random.default_rng(0).uniform(-1, 1, (2, 32, 32, 3)).astype(np.float32)
    before = trainer.objective.features.get_weights()
    losses = [float(trainer.init_step({"photo": tf.constant(photo)})["g/content"]) for _ in "12345"]
    assert losses[-1] < losses[0]
    for old, new in zip(before, trainer.objective.features.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
