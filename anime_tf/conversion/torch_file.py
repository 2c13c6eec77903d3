"""Reader of `torch.save` files, without PyTorch and without executing anything in them."""

from __future__ import annotations

import math
import os
import pickle
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np

from anime_tf.conversion.inert_pickle import InertUnpickler
from anime_tf.errors import reading
from anime_tf.io.arrays import check_zip
from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, open_plain_file

# Name of a storage class in `torch` -> dtype; bfloat16 is the upper half of a float32.
STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}

# Keys under which training code nests a state dict.
WRAPPER_KEYS = ("state_dict", "params_ema", "params", "generator", "model")
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C  # first pickle of a file written before PyTorch 1.6


@dataclass
class _Storage:
    """Flat values that tensors are views of."""

    type: str
    count: int
    data: bytes | None = None

    @property
    def nbytes(self) -> int:
        return self.count * np.dtype(STORAGES[self.type]).itemsize

    def values(self) -> np.ndarray:
        """Return the values, floats as float16, float32 or float64."""
        data = self.data or b""
        if len(data) != self.nbytes:
            raise ValueError(f"expected {self.nbytes} bytes of values of a tensor, got {len(data)}")
        values = np.frombuffer(data, STORAGES[self.type])
        if self.type == "BFloat16Storage":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values


@dataclass
class _Tensor:
    """A tensor whose storage may not be read yet."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """Return a copy of the values."""
        values = self.storage.values()
        # zip raises ValueError for another number of strides than sides.
        sides = zip(self.shape, self.strides, strict=True)
        last = self.offset + sum((side - 1) * stride for side, stride in sides)
        parts = (self.offset, *self.shape, *self.strides)
        # More elements than values: overlapping strides, which take memory for every element.
        too_many = math.prod(self.shape) > len(values)
        if min(parts) < 0 or too_many or (0 not in self.shape and last >= len(values)):
            raise ValueError(f"expected a tensor within its {len(values)} values, got one beyond")
        steps = [stride * values.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps)
        return np.array(view)


class _Dict(dict[Any, Any]):
    """Stands for an ordered dict; ignores its attributes."""

    def __setstate__(self, state: Any) -> None:
        pass


class _StorageType(str):
    """Name of a storage class; a string, which no pickle can change."""

    __slots__ = ()


def _tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


# Name that the pickle of a state dict refers to -> its stand-in.
STAND_INS: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
    **{("torch", name): _StorageType(name) for name in STORAGES},
}


@dataclass
class _Storages:
    """Storages that a pickle refers to, by key."""

    read: Callable[[str, int], bytes] | None = None
    found: dict[str, _Storage] = field(default_factory=dict)

    def __call__(self, pid: Any) -> _Storage:
        if not isinstance(pid, tuple) or len(pid) < 5 or pid[0] != "storage":
            raise pickle.UnpicklingError("it refers to an object that is not tensor data")
        _, kind, key, _, count = pid[:5]
        if not isinstance(kind, _StorageType):
            raise pickle.UnpicklingError("it refers to values of an unknown type")
        if key not in self.found:
            storage = self.found[key] = _Storage(str(kind), int(count))
            if self.read is not None:
                storage.data = self.read(key, storage.nbytes)
        return self.found[key]


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Read a state dict that `torch.save` wrote, in the zip format or that before PyTorch 1.6.

    Args:
        path: The file, ``.pt`` or ``.pth``.

    Returns:
        Name of each tensor -> its values. Unwraps a state dict nested under one of `WRAPPER_KEYS`
        and strips the ``module.`` of multi-GPU training from all names.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: It is damaged or no state dict.
    """
    expected = "a state dict that torch.save wrote, .pt or .pth"
    with (
        reading(path, expected),
        open_plain_file(path, expected, MAX_WEIGHTS_BYTES) as file,
    ):
        try:
            size = os.fstat(file.fileno()).st_size
            is_zip = zipfile.is_zipfile(file)
            file.seek(0)
            content = _read_zip(file, size) if is_zip else _read_legacy(file, size)
            return _arrays(content, size)
        except pickle.UnpicklingError as error:
            raise ValueError(_refusal(str(error))) from error


def _refusal(reason: str) -> str:
    remedy = "in PyTorch, load it if you trust it and torch.save(model.state_dict(), ...)"
    if "__torch__" in reason:
        return f"expected a state dict, got a TorchScript program; {remedy}"
    if reason.startswith("it asks for"):
        return f"expected a state dict, got a pickle of more than tensors: {reason}; {remedy}"
    return f"expected a file of torch.save, got another or a damaged one ({reason}); {remedy}"


def _read_zip(file: IO[bytes], size: int) -> Any:
    with zipfile.ZipFile(file) as archive:
        check_zip(archive, size)
        found = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(found) != 1:
            names = ", ".join(archive.namelist()[:3]) or "nothing"
            raise ValueError(f"expected a state dict, got a zip file of {names}")
        root = found[0].removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist():
            order = archive.read(f"{root}byteorder").decode("ascii", "replace")
            if order != "little":
                raise ValueError(f"expected little-endian values, got {order}-endian ones")

        def read(key: str, size: int) -> bytes:
            entry = archive.getinfo(f"{root}data/{key}")
            if entry.file_size != size:
                raise ValueError(f"{entry.filename}: expected {size} bytes, got {entry.file_size}")
            return archive.read(entry)

        with archive.open(found[0]) as pickled:
            return InertUnpickler(pickled, STAND_INS, _Storages(read)).load()


def _read_legacy(file: IO[bytes], size: int) -> Any:
    """Read pickles of magic number, version and machine, the content, then the storages."""
    unknown = "expected a file of torch.save, got another kind of file or one cut off"
    try:
        magic = InertUnpickler(file, {}).load()
    except Exception as error:
        raise ValueError(unknown) from error
    if magic != LEGACY_MAGIC:
        raise ValueError(unknown)
    InertUnpickler(file, {}).load()  # version of the protocol
    machine = InertUnpickler(file, {}).load()
    if not machine.get("little_endian", True):
        raise ValueError("expected little-endian values, got big-endian ones")
    storages = _Storages()
    content = InertUnpickler(file, STAND_INS, storages).load()
    for key in InertUnpickler(file, {}).load():
        storage = storages.found[key]
        count = int.from_bytes(file.read(8), "little")
        if count != storage.count:
            raise ValueError(f"expected {storage.count} values of a tensor, got {count}")
        if storage.nbytes > size - file.tell():
            raise ValueError(f"expected {storage.nbytes} bytes of values, got a file cut off")
        storage.data = file.read(storage.nbytes)
    return content


def _arrays(content: Any, size: int) -> dict[str, np.ndarray]:
    if isinstance(content, dict) and not any(isinstance(v, _Tensor) for v in content.values()):
        content = next((content[key] for key in WRAPPER_KEYS if key in content), content)
    if not isinstance(content, dict) or not content:
        raise ValueError(f"expected a state dict, got a {type(content).__name__}")
    others = [str(name) for name, value in content.items() if not isinstance(value, _Tensor)]
    if others:
        raise ValueError(f"expected tensors alone, got other values for {', '.join(others[:5])}")
    count = sum(math.prod(tensor.shape) for tensor in content.values())
    if count > max(size, 2**16):  # a value takes two bytes or more
        raise ValueError(f"expected tensors within the file's {size} bytes, got {count} values")
    arrays = {str(name): tensor.array() for name, tensor in content.items()}
    if all(name.startswith("module.") for name in arrays):
        arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    return arrays
