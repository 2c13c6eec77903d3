"""VGG-19 weights: Keras' HDF5 files and the originals' `vgg19.npy`."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np

from anime_tf.conversion.inert_pickle import InertUnpickler
from anime_tf.errors import reading
from anime_tf.io import arrays
from anime_tf.models.vgg19 import BLOCKS, VGG19Features

Weights = dict[str, tuple[np.ndarray, np.ndarray]]  # name of a convolution -> kernel and bias

# Name of a convolution here and in the originals -> its name in Keras.
KERAS_NAMES = {
    f"conv{block}_{i}": f"block{block}_conv{i}"
    for block, (count, _) in enumerate(BLOCKS, 1)
    for i in range(1, count + 1)
}


def fetch_imagenet() -> Weights:
    """Download the ImageNet weights through `keras.applications`, or take them from its cache."""
    source = keras.applications.VGG19(include_top=False, weights="imagenet")
    return {
        ours: tuple(w.numpy() for w in source.get_layer(theirs).weights)
        for ours, theirs in KERAS_NAMES.items()
    }


def read(path: Path) -> Weights:
    """Read a `.npy` file of the originals, or else an HDF5 file of Keras."""
    return _read_npy(path) if path.suffix == ".npy" else _read_h5(path)


def fill(network: VGG19Features, values: Weights, source: str) -> None:
    """Assign weights; raises ValueError, which names `source`, on a wrong shape."""
    for conv in network.convolutions:
        kernel, bias = values[conv.name]
        if kernel.shape != tuple(conv.kernel.shape) or bias.shape != tuple(conv.bias.shape):
            raise ValueError(
                f"{source}: {conv.name}: expected shapes {tuple(conv.kernel.shape)} and "
                f"{tuple(conv.bias.shape)}, got {kernel.shape} and {bias.shape}"
            )
        conv.kernel.assign(kernel)
        conv.bias.assign(bias)


def _read_h5(path: Path) -> Weights:
    """Read /blockB_convI/blockB_convI/{kernel,bias}:0."""
    with reading(path, "an HDF5 file of VGG-19"), h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        layers = []
        for name in KERAS_NAMES.values():
            found: list[h5py.Dataset] = []
            if name in root:
                root[name].visititems(lambda _, item, found=found: found.append(item))
            datasets = {x.ndim: x for x in found if isinstance(x, h5py.Dataset)}
            if not {1, 4} <= datasets.keys():
                raise ValueError(f"expected VGG-19 weights, got no kernel and bias of {name}")
            layers.append([datasets[4], datasets[1]])
        weights = arrays.read_hdf5(layers, path.stat().st_size)
    return {ours: (kernel, bias) for ours, (kernel, bias) in zip(KERAS_NAMES, weights, strict=True)}


def _read_npy(path: Path) -> Weights:
    """Read a pickled dict of [kernel, bias] by layer name, without executing anything in it."""
    with reading(path, "the vgg19.npy of AnimeGAN"), path.open("rb") as file:
        version = np.lib.format.read_magic(file)
        if version != (1, 0):
            raise ValueError(f"expected version 1.0 of the array format, got {version}")
        np.lib.format.read_array_header_1_0(file)
        content = InertUnpickler(file, STAND_INS).load()
        if isinstance(content, _Array):  # a 0-d object array around the dict
            content = content.items()[0]
        if not isinstance(content, dict):
            raise ValueError(f"expected a dict of layers, got a {type(content).__name__}")
        missing = [name for name in KERAS_NAMES if name not in content]
        if missing:
            raise ValueError(f"expected VGG-19 weights, got no {', '.join(missing)}")
        return {n: (content[n][0].array(), content[n][1].array()) for n in KERAS_NAMES}


class _Dtype:
    """Stands for a pickled `numpy.dtype`."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.byte_order = state[1]


class _Array:
    """Stands for a pickled `numpy.ndarray`."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def items(self) -> list[Any]:
        """Elements of an array of objects."""
        if len(self.state) != 5 or not isinstance(self.state[4], list) or not self.state[4]:
            raise ValueError("expected an object in the outer array, got none")
        return self.state[4]

    def array(self) -> np.ndarray:
        """Values of an array of floats, as float32."""
        if len(self.state) != 5:
            raise ValueError("expected values of an array, got none")
        _, shape, dtype, fortran, data = self.state
        if dtype.code not in ("f4", "f8") or dtype.byte_order not in ("<", ">", "="):
            raise ValueError(f"expected an array of floats, got one of type {dtype.code}")
        if isinstance(data, str):  # Python 2's bytes, read as latin-1
            data = data.encode("latin1")
        values = np.frombuffer(data, np.dtype(dtype.code).newbyteorder(dtype.byte_order))
        values = values.reshape(shape, order="F" if fortran else "C")
        return np.ascontiguousarray(values, np.float32)


def _encode(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`, by which Python 3 writes bytes at old protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding!r}")
    return text.encode("latin1")


# Name that the pickle of a plain array refers to -> its stand-in.
STAND_INS = {
    ("numpy.core.multiarray", "_reconstruct"): _Array,
    ("numpy._core.multiarray", "_reconstruct"): _Array,
    ("numpy", "ndarray"): _Array,
    ("numpy", "dtype"): _Dtype,
    ("_codecs", "encode"): _encode,
}
