import shutil

import h5py
import keras
import numpy as np
import pytest
from golden_files import assert_close

from anime_tf.conversion.perceptual import load_perceptual

ROUNDING = 1e-5
"""Of 19 float32 convolutions, as a part of the features' spread."""


def keras_network(alpha=1.3, **options):
    """Make Keras' network with nontrivial batch norms."""
    keras.utils.set_random_seed(5)
    network = keras.applications.MobileNetV2(alpha=alpha, weights=None, **options)
    rng = np.random.default_rng(5)
    for layer in network.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            size = layer.gamma.shape
            gamma, beta, mean = 1 + 0.2 * rng.normal(size=(3, *size)) * [[1], [1], [1]]
            variance = rng.uniform(0.1, 2.0, size)
            layer.set_weights([gamma, beta - 1, mean - 1, variance])
    return network


@pytest.fixture(scope="module")
def without_top():
    return keras_network(input_shape=(None, None, 3), include_top=False)


@pytest.fixture(scope="module")
def files(without_top, tmp_path_factory):
    """All kinds of files that Keras writes or publishes, with the same weights."""
    folder = tmp_path_factory.mktemp("mobilenet_v2")
    without_top.save_weights(folder / "keras3.weights.h5")
    without_top.save(folder / "model.h5")
    with_top = keras_network(input_shape=(32, 32, 3), classes=3)
    for ours, theirs in zip(with_top.layers, without_top.layers, strict=False):
        ours.set_weights(theirs.get_weights())
    with_top.save(folder / "top.h5")
    with_top.save_weights(folder / "top.weights.h5")
    # Published files hold the weights alone, and some of them under older names.
    with h5py.File(folder / "model.h5") as source, h5py.File(folder / "older.h5", "w") as file:
        layers = [source["model_weights"][n] for n in source["model_weights"].attrs["layer_names"]]
        file.attrs["layer_names"] = [f"mobl{i}".encode() for i in range(len(layers))]
        for i, layer in enumerate(layers):
            source.copy(layer, file, f"mobl{i}")
    return folder


def expected_features(network, picture):
    layer = network.get_layer("block_6_expand")
    return np.asarray(keras.Model(network.input, layer.output)(picture, training=False))


def load(path="imagenet", **options):
    return load_perceptual("mobilenetv2", str(path), **options)


def picture(*size):
    return np.random.default_rng(1).uniform(-1, 1, (2, *size, 3)).astype(np.float32)


@pytest.mark.parametrize(
    "name", ["keras3.weights.h5", "model.h5", "top.h5", "top.weights.h5", "older.h5"]
)
def test_features_equal_those_of_keras(without_top, files, name):
    expected = expected_features(without_top, picture(64, 96))
    features = np.asarray(load(files / name)(picture(64, 96)))
    assert features.shape == (2, 8, 12, 240)
    assert features.dtype == np.float32
    assert_close(features, expected, atol=ROUNDING * expected.std())


def test_odd_sides_equal_those_of_keras(without_top, files):
    """Keras' network pads odd sides correctly only if built for the size."""
    fixed = keras_network(input_shape=(37, 50, 3), include_top=False)
    fixed.set_weights(without_top.get_weights())
    expected = expected_features(fixed, picture(37, 50))
    features = load(files / "keras3.weights.h5")(picture(37, 50))
    assert_close(features, expected, atol=ROUNDING * expected.std())


def test_nothing_is_trainable_or_changed_in_training(files):
    network = load(files / "keras3.weights.h5")
    assert network.trainable_variables == []
    assert_close(network(picture(32, 32), training=True), network(picture(32, 32)))


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
def test_mixed_precision(files, policy):
    path = str(files / "keras3.weights.h5")
    exact = np.asarray(load(path)(picture(64, 64)))
    features = np.asarray(load(path, dtype=policy)(picture(64, 64)))
    assert features.dtype == np.float32
    # bfloat16 has 8 bits: 19 layers of random signs leave a hundredth of the spread or so.
    assert 0 < np.abs(features - exact).mean() < 0.03 * exact.std()


def test_keras_archive_round_trip(files, tmp_path):
    network = load(files / "keras3.weights.h5")
    network.save(tmp_path / "features.keras")
    loaded = keras.saving.load_model(tmp_path / "features.keras")
    assert_close(loaded(picture(32, 32)), network(picture(32, 32)))


def test_other_files_are_refused(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"none\.h5: no such file or folder; expected MobileNetV2"
    ):
        load(tmp_path / "none.h5")
    (tmp_path / "text.h5").write_bytes(b"hello")
    with pytest.raises(ValueError, match=r"text\.h5: expected an HDF5 file"):
        load(tmp_path / "text.h5")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["x"] = [1.0]
    with pytest.raises(ValueError, match=r"other\.h5: expected MobileNetV2 weights"):
        load(tmp_path / "other.h5")


def test_other_networks_are_refused(tmp_path):
    small = keras_network(0.35, input_shape=(32, 32, 3), include_top=False)
    small.save_weights(tmp_path / "small.weights.h5")
    message = r"small\.weights\.h5: Conv1: expected .*40\)\], as at alpha 1\.3, got .*16\)\]"
    with pytest.raises(ValueError, match=message):
        load(tmp_path / "small.weights.h5")
    dense = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    dense.save(tmp_path / "dense.h5")
    with pytest.raises(ValueError, match=r"dense\.h5: expected 37 layers .*, got 1$"):
        load(tmp_path / "dense.h5")


def test_imagenet_weights_are_downloaded_or_the_remedy_is_named(files, tmp_path, monkeypatch):
    """Keras' cache replaces the download; the proxy does not exist."""
    monkeypatch.setattr("keras.src.backend.config._KERAS_DIR", str(tmp_path))
    monkeypatch.setattr("urllib.request._opener", None)  # has the proxy of its first use
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")
    with pytest.raises(ValueError) as caught:
        load()
    error = str(caught.value)
    assert error.startswith("the ImageNet weights of MobileNetV2 cannot be downloaded (")
    assert error.endswith("file, --perceptual_weights=FILE.h5, or --perceptual_weights=random")
    name = "mobilenet_v2_weights_tf_dim_ordering_tf_kernels_1.3_224_no_top.h5"
    (tmp_path / "models").mkdir(exist_ok=True)
    shutil.copy(files / "model.h5", tmp_path / "models" / name)
    for fetched, read in zip(load().weights, load(files / "model.h5").weights, strict=True):
        np.testing.assert_array_equal(fetched, read)
