"""MobileNetV2 weights: the HDF5 files of Keras 2 and Keras 3."""

from __future__ import annotations

import collections
from collections.abc import Iterator
from pathlib import Path

import h5py
import keras
import numpy as np

from anime_tf.models.mobilenet_v2 import ALPHA, NAMES, NORM_EPSILON, MobileNetV2Features

TITLE = "MobileNetV2"
FILES = "FILE.h5"

Layer = list[np.ndarray]
"""Weights of a layer, in Keras' order."""


def fetch_imagenet() -> list[Layer]:
    """Download the ImageNet weights through `keras.applications`, or take them from its cache."""
    source = keras.applications.MobileNetV2(
        input_shape=(224, 224, 3), alpha=ALPHA, include_top=False, weights="imagenet"
    )
    return [[w.numpy() for w in layer.weights] for layer in source.layers if layer.weights]


def read(path: Path) -> list[Layer]:
    """Read the layers that have weights, in order, since names differ between published files.

    Raises:
        ValueError: It is no HDF5 file, damaged, or of another network.
    """
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            if "layer_names" in root.attrs:
                groups = [root[name] for name in root.attrs["layer_names"]]
                layers = [[group[w][()] for w in group.attrs["weight_names"]] for group in groups]
                return [layer for layer in layers if layer]
            groups = [file[f"{name}/vars"] for name in _keras_3_names()]
            return [[group[str(i)][()] for i in range(len(group))] for group in groups]
    except OSError as error:
        raise ValueError(f"{path}: expected an HDF5 file, got another ({error})") from error
    except KeyError as error:
        raise ValueError(
            f"{path}: expected MobileNetV2 weights, got others ({error.args[0]})"
        ) from error


def _keras_3_names() -> Iterator[str]:
    """Groups of a `.weights.h5`, where layers are numbered by class."""
    counts: collections.Counter[str] = collections.Counter()
    for name in NAMES:
        conv = "depthwise_conv2d" if name.endswith("_depthwise") else "conv2d"
        for kind in (conv, "batch_normalization"):
            yield f"layers/{kind}_{counts[kind]}" if counts[kind] else f"layers/{kind}"
            counts[kind] += 1


def fill(network: MobileNetV2Features, layers: list[Layer], source: str) -> None:
    """Assign weights with the batch norms folded into the convolutions.

    Raises:
        ValueError: A layer has other shapes, or layers are missing; names `source`.
    """
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
                f"{source}: {name}: expected shapes {shapes}, as at alpha {ALPHA}, got {found}"
            )
    for number, conv in enumerate(network.convolutions):
        (kernel,) = layers[2 * number]
        if conv is not network.expand:
            gamma, beta, mean, variance = (x.astype(np.float64) for x in layers[2 * number + 1])
            scale = gamma / np.sqrt(variance + NORM_EPSILON)
            conv.bias.assign(beta - mean * scale)
            # A depthwise kernel is (3, 3, channels, 1).
            depthwise = isinstance(conv, keras.layers.DepthwiseConv2D)
            kernel = kernel * (scale[:, None] if depthwise else scale)
        conv.kernel.assign(kernel)
