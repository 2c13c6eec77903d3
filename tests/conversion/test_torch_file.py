"""Files of torch.save: two written by PyTorch, and refused ones."""

from __future__ import annotations

import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest
from torch_files import write_state_dict

from anime_tf.conversion.torch_file import read_state_dict

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.mark.parametrize("name", ["torch_today.pt", "torch_legacy.pth"])
def test_reads_files_of_pytorch(name):
    """Views, transposed views, half, bfloat16 and double; the second nested and with "module."."""
    found = read_state_dict(GOLDEN / name)
    with np.load(GOLDEN / "torch_state.npz") as expected:
        assert set(found) == set(expected)
        for key, array in found.items():
            np.testing.assert_array_equal(array, expected[key])


def test_arrays_are_copies(tmp_path):
    arrays = {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones((), np.float64)}
    path = write_state_dict(tmp_path / "x.pt", arrays)
    found = read_state_dict(path)
    found["a"][:] = 0
    for name, array in read_state_dict(path).items():
        np.testing.assert_array_equal(array, arrays[name])


def refused(path: Path) -> str:
    with pytest.raises(ValueError) as caught:
        read_state_dict(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_pickles_execute_nothing(tmp_path):
    evil = b"X\x01\x00\x00\x00x" + b"cos\nsystem\n(X\x0a\x00\x00\x00touch evilt" + b"R"
    path = write_state_dict(tmp_path / "evil.pt", {"a": np.zeros(1, np.float32)}, evil)
    assert "it asks for os.system" in refused(path)
    assert not Path("evil").exists()
    module = b"X\x01\x00\x00\x00x" + b"c__main__\nGenerator\n)R"
    path = write_state_dict(tmp_path / "whole.pt", {"a": np.zeros(1, np.float32)}, module)
    assert "__main__.Generator" in refused(path)
    assert "torch.save(model.state_dict(), ...)" in refused(path)


def test_other_files_are_refused_in_one_line(tmp_path):
    path = tmp_path / "x.pt"
    path.write_text("no weights at all\n")
    assert "another kind of file" in refused(path)
    path.write_bytes(b"")
    assert "another kind of file" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("notes.txt", "hello")
    assert "expected a state dict, got a zip file of notes.txt" in refused(path)
    write_state_dict(path, {"a": np.zeros(3, np.float32)}, b"X\x05\x00\x00\x00epochK\x03")
    assert "got other values for epoch" in refused(path)
    assert "got a folder" in refused(tmp_path)
    with pytest.raises(FileNotFoundError, match="no such file or folder; expected a state dict"):
        read_state_dict(tmp_path / "none.pt")


@pytest.mark.parametrize("name", ["torch_today.pt", "torch_legacy.pth"])
def test_truncated_files_are_refused_in_one_line(name, tmp_path):
    data = (GOLDEN / name).read_bytes()
    for length in range(0, len(data) - 1, 61):
        path = tmp_path / "x.pt"
        path.write_bytes(data[:length])
        refused(path)


def test_tensors_beyond_their_values_are_refused(tmp_path):
    path = write_state_dict(tmp_path / "x.pt", {"a": np.zeros((2, 3), np.float32)})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    large = parts["archive/data.pkl"].replace(
        b"(J\x02\x00\x00\x00J\x03", b"(J\x02\x00\x00\x00J\x09"
    )
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in (parts | {"archive/data.pkl": large}).items():
            archive.writestr(name, part)
    assert "expected a tensor within its 6 values, got one beyond" in refused(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name, part in (parts | {"archive/data/0": bytes(20)}).items():
            archive.writestr(name, part)
    assert "expected 24 bytes, got 20" in refused(path)


def test_declared_sizes_take_no_memory(tmp_path):
    """A memo of 4 billion entries, overlapping strides, a billion values of one storage."""
    path = write_state_dict(tmp_path / "x.pt", {"a": np.zeros((2, 3), np.float32)})
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    pickled = parts["archive/data.pkl"]
    sizes = b"(J\x02\x00\x00\x00J\x03\x00\x00\x00t(J\x03\x00\x00\x00J\x01\x00\x00\x00t"
    assert sizes in pickled
    number = (2**30).to_bytes(4, "little")
    overlapping = pickled.replace(sizes, b"(J%bJ%bt(K\x00K\x00t" % (number, number))
    memo = pickled[:2] + b"}r\xff\xff\xff\xff0" + pickled[2:]
    long = pickled[:2] + b"\x8e" + (2**40).to_bytes(8, "little")
    array = long.replace(b"\x8e", b"\x96")
    for damaged in (overlapping, memo, long, array):
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in (parts | {"archive/data.pkl": damaged}).items():
                archive.writestr(name, part)
        tracemalloc.start()
        if damaged is memo:
            assert list(read_state_dict(path)) == ["a"]
        else:
            refused(path)
        assert tracemalloc.get_traced_memory()[1] < 10**7
        tracemalloc.stop()
