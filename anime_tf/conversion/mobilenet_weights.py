"""Weights of MobileNetV1 (`.npz` of Keras' arrays) and MobileNetV2 (HDF5 of Keras 2 and 3)."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from anime_tf.errors import reading
from anime_tf.io import arrays
from anime_tf.models import mobilenet_v1, mobilenet_v2

Layers = list[list[np.ndarray]]  # weights of the layers that have some, in Keras' order


def fetch_v1() -> dict[str, np.ndarray]:
    """Download the ImageNet weights through `keras.applications`, which caches them."""
    source = keras.applications.MobileNet(
        input_shape=(224, 224, 3), include_top=False, weights="imagenet"
    )
    return {w.path: w.numpy() for layer in source.layers for w in layer.weights}


def fetch_v2() -> Layers:
    """Download the ImageNet weights through `keras.applications`, which caches them."""
    source = keras.applications.MobileNetV2(
        input_shape=(224, 224, 3), alpha=mobilenet_v2.ALPHA, include_top=False, weights="imagenet"
    )
    return [[w.numpy() for w in layer.weights] for layer in source.layers if layer.weights]


def read_v1(path: Path) -> dict[str, np.ndarray]:
    """Read an `.npz` of LAYER/VARIABLE in Keras' names -> array."""
    with reading(path, "an .npz file of arrays"):
        return arrays.read_npz(path)


def read_v2(path: Path) -> Layers:
    """Read the layers that have weights, in order, since names differ between published files."""
    with reading(path, "an HDF5 file of MobileNetV2"), h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        if "layer_names" in root.attrs:
            groups = [root[name] for name in root.attrs["layer_names"]]
            layers = [[group[w] for w in group.attrs["weight_names"]] for group in groups]
            return arrays.read_hdf5([x for x in layers if x], path.stat().st_size)
        missing = [name for name in _keras_3_names() if name not in file]
        if missing:
            raise ValueError(f"expected MobileNetV2 weights, got no {missing[0]}")
        groups = [file[name] for name in _keras_3_names()]
        layers = [[group[str(i)] for i in range(len(group))] for group in groups]
        return arrays.read_hdf5(layers, path.stat().st_size)


def _keras_3_names() -> Iterator[str]:
    """Groups of a `.weights.h5`, where layers are numbered by class."""
    counts: collections.Counter[str] = collections.Counter()
    for name in mobilenet_v2.NAMES:
        conv = "depthwise_conv2d" if name.endswith("_depthwise") else "conv2d"
        for kind in (conv, "batch_normalization"):
            yield f"layers/{kind}_{counts[kind]}/vars" if counts[kind] else f"layers/{kind}/vars"
            counts[kind] += 1


def fill_v1(
    network: mobilenet_v1.MobileNetV1Features, values: dict[str, np.ndarray], source: str
) -> None:
    """Fill the network; raises ValueError, which names `source`, for missing or other arrays."""
    for conv in network.convolutions:
        norm = [f"{conv.name}_bn/{x}" for x in ("gamma", "beta", "moving_mean", "moving_variance")]
        names = [f"{conv.name}/kernel", *norm]
        missing = [name for name in names if name not in values]
        if missing:
            raise ValueError(f"{source}: expected MobileNetV1 weights, got none of {missing[0]}")
        for name, weight in zip(names, (conv.kernel, *[conv.bias] * 4), strict=True):
            expected, found = tuple(weight.shape), values[name].shape
            if found != expected:
                raise ValueError(
                    f"{source}: expected {name} of shape {expected}, as at alpha 1, got {found}"
                )
        _fill_folded(conv, [values[name] for name in names], mobilenet_v1.NORM_EPSILON)


def fill_v2(network: mobilenet_v2.MobileNetV2Features, layers: Layers, source: str) -> None:
    """Fill the network; raises ValueError, which names `source`, for missing or other layers."""
    expected: list[tuple[str, list[tuple[int, ...]]]] = []
    for conv in network.convolutions:
        expected.append((conv.name, [tuple(conv.kernel.shape)]))
        if conv is not network.expand:
            expected.append((f"the batch norm of {conv.name}", [tuple(conv.bias.shape)] * 4))
    if len(layers) < len(expected):
        raise ValueError(
            f"{source}: expected {len(expected)} layers with weights up to block_6_expand of "
            f"MobileNetV2, got {len(layers)}"
        )
    for (name, shapes), layer in zip(expected, layers, strict=False):
        found = [array.shape for array in layer]
        if found != shapes:
            raise ValueError(
                f"{source}: {name}: expected shapes {shapes}, as at alpha {mobilenet_v2.ALPHA}, "
                f"got {found}"
            )
    for number, conv in enumerate(network.convolutions):
        if conv is network.expand:
            conv.kernel.assign(layers[2 * number][0])
        else:
            weights = layers[2 * number] + layers[2 * number + 1]
            _fill_folded(conv, weights, mobilenet_v2.NORM_EPSILON)


def _fill_folded(conv: keras.layers.Layer, weights: list[np.ndarray], epsilon: float) -> None:
    """Assign a kernel with the batch norm after it folded in."""
    kernel, gamma, beta, mean, variance = (x.astype(np.float64) for x in weights)
    scale = gamma / np.sqrt(variance + epsilon)
    # A depthwise kernel is (3, 3, channels, 1).
    depthwise = isinstance(conv, keras.layers.DepthwiseConv2D)
    conv.kernel.assign(kernel * (scale[:, None] if depthwise else scale))
    conv.bias.assign(beta - mean * scale)
