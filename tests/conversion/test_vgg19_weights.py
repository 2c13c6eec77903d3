import io
import os
import pickle

import h5py
import numpy as np
import pytest
from golden_files import assert_close, golden_vgg19

from anime_tf.conversion.perceptual import load_perceptual


@pytest.fixture(scope="module")
def golden():
    return golden_vgg19()


@pytest.fixture(scope="module")
def content(golden):
    return {conv.name: [conv.kernel.numpy(), conv.bias.numpy()] for conv in golden.convolutions}


def load(path):
    return load_perceptual("vgg19", str(path))


def assert_same_weights(model, other):
    for ours, theirs in zip(model.weights, other.weights, strict=True):
        assert_close(ours, theirs)


@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_reads_the_originals_npy(content, golden, tmp_path, protocol):
    path = tmp_path / "vgg19.npy"
    with path.open("wb") as file:
        header = {"descr": "|O", "fortran_order": False, "shape": ()}
        np.lib.format.write_array_header_1_0(file, header)
        pickle.dump(np.array(content, dtype=object), file, protocol=protocol)
    assert_same_weights(load(path), golden)


def test_reads_npy_of_python_2(content, golden, tmp_path):
    """Python 2 pickled the bytes of an array as a str."""
    buffer = io.BytesIO()
    header = {"descr": "|O", "fortran_order": False, "shape": ()}
    np.lib.format.write_array_header_1_0(buffer, header)
    pickle.dump(np.array(content, dtype=object), buffer, protocol=2, fix_imports=True)
    old = buffer.getvalue().replace(b"numpy._core.multiarray", b"numpy.core.multiarray")
    (tmp_path / "vgg19.npy").write_bytes(old)
    assert_same_weights(load(tmp_path / "vgg19.npy"), golden)


class Malicious:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_npy_executes_nothing(content, tmp_path):
    path, made = tmp_path / "vgg19.npy", tmp_path / "made"
    np.save(path, {**content, "extra": Malicious(made)}, allow_pickle=True)
    with pytest.raises(ValueError, match=r"vgg19\.npy: .* asks for .*mkdir.*, which is not array"):
        load(path)
    assert not made.exists()


def test_reads_keras_h5_with_and_without_top(content, golden, tmp_path):
    names = {f"block{n[4]}_conv{n[6]}": values for n, values in content.items()}
    for name, root in {"notop.h5": "", "top.h5": "model_weights"}.items():
        with h5py.File(tmp_path / name, "w") as file:
            group = file.create_group(root) if root else file
            for layer, (kernel, bias) in {**names, "block5_conv1": names["block4_conv4"]}.items():
                inner = group.create_group(f"{layer}/{layer}")
                inner["kernel:0"], inner["bias:0"] = kernel, bias
        assert_same_weights(load(tmp_path / name), golden)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("text.h5", b"hello", "text.h5: expected an HDF5 file"),
        ("text.npy", b"hello", "text.npy: expected the vgg19.npy of AnimeGAN"),
    ],
)
def test_other_files_are_refused(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        load(tmp_path / name)


def test_missing_files_and_layers_are_reported(tmp_path, content):
    with pytest.raises(
        FileNotFoundError, match=r"none\.h5: no such file or folder; expected VGG-19"
    ):
        load(tmp_path / "none.h5")
    np.save(tmp_path / "part.npy", {"conv1_1": content["conv1_1"]}, allow_pickle=True)
    with pytest.raises(ValueError, match="got no conv1_2"):
        load(tmp_path / "part.npy")
    wrong = {**content, "conv2_1": content["conv1_1"]}
    np.save(tmp_path / "wrong.npy", wrong, allow_pickle=True)
    with pytest.raises(ValueError, match=r"conv2_1: expected .*, got \(3, 3, 3, 64\)"):
        load(tmp_path / "wrong.npy")
