"""VGG-19 up to conv4_4, the perceptual network, and the ways its weights are read."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import h5py
import keras
import numpy as np
from keras import ops

from anime_tf.conversion.torch_pickle import InertUnpickler
from anime_tf.models.layers import PACKAGE, he_normal

BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512))
"""(convolutions, channels) of the blocks up to conv4_4; 2x2 max pooling between blocks."""

MEAN_BGR = (103.939, 116.779, 123.68)
"""Means of ImageNet in the order blue, green, red, which VGG's inputs are reduced by."""


@keras.saving.register_keras_serializable(PACKAGE)
class VGG19Features(keras.Model):
    """VGG-19's conv4_4 before its activation.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB. Output: features, float32,
    (n, height / 8, width / 8, 512). The picture is turned into (x + 1) / 2 * 255, BGR, minus
    `MEAN_BGR`, in float32. Zero padding, ReLU, 2x2 max pooling. The weights are not trainable.

    Args:
        seed: Seed of the He-normal values that the weights have until others are loaded.

    Reference: Simonyan, Zisserman, ICLR 2015, configuration E.
    """

    built: bool

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        # autocast=False: preprocessing needs all 8 bits of a pixel, which bfloat16 has not.
        super().__init__(autocast=False, **kwargs)
        self.seed = seed
        self.blocks = [
            [
                keras.layers.Conv2D(
                    channels,
                    3,
                    padding="same",
                    kernel_initializer=he_normal(seed + 100 * block + i),
                    name=f"conv{block}_{i}",
                    dtype=self.dtype_policy,
                )
                for i in range(1, count + 1)
            ]
            for block, (count, channels) in enumerate(BLOCKS, 1)
        ]
        self.trainable = False
        self.build((None, None, None, 3))

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        channels = input_shape[-1]
        for conv in self.convolutions:
            conv.build((None, None, None, channels))
            channels = conv.filters
        self.built = True

    @property
    def convolutions(self) -> list[keras.layers.Conv2D]:
        """conv1_1 to conv4_4 in order."""
        return [conv for block in self.blocks for conv in block]

    def call(self, inputs: Any) -> Any:
        bgr_255 = (ops.flip(ops.cast(inputs, "float32"), axis=-1) + 1.0) * 127.5
        x = ops.cast(bgr_255 - ops.convert_to_tensor(MEAN_BGR, "float32"), self.compute_dtype)
        for number, block in enumerate(self.blocks):
            if number:
                x = ops.max_pool(x, 2, 2, padding="valid")
            for conv in block:
                x = conv(x)
                if conv.name != "conv4_4":
                    x = ops.relu(x)
        return ops.cast(x, "float32")

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("autocast", None)
        return {**config, "seed": self.seed}


def vgg19_features(weights: str = "imagenet", *, seed: int = 0, dtype: Any = None) -> VGG19Features:
    """Makes the perceptual network with its weights.

    Args:
        weights: "imagenet" (fetched and kept by `keras.applications`), "random" (He normal from
            `seed`: random features still compare textures and structure, and need no file), or a
            file: Keras' `.h5` of VGG-19 (with or without top) or the originals' `vgg19.npy`.
        seed: Seed of random weights.
        dtype: Dtype policy.

    Returns:
        The network, not trainable.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file is not one of VGG-19's, or ImageNet's weights cannot be had.
    """
    network = VGG19Features(seed=seed, name="vgg19", dtype=dtype)
    if weights == "random":
        return network
    if weights == "imagenet":
        values = _imagenet_weights()
    else:
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file; expected VGG-19 weights (.h5 or .npy), "
                "or one of the words imagenet and random"
            )
        values = _read_npy(path) if path.suffix == ".npy" else _read_h5(path)
    for conv in network.convolutions:
        kernel, bias = values[conv.name]
        if kernel.shape != tuple(conv.kernel.shape) or bias.shape != tuple(conv.bias.shape):
            raise ValueError(
                f"{weights}: {conv.name} has shapes {kernel.shape} and {bias.shape}, "
                f"VGG-19 has {tuple(conv.kernel.shape)} and {tuple(conv.bias.shape)}"
            )
        conv.kernel.assign(kernel)
        conv.bias.assign(bias)
    return network


Weights = dict[str, tuple[np.ndarray, np.ndarray]]


def _names() -> list[tuple[str, str]]:
    """(our and the originals' name, Keras' name) of every convolution."""
    return [
        (f"conv{block}_{i}", f"block{block}_conv{i}")
        for block, (count, _) in enumerate(BLOCKS, 1)
        for i in range(1, count + 1)
    ]


