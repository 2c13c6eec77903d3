import keras
import numpy as np
import pytest

from anime_tf.conversion import mobilenet_weights
from anime_tf.conversion.perceptual import load_perceptual

ROUNDING = 1e-4  # batch norms fused into float32 kernels


def keras_network():
    """Keras' MobileNet with batch norms that do something, up to conv_pw_5."""
    keras.utils.set_random_seed(0)
    source = keras.applications.MobileNet(input_shape=(64, 64, 3), include_top=False, weights=None)
    rng = np.random.default_rng(0)
    for layer in source.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.set_weights([rng.uniform(0.5, 1.5, w.shape) for w in layer.get_weights()])
    taps = [source.get_layer(f"conv_pw_{i}_bn").output for i in (1, 3, 5)]
    return keras.Model(source.inputs, taps)


def test_features_are_those_of_keras(tmp_path):
    source = keras_network()
    arrays = {w.path: w.numpy() for layer in source.layers for w in layer.weights}
    np.savez(tmp_path / "weights.npz", **arrays)
    network = load_perceptual("mobilenetv1", str(tmp_path / "weights.npz"))
    x = np.random.default_rng(1).uniform(-1, 1, (1, 64, 64, 3)).astype(np.float32)
    for ours, theirs in zip(network.pyramid(x), source(x), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=ROUNDING * np.abs(theirs).max())


def test_other_files_are_refused(tmp_path):
    path = tmp_path / "weights.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(ValueError, match="expected MobileNetV1 weights, got none of conv1/kernel"):
        load_perceptual("mobilenetv1", str(path))
    np.savez(path, **{"conv1/kernel": np.zeros((3, 3, 3, 8))})
    with pytest.raises(ValueError, match="conv1_bn"):
        load_perceptual("mobilenetv1", str(path))
    path.write_bytes(b"no archive")
    with pytest.raises(ValueError, match="expected an .npz file"):
        mobilenet_weights.read_v1(path)
