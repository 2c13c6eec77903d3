import pytest
import tensorflow as tf

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
