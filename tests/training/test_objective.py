import numpy as np
import pytest
import tensorflow as tf
from tolerances import FEW_ROUNDINGS

from anime_tf.conversion.perceptual import load_perceptual
from anime_tf.training.config import TrainConfig
from anime_tf.training.objective import Objective


@pytest.mark.parametrize(("in_color", "expected"), [(False, 3.0), (True, 2.0)])
def test_the_style_target_is_gray_or_in_color(in_color, expected):
    config = TrainConfig(style_color=in_color, perceptual_weights="random")
    objective = Objective(config, lambda x: x, lambda x: x)
    one = tf.ones((2, 4, 4, 3))
    pictures = {"photo": one, "anime": 2 * one, "anime_gray": 3 * one}
    targets = objective.target_features(pictures, style=True)
    assert set(targets) == {"g/content", "g/style"}
    assert tf.reduce_all(targets["g/style"] == expected)
    assert tf.reduce_all(targets["g/content"] == 1.0)


def test_painted_terms_are_zero_for_the_painting_itself():
    names = ("yuv", "gradient", "flat", "magnitude", "feature")
    weights = {f"paired_{name}_weight": 1.0 for name in names}
    config = TrainConfig(content_weight=0, style_weight=0, perceptual="mobilenetv1", **weights)
    assert config.is_paired
    assert config.needs_features
    features = load_perceptual("mobilenetv1", "random")
    objective = Objective(config, features, lambda x: x)
    painting = tf.constant(np.random.default_rng(0).uniform(-1, 1, (1, 32, 32, 3)), tf.float32)
    _, terms = objective.init_loss({"paired": painting}, {}, painting)
    assert set(terms) == {f"g/paired_{name}" for name in names}
    for name in names:
        if name != "flat":
            np.testing.assert_allclose(terms[f"g/paired_{name}"], 0, atol=FEW_ROUNDINGS)
    _, terms = objective.init_loss({"paired": painting}, {}, 0.5 * painting)
    assert min(float(terms[f"g/paired_{name}"]) for name in names if name != "flat") > 0.01


def test_features_at_three_depths_need_mobilenet_v1():
    with pytest.raises(ValueError, match="expected perceptual=mobilenetv1, got vgg19"):
        TrainConfig(paired_feature_weight=1.0)
