"""Files that declare more than they hold are refused before memory is taken for it."""

from __future__ import annotations

import io
import tracemalloc
import zipfile

import h5py
import numpy as np
import pytest

from anime_tf.io.arrays import check_hdf5, read_hdf5, read_npy, read_npz


@pytest.fixture(autouse=True)
def no_memory():
    tracemalloc.start()
    yield
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 5e7


def npy(array, **changes):
    buffer = io.BytesIO()
    np.save(buffer, array)
    data = buffer.getvalue()
    for old, new in changes.values():
        assert old in data
        data = data.replace(old, new.ljust(len(old)))
    return io.BytesIO(data), len(data)


def test_arrays_of_numbers_are_read():
    for array in (np.arange(6.0).reshape(2, 3), np.asfortranarray(np.eye(3)[:2]), np.float32(3)):
        np.testing.assert_array_equal(read_npy(*npy(array)), array)


def test_a_header_must_fit_its_file():
    vast = (b"(20, 30), }           ", b"(200000000, 30000), }")
    for file in (npy(np.ones((20, 30)), shape=vast), npy(np.array([{}], object))):
        with pytest.raises(ValueError, match="expected a whole array of numbers, got .* header of"):
            read_npy(*file)


def test_zip_files_may_not_unpack_to_far_more_than_they_have(tmp_path):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, a=np.random.default_rng(0).random(1000), b=np.arange(3))
    assert {name: len(array) for name, array in read_npz(path).items()} == {"a": 1000, "b": 3}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.npy", npy(np.zeros(10**6))[0].getvalue())
    with pytest.raises(ValueError, match="expected at most 8 times the file's"):
        read_npz(path)


def test_hdf5_files_may_not_declare_far_more_than_they_have(tmp_path):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file["small"] = np.ones((4, 5))
        file.create_dataset("vast", (10**9, 100), "f4", chunks=(100, 100))
        file["again"] = file["small"]
        file["circle/back"] = file["/"]
    size = path.stat().st_size
    with h5py.File(path, "a") as file:
        with pytest.raises(ValueError, match="a file that declares 400000000"):
            check_hdf5(file, size)
        with pytest.raises(ValueError, match="a file that declares"):
            read_hdf5([[file["small"], file["vast"]]], size)
        with pytest.raises(ValueError, match="a file that declares"):
            read_hdf5([[file["small"]] * 10**4], size)
        (small,), _ = read_hdf5([[file["small"]], []], size)
        np.testing.assert_array_equal(small, np.ones((4, 5)))
        del file["vast"]
        assert check_hdf5(file, size) == 20  # a hard link is no second dataset


def test_hdf5_files_may_not_refer_to_other_files(tmp_path):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["secret"] = np.ones(3)
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("other.h5", "secret")
        with pytest.raises(ValueError, match="expected values within the file, got the link link"):
            check_hdf5(file, 10**6)
    with h5py.File(tmp_path / "b.h5", "w") as file:
        file.create_dataset("raw", (3,), "u1", external=[(str(tmp_path / "other.h5"), 0, 3)])
        for check in (lambda: check_hdf5(file, 10**6), lambda: read_hdf5([[file["raw"]]], 10**6)):
            with pytest.raises(ValueError, match="expected values within the file"):
                check()
