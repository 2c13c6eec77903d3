"""Files in the format of `torch.save`, written without PyTorch."""

from __future__ import annotations

import pickle
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

ORDERED_DICT = b"ccollections\nOrderedDict\n"
TENSOR = b"ctorch._utils\n_rebuild_tensor_v2\n"
STORAGES = {"float32": b"ctorch\nFloatStorage\n", "float64": b"ctorch\nDoubleStorage\n"}


def value(name: str, shape: Sequence[int]) -> np.ndarray:
    """Return the golden's value of a tensor."""
    normal = np.random.RandomState(zlib.crc32(name.encode())).standard_normal(tuple(shape))
    if len(shape) == 4:
        result = normal * np.sqrt(2 / np.prod(shape[1:]))
    else:
        result = 1 + 0.1 * normal if name.endswith("weight") else 0.1 * normal
    return result.astype(np.float32)


def _number(number: int) -> bytes:
    return b"J" + struct.pack("<i", number)


def _text(text: str) -> bytes:
    return b"X" + struct.pack("<I", len(text.encode())) + text.encode()


def _tuple(*parts: bytes) -> bytes:
    return b"(" + b"".join(parts) + b"t"


def _tensor(key: str, array: np.ndarray) -> bytes:
    strides = [stride // array.itemsize for stride in array.strides]
    kind = STORAGES[array.dtype.name]
    parts = (_text("storage"), kind, _text(key), _text("cpu"), _number(array.size))
    storage = _tuple(*parts) + b"Q"
    shape = _tuple(*map(_number, array.shape))
    steps = _tuple(*map(_number, strides))
    return TENSOR + _tuple(storage, _number(0), shape, steps, b"\x89", ORDERED_DICT + b")R") + b"R"


def write_state_dict(path: Path, arrays: Mapping[str, np.ndarray], more: bytes = b"") -> Path:
    """Write a state dict in the zip format; `more` holds further pickled pairs."""
    arrays = {name: np.array(array, order="C") for name, array in arrays.items()}
    items = b"".join(_text(n) + _tensor(str(i), a) for i, (n, a) in enumerate(arrays.items()))
    pickled = pickle.PROTO + b"\x02" + ORDERED_DICT + b")R(" + items + more + b"u."
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", pickled)
        archive.writestr("archive/byteorder", "little")
        for i, array in enumerate(arrays.values()):
            archive.writestr(f"archive/data/{i}", array.tobytes())
    return path
