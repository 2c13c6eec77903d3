import io
import os
import pickle

import h5py
import keras
import numpy as np
import pytest
from golden_files import arrays, assert_close, golden_vgg19

from anime_tf.models.vgg19 import vgg19_features


@pytest.fixture(scope="module")
def golden():
    return golden_vgg19()


@pytest.fixture(scope="module")
def content(golden):
    return {conv.name: [conv.kernel.numpy(), conv.bias.numpy()] for conv in golden.convolutions}


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
    assert_same_weights(vgg19_features("random", seed=3), vgg19_features("random", seed=3))
    first, second = (vgg19_features("random", seed=seed) for seed in (3, 4))
    assert np.abs(first.weights[0].numpy() - second.weights[0].numpy()).max() > 0.01


def test_nothing_is_trainable(golden):
    assert golden.trainable_variables == []


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_the_originals_npy(content, golden, tmp_path, protocol):
    path = tmp_path / "vgg19.npy"
    with path.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(np.array(content, dtype=object), file, protocol=protocol)
    assert_same_weights(vgg19_features(str(path)), golden)


def test_npy_of_python_2_is_latin_1(content, golden, tmp_path):
    """Python 2 wrote the bytes of an array as a str, which protocol 2 keeps as one."""
    buffer = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(buffer, header)
    pickle.dump(np.array(content, dtype=object), buffer, protocol=2, fix_imports=True)
    old = buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "vgg19.npy").write_bytes(old)
    assert_same_weights(vgg19_features(str(tmp_path / "vgg19.npy")), golden)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_npy_executes_nothing(content, tmp_path):
    path, made = tmp_path / "vgg19.npy", tmp_path / "made"
    np.save(path, {**content, "extra": Malicious(made)}, allow_pickle=True)
    with pytest.raises(ValueError, match=r"vgg19\.npy: .* asks for .*mkdir.*, which is not array"):
        vgg19_features(str(path))
    assert not made.exists()


def test_reads_keras_h5_with_and_without_top(content, golden, tmp_path):
    names = {f"block{n[4]}_conv{n[6]}": values for n, values in content.items()}
    for name, root in {"notop.h5": "", "top.h5": "model_weights"}.items():
        with h5py.File(tmp_path / name, "w") as file:
            group = file.create_group(root) if root else file
            for layer, (kernel, bias) in {**names, "block5_conv1": names["block4_conv4"]}.items():
                inner = group.create_group(f"{layer}/{layer}")
                inner["kernel:0"], inner["bias:0"] = kernel, bias
        assert_same_weights(vgg19_features(str(tmp_path / name)), golden)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.h5", b"hello", "text.h5: not a readable HDF5 file"),
        ("text.npy", b"hello", "text.npy: not the vgg19.npy of AnimeGAN"),
    ],
)
def test_wrong_files_are_named(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        vgg19_features(str(tmp_path / name))


def test_missing_file_and_layers_are_named(tmp_path, content):
    with pytest.raises(FileNotFoundError, match=r"none\.h5: no such file; expected VGG-19"):
        vgg19_features(str(tmp_path / "none.h5"))
    np.save(tmp_path / "part.npy", {"conv1_1": content["conv1_1"]}, allow_pickle=True)
    with pytest.raises(ValueError, match="it has no conv1_2"):
        vgg19_features(str(tmp_path / "part.npy"))
    wrong = {**content, "conv2_1": content["conv1_1"]}
    np.save(tmp_path / "wrong.npy", wrong, allow_pickle=True)
    with pytest.raises(ValueError, match=r"conv2_1 has shapes \(3, 3, 3, 64\)"):
        vgg19_features(str(tmp_path / "wrong.npy"))


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
    mixed = vgg19_features("random", dtype="mixed_bfloat16")
    for ours, theirs in zip(mixed.weights, golden.weights, strict=True):
        ours.assign(theirs)
    return mixed
