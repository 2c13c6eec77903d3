"""Files of `torch.save`, read without PyTorch and without executing anything in them."""

from __future__ import annotations

import os
import pickle
import zipfile
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from anime_tf.conversion.inert_pickle import InertUnpickler
from anime_tf.errors import first_line

STORAGES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "BFloat16Storage": "<u2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
}
"""Name of a storage's class in `torch` -> number type; bfloat16 is the upper half of a float32."""

NOT_OURS = "another kind of file than torch.save writes, or one cut off; copy or download it anew"

NESTED_UNDER = ("state_dict", "params_ema", "params", "generator", "model")
"""Keys that training code keeps a state dict under."""

_DAMAGE = (
    *(EOFError, KeyError, IndexError, TypeError, AttributeError, OverflowError, MemoryError),
    *(RuntimeError, zipfile.BadZipFile, zlib.error),
)
"""What reading garbage raises; a `RuntimeError` is an encrypted zip file."""

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
"""What the first pickle of a file written before PyTorch 1.6 holds."""


@dataclass
class _Storage:
    """Numbers that tensors look into."""

    type: str
    count: int
    data: bytes | None = None

    def values(self) -> np.ndarray:
        """The numbers, floats as float32 or float64."""
        if self.data is None or len(self.data) != self.count * self.item_size:
            raise ValueError("the values of a tensor are cut off")
        values = np.frombuffer(self.data, STORAGES[self.type])
        if self.type == "BFloat16Storage":
            return (values.astype(np.uint32) << 16).view(np.float32)
        return values

    @property
    def item_size(self) -> int:
        return np.dtype(STORAGES[self.type]).itemsize


@dataclass
class _Tensor:
    """What a pickle says of a tensor, held until the numbers are there."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def array(self) -> np.ndarray:
        """The values, a copy."""
        values = self.storage.values()
        if len(self.shape) != len(self.strides):
            raise ValueError("a tensor whose shape and strides do not belong together")
        reach = self.offset + sum(
            (side - 1) * stride for side, stride in zip(self.shape, self.strides, strict=True)
        )
        parts = (self.offset, *self.shape, *self.strides)
        if any(part < 0 for part in parts) or (0 not in self.shape and reach >= len(values)):
            raise ValueError("a tensor looks beyond its values")
        steps = [stride * values.itemsize for stride in self.strides]
        view = np.lib.stride_tricks.as_strided(values[self.offset :], self.shape, steps)
        return np.array(view)


class _Dict(dict[Any, Any]):
    """Stands for an ordered dict, whose attributes are of no use here."""

    def __setstate__(self, state: Any) -> None:
        pass


class _StorageType(str):
    """Name of a storage's class; a string, which no pickle can change."""

    __slots__ = ()


def _tensor(storage: _Storage, offset: int, shape: Any, strides: Any, *_: Any) -> _Tensor:
    return _Tensor(storage, int(offset), tuple(map(int, shape)), tuple(map(int, strides)))


def _parameter(data: _Tensor, *_: Any) -> _Tensor:
    return data


KNOWN: dict[tuple[str, str], Any] = {
    ("collections", "OrderedDict"): _Dict,
    ("torch._utils", "_rebuild_tensor"): _tensor,
    ("torch._utils", "_rebuild_tensor_v2"): _tensor,
    ("torch._utils", "_rebuild_parameter"): _parameter,
    ("torch", "Size"): tuple,
    **{("torch", name): _StorageType(name) for name in STORAGES},
}
"""What a state dict's pickle asks for -> what stands for it."""


@dataclass
class _Storages:
    """The storages that a pickle refers to, by key."""

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
                storage.data = self.read(key, storage.count * storage.item_size)
        return self.found[key]


