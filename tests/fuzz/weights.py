"""Mutated weights of all kinds that are read without running them."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import tf1_trainings
from fuzz.cases import Seed

from anime_tf.conversion import mobilenet_weights, vgg19_weights
from anime_tf.conversion.tf1 import Checkpoint
from anime_tf.conversion.torch_file import read_state_dict
from anime_tf.errors import reading
from anime_tf.io.arrays import read_npy
from anime_tf.models.archive import load_generator, save_generator
from anime_tf.models.registry import GENERATORS

GOLDEN = Path(__file__).parents[1] / "golden"


def seeds() -> list[Seed]:
    """Return a small file, or the files of a folder, of each kind."""
    random = np.random.default_rng(0)
    kernel, bias = random.random((3, 3, 2, 2), np.float32), random.random(2, np.float32)
    vgg19 = {name: [kernel, bias] for name in vgg19_weights.KERAS_NAMES}
    keras_arrays = {"conv1/kernel": kernel, "conv1_bn/gamma": bias, "conv1_bn/beta": bias}
    files: dict[str, tuple[Callable[..., object], Callable[[Path], object]]] = {
        "weights.npy": (lambda file: np.save(file, vgg19, allow_pickle=True), vgg19_weights.read),
        "weights.npz": (lambda file: np.savez(file, **keras_arrays), mobilenet_weights.read_v1),
        "packed.npz": (
            lambda file: np.savez_compressed(file, **keras_arrays),
            mobilenet_weights.read_v1,
        ),
        "array.npy": (lambda file: np.save(file, kernel), _read_array),
    }
    made = [Seed({name: _bytes(write)}, read) for name, (write, read) in files.items()]
    made += [
        Seed({"vgg.h5": _bytes(_write_vgg19(kernel, bias))}, vgg19_weights.read),
        Seed({"mobilenet.h5": _bytes(_write_layers(kernel, bias))}, mobilenet_weights.read_v2),
        *(
            Seed({name: (GOLDEN / name).read_bytes()}, read_state_dict)
            for name in ("torch_today.pt", "torch_legacy.pth")
        ),
    ]
    with tempfile.TemporaryDirectory() as folder:
        for name in ("animegan_v2", "live"):
            path = Path(folder, f"{name}.keras")
            save_generator(GENERATORS[name](width=2), path)
            made.append(Seed({path.name: path.read_bytes()}, load_generator))
        prefix = Path(folder, "tf1", "model")
        prefix.parent.mkdir()
        tensors = {"generator/a/weights": kernel, "generator/a/gamma": bias, "beta1_power": bias[0]}
        tf1_trainings.write(prefix, tensors)
        (prefix.parent / "checkpoint").write_text('model_checkpoint_path: "/elsewhere/model"\n')
        parts = {f"tf1/{path.name}": path.read_bytes() for path in sorted(prefix.parent.iterdir())}
        made.append(Seed(parts, _read_tf1))
    return made


def _bytes(write: Callable[[io.BytesIO], object]) -> bytes:
    buffer = io.BytesIO()
    write(buffer)
    return buffer.getvalue()


def _write_vgg19(kernel: np.ndarray, bias: np.ndarray) -> Callable[[io.BytesIO], None]:
    def write(buffer: io.BytesIO) -> None:
        with h5py.File(buffer, "w") as file:
            for name in vgg19_weights.KERAS_NAMES.values():
                file[f"{name}/{name}/kernel:0"], file[f"{name}/{name}/bias:0"] = kernel, bias

    return write


def _write_layers(kernel: np.ndarray, bias: np.ndarray) -> Callable[[io.BytesIO], None]:
    def write(buffer: io.BytesIO) -> None:
        with h5py.File(buffer, "w") as file:
            names = [f"layer_{i}" for i in range(3)]
            file.attrs["layer_names"] = names
            for name in names:
                group = file.create_group(name)
                group["kernel:0"], group["bias:0"] = kernel, bias
                group.attrs["weight_names"] = ["kernel:0", "bias:0"]

    return write


def _read_array(path: Path) -> np.ndarray:
    with reading(path, "an array"), path.open("rb") as file:
        return read_npy(file, path.stat().st_size)


def _read_tf1(path: Path) -> None:
    checkpoint = Checkpoint(path.parent)
    for name in checkpoint.shapes:
        checkpoint.read(name)