def _imagenet_weights() -> Weights:
    try:
        source = keras.applications.VGG19(include_top=False, weights="imagenet")
    except Exception as error:  # keras.utils.get_file raises bare Exception when offline
        raise ValueError(
            f"the ImageNet weights of VGG-19 could not be fetched ({error}); give a local file, "
            "--perceptual_weights=FILE.h5 or vgg19.npy, or --perceptual_weights=random"
        ) from error
    return {
        ours: tuple(w.numpy() for w in source.get_layer(theirs).weights)
        for ours, theirs in _names()
    }


def _read_h5(path: Path) -> Weights:
    """Reads Keras' weight file of VGG-19: /blockB_convI/blockB_convI/{kernel,bias}:0."""
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            values = {}
            for ours, theirs in _names():
                if theirs not in root:
                    raise ValueError(f"{path}: not a VGG-19 weight file: it has no {theirs}")
                arrays: dict[int, np.ndarray] = {}

                def collect(
                    _: str, item: h5py.Dataset, arrays: dict[int, np.ndarray] = arrays
                ) -> None:
                    if isinstance(item, h5py.Dataset) and item.ndim in (1, 4):
                        arrays[item.ndim] = item[()]

                root[theirs].visititems(collect)
                if set(arrays) != {1, 4}:
                    raise ValueError(f"{path}: {theirs} has no kernel and bias")
                values[ours] = (arrays[4], arrays[1])
    except OSError as error:
        raise ValueError(f"{path}: not a readable HDF5 file ({error})") from error
    return values


def _read_npy(path: Path) -> Weights:
    """Reads the originals' `vgg19.npy`, a pickled dict of [kernel, bias] by layer name."""
    try:
        with path.open("rb") as file:
            version = np.lib.format.read_magic(file)
            if version != (1, 0):
                raise ValueError(f"array format version {version}")
            np.lib.format.read_array_header_1_0(file)
            content = InertUnpickler(file, PICKLED).load()
            if isinstance(content, _PickledArray):  # a 0-d object array around the dict
                content = content.items()[0]
            if not isinstance(content, dict):
                raise ValueError(f"expected a dict of layers, found {type(content).__name__}")
            missing = [ours for ours, _ in _names() if ours not in content]
            if missing:
                raise ValueError(f"it has no {', '.join(missing)}")
            return {
                ours: (content[ours][0].array(), content[ours][1].array()) for ours, _ in _names()
            }
    except (ValueError, pickle.UnpicklingError, EOFError, IndexError, AttributeError) as error:
        raise ValueError(f"{path}: not the vgg19.npy of AnimeGAN: {error}") from error


class _PickledDtype:
    """What a pickle says of a dtype, held and not executed."""

    def __init__(self, code: str, *_: Any) -> None:
        self.code = code
        self.byte_order = "="

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.byte_order = state[1]


class _PickledArray:
    """What a pickle says of an array, held and not executed."""

    def __init__(self, *_: Any) -> None:
        self.state: tuple[Any, ...] = ()

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        self.state = state

    def items(self) -> list[Any]:
        """The elements of an array of objects."""
        if len(self.state) != 5 or not isinstance(self.state[4], list) or not self.state[4]:
            raise ValueError("its outer array holds no object")
        return self.state[4]

    def array(self) -> np.ndarray:
        """The numbers, as a float32 array."""
        if len(self.state) != 5:
            raise ValueError("an array without values")
        _, shape, dtype, fortran, data = self.state
        if dtype.code not in ("f4", "f8") or dtype.byte_order not in ("<", ">", "="):
            raise ValueError(f"an array of type {dtype.code}, expected floats")
        if isinstance(data, str):  # Python 2's bytes, read as latin-1
            data = data.encode("latin1")
        values = np.frombuffer(data, np.dtype(dtype.code).newbyteorder(dtype.byte_order))
        values = values.reshape(shape, order="F" if fortran else "C")
        return np.ascontiguousarray(values, np.float32)


def _inert_bytes(text: str, encoding: str) -> bytes:
    """Stands for `_codecs.encode`, by which Python 3 writes bytes at old protocols."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"bytes in {encoding!r}")
    return text.encode("latin1")


PICKLED = {
    ("numpy.core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy._core.multiarray", "_reconstruct"): _PickledArray,
    ("numpy", "ndarray"): _PickledArray,
    ("numpy", "dtype"): _PickledDtype,
    ("_codecs", "encode"): _inert_bytes,
}
"""What the pickle of plain arrays asks for -> what stands for it."""
