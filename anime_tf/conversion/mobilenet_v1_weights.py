"""Weights of MobileNetV1: an `.npz` of Keras' arrays, or Keras' own download."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from anime_tf.models.mobilenet_v1 import NORM_EPSILON, MobileNetV1Features

TITLE = "MobileNetV1"
FILES = "FILE.npz"

Arrays = dict[str, np.ndarray]
"""LAYER/VARIABLE in Keras' names -> array."""


def read(path: Path) -> Arrays:
    """Read the arrays of an `.npz` file.

    Raises:
        ValueError: The file cannot be read.
    """
    try:
        with np.load(path) as file:
            return dict(file)
    except (OSError, ValueError) as error:
        raise ValueError(f"{path}: expected an .npz file of arrays ({error})") from error


def fetch_imagenet() -> Arrays:
    """Download the ImageNet weights through `keras.applications`, which caches them."""
    source = keras.applications.MobileNet(
        input_shape=(224, 224, 3), include_top=False, weights="imagenet"
    )
    return {w.path: w.numpy() for layer in source.layers for w in layer.weights}


def fill(network: MobileNetV1Features, arrays: Arrays, source: str) -> None:
    """Fill the network; each batch norm goes into the convolution before it.

    Raises:
        ValueError: An array is missing or has another shape; names `source`.
    """
    for conv in network.convolutions:
        names = [f"{conv.name}/kernel"]
        names += [
            f"{conv.name}_bn/{part}" for part in ("gamma", "beta", "moving_mean", "moving_variance")
        ]
        missing = [name for name in names if name not in arrays]
        if missing:
            raise ValueError(f"{source}: expected MobileNetV1 weights, got none of {missing[0]}")
        kernel, gamma, beta, mean, variance = (arrays[name].astype(np.float64) for name in names)
        if kernel.shape != tuple(conv.kernel.shape):
            raise ValueError(
                f"{source}: expected {names[0]} of shape {tuple(conv.kernel.shape)}, as at alpha "
                f"1, got {kernel.shape}"
            )
        scale = gamma / np.sqrt(variance + NORM_EPSILON)
        # A depthwise kernel is (3, 3, channels, 1).
        conv.kernel.assign(kernel * (scale[:, None] if "dw" in conv.name else scale))
        conv.bias.assign(beta - mean * scale)
