import keras
import numpy as np
import pytest
from golden_files import arrays, assert_close, golden_vgg19

from anime_tf.models.vgg19 import VGG19Features


@pytest.fixture(scope="module")
def golden():
    return golden_vgg19()


def assert_same_weights(model, other):
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        assert_close(ours, theirs)


def test_features_equal_the_original(golden):
    losses = arrays("animegan_v2_losses")
    features = np.asarray(golden(losses["photo"]))
    # Features have a spread of 68: rounding of 12 layers.
    assert_close(features, losses["vgg_conv4_4"], atol=2e-3)
    assert features.min() < 0, "taken before the activation"


def test_random_weights_follow_from_the_seed():
    assert_same_weights(VGG19Features(seed=3), VGG19Features(seed=3))
    first, second = (VGG19Features(seed=seed) for seed in (3, 4))
    assert np.abs(first.weights[0].numpy() - second.weights[0].numpy()).max() > 0.01


def test_nothing_is_trainable(golden):
    assert golden.trainable_variables == []


def test_keras_archive_round_trip(golden, tmp_path):
    golden.save(tmp_path / "vgg.keras")
    assert_same_weights(keras.saving.load_model(tmp_path / "vgg.keras"), golden)


def test_mixed_precision_preprocesses_in_float32(golden):
    mixed = golden_vgg19_mixed(golden)
    x = arrays("animegan_v2_losses")["photo"]
    features, exact = np.asarray(mixed(x)), np.asarray(golden(x))
    assert features.dtype == np.float32
    assert np.abs(features - exact).mean() < 0.02 * exact.std()


def golden_vgg19_mixed(golden):
    mixed = VGG19Features(dtype="mixed_bfloat16")
    for ours, theirs in zip(mixed.weights, golden.weights, strict=True):
        ours.assign(theirs)
    return mixed
