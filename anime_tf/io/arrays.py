"""Arrays of foreign NumPy and HDF5 files; no file makes a reader take more memory than it fills."""

from __future__ import annotations

import math
import os
import zipfile
from typing import IO, TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import h5py

# Largest ratio of the declared size of compressed data to the size of its file. Weights hardly
# compress; a deflated file of zeros has 1000.
COMPRESSION_LIMIT = 8
TEXT_LIMIT = 2**20  # bytes of settings


def check_zip(archive: zipfile.ZipFile, size: int) -> None:
    """Raise ValueError if the members of a zip file declare far more bytes than its `size`."""
    _check_declared(sum(member.file_size for member in archive.infolist()), size)


def read_member(archive: zipfile.ZipFile, name: str) -> bytes:
    """Read a small text from a zip file; ValueError if it is larger than `TEXT_LIMIT`."""
    size = archive.getinfo(name).file_size
    if size > TEXT_LIMIT:
        raise ValueError(f"expected a {name} of at most {TEXT_LIMIT} bytes, got {size}")
    return archive.read(name)


def _check_declared(declared: int, size: int) -> None:
    if declared > COMPRESSION_LIMIT * size + 2**16:
        raise ValueError(
            f"expected at most {COMPRESSION_LIMIT} times the file's {size} bytes, got a file that "
            f"declares {declared}"
        )


def read_npy(file: IO[bytes], size: int) -> np.ndarray:
    """Read an array of numbers from a ``.npy`` file of `size` bytes."""
    version = np.lib.format.read_magic(file)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"expected version 1.0 or 2.0 of the array format, got {version}")
    read_header = (np.lib.format.read_array_header_1_0, np.lib.format.read_array_header_2_0)
    shape, fortran, dtype = read_header[version[0] - 1](file)
    declared = math.prod(shape) * dtype.itemsize
    if dtype.kind not in "fiub" or declared != size - file.tell():
        raise ValueError(
            f"expected a whole array of numbers, got {size - file.tell()} bytes after a header of "
            f"{dtype} {shape}"
        )
    values = np.frombuffer(file.read(declared), dtype)
    return values.reshape(shape, order="F" if fortran else "C")


def read_npz(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read the arrays of an ``.npz`` file by name."""
    arrays = {}
    with zipfile.ZipFile(path) as archive:
        check_zip(archive, os.path.getsize(path))
        for member in archive.infolist():
            with archive.open(member) as file:
                arrays[member.filename.removesuffix(".npy")] = read_npy(file, member.file_size)
    return arrays


def check_hdf5(file: h5py.File, size: int) -> int:
    """Return the number of values in an HDF5 file of `size` bytes.

    Raises:
        ValueError: It links to other files, or declares far more bytes than it has.
    """
    import h5py  # not for start-ups that read no HDF5

    datasets: dict[int, h5py.Dataset] = {}

    def visit(group: h5py.Group) -> None:
        for name in group:
            link = group.get(name, getlink=True)
            if not isinstance(link, h5py.HardLink):
                raise ValueError(f"expected values within the file, got the link {name}")
            member = group[name]
            if isinstance(member, h5py.Dataset):
                datasets[h5py.h5o.get_info(member.id).addr] = member
            elif isinstance(member, h5py.Group):
                address = h5py.h5o.get_info(member.id).addr
                if address not in groups:  # hard links can form circles
                    groups.add(address)
                    visit(member)

    groups: set[int] = set()
    visit(file)
    _check_datasets(list(datasets.values()), size)
    return sum(dataset.size for dataset in datasets.values())


def _check_datasets(datasets: list[h5py.Dataset], size: int) -> None:
    import h5py

    for dataset in datasets:
        if not isinstance(dataset, h5py.Dataset) or dataset.is_virtual or dataset.external:
            raise ValueError(f"expected values within the file, got others for {dataset.name}")
    _check_declared(sum(dataset.nbytes for dataset in datasets), size)


def read_hdf5(layers: list[list[h5py.Dataset]], size: int) -> list[list[np.ndarray]]:
    """Read the datasets of layers from an HDF5 file of `size` bytes."""
    _check_datasets([dataset for layer in layers for dataset in layer], size)
    return [[dataset[()] for dataset in layer] for layer in layers]
