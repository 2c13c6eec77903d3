import random

import keras
import numpy as np
from golden_files import assert_close

from anime_tf.models.mobilenet_v2 import MobileNetV2Features


def picture(*size):
    return np.random.default_rng(1).uniform(-1, 1, (2, *size, 3)).astype(np.float32)


def test_random_weights_follow_from_the_seed_alone():
    state = random.getstate()
    first = MobileNetV2Features(seed=3)
    assert random.getstate() == state, "other networks' weights depend on this generator"
    keras.utils.set_random_seed(99)
    for ours, theirs in zip(first.weights, MobileNetV2Features(seed=3).weights, strict=True):
        assert_close(ours, theirs)
    other = MobileNetV2Features(seed=4)
    assert np.abs(first.weights[0].numpy() - other.weights[0].numpy()).max() > 0.01


def test_random_weights_keep_the_spread():
    """Features that vanish, or that ReLU6 has cut off, would compare nothing."""
    x = picture(64, 64)
    features = np.asarray(MobileNetV2Features()(x))
    assert 0.3 < features.std() / x.std() < 5