def read_state_dict(path: str | os.PathLike[str]) -> dict[str, np.ndarray]:
    """Reads a state dict that `torch.save` wrote, in today's form or that before PyTorch 1.6.

    Args:
        path: The file, ``.pt`` or ``.pth``.

    Returns:
        Name of each tensor -> its values. A state dict kept under one of `NESTED_UNDER` is found;
        ``module.``, which training on several GPUs puts before all names, is left out.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a whole file of a state dict; says what was found.
    """
    path = Path(path)
    if not path.is_file():
        found = "a folder" if path.is_dir() else "no such file"
        error = ValueError if path.is_dir() else FileNotFoundError
        raise error(f"{path}: {found}; expected a state dict that torch.save wrote, .pt or .pth")
    try:
        if zipfile.is_zipfile(path):
            content = _read_zip(path)
        else:
            with path.open("rb") as file:
                content = _read_legacy(file)
        return _arrays(content)
    except pickle.UnpicklingError as error:
        raise ValueError(f"{path}: {_refusal(str(error))}") from error
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    except (*_DAMAGE, OSError) as error:
        raise ValueError(
            f"{path}: the file is cut off or damaged ({first_line(error)}); "
            "copy or download it anew"
        ) from error


def _refusal(reason: str) -> str:
    expected = (
        "expected a state dict; in PyTorch, load it where you trust it and "
        "torch.save(model.state_dict(), ...)"
    )
    if "__torch__" in reason:
        return f"holds a TorchScript program, {expected}"
    if reason.startswith("it asks for"):
        return f"its pickle is more than tensors: {reason}; {expected}"
    return f"no file of torch.save, or a damaged one ({reason}); {expected}"


def _read_zip(path: Path) -> Any:
    with zipfile.ZipFile(path) as archive:
        found = [name for name in archive.namelist() if name.endswith("/data.pkl")]
        if len(found) != 1:
            names = ", ".join(archive.namelist()[:3])
            raise ValueError(f"a zip file that holds no state dict, but {names or 'nothing'}")
        root = found[0].removesuffix("data.pkl")
        if f"{root}byteorder" in archive.namelist():
            order = archive.read(f"{root}byteorder").decode("ascii", "replace")
            if order != "little":
                raise ValueError(f"values in {order}-endian order, expected little-endian")

        def read(key: str, size: int) -> bytes:
            entry = archive.getinfo(f"{root}data/{key}")
            if entry.file_size != size:
                raise ValueError(f"{entry.filename} holds {entry.file_size} bytes, expected {size}")
            return archive.read(entry)

        with archive.open(found[0]) as file:
            return InertUnpickler(file, KNOWN, _Storages(read)).load()


def _read_legacy(file: IO[bytes]) -> Any:
    """The older form: pickles of a magic number, a version and the machine, then the content."""
    try:
        magic = InertUnpickler(file, {}).load()
    except Exception as error:
        raise ValueError(NOT_OURS) from error
    if magic != LEGACY_MAGIC:
        raise ValueError(NOT_OURS)
    InertUnpickler(file, {}).load()  # version of the protocol
    machine = InertUnpickler(file, {}).load()
    if not machine.get("little_endian", True):
        raise ValueError("values in big-endian order, expected little-endian")
    storages = _Storages()
    content = InertUnpickler(file, KNOWN, storages).load()
    for key in InertUnpickler(file, {}).load():
        storage = storages.found[key]
        count = int.from_bytes(file.read(8), "little")
        if count != storage.count:
            raise ValueError("the values of a tensor are cut off")
        storage.data = file.read(count * storage.item_size)
    return content


def _arrays(content: Any) -> dict[str, np.ndarray]:
    """The tensors of a state dict, or of one that it is nested in."""
    if isinstance(content, dict) and not any(isinstance(v, _Tensor) for v in content.values()):
        content = next((content[key] for key in NESTED_UNDER if key in content), content)
    if not isinstance(content, dict) or not content:
        raise ValueError(f"holds a {type(content).__name__}, expected a state dict")
    odd = [str(name) for name, value in content.items() if not isinstance(value, _Tensor)]
    if odd:
        raise ValueError(f"holds {', '.join(odd[:5])}, which are no tensors; expected a state dict")
    arrays = {str(name): tensor.array() for name, tensor in content.items()}
    if all(name.startswith("module.") for name in arrays):
        arrays = {name.removeprefix("module."): array for name, array in arrays.items()}
    return arrays
