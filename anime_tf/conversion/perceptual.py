"""Perceptual networks with the weights of a name or a file."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras

from anime_tf.conversion import mobilenet_weights, vgg19_weights
from anime_tf.errors import keras_download_reason
from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, check_plain_file
from anime_tf.models.registry import PERCEPTUAL


class Reader(NamedTuple):
    """Functions that download, read and assign the weights of a network."""

    title: str
    files: str
    fetch_imagenet: Callable[[], Any]
    read: Callable[[Path], Any]
    fill: Callable[[Any, Any, str], None]


_mobilenet, _vgg19 = mobilenet_weights, vgg19_weights
READERS = {
    "vgg19": Reader(
        "VGG-19", "FILE.h5 or vgg19.npy", _vgg19.fetch_imagenet, _vgg19.read, _vgg19.fill
    ),
    "mobilenetv2": Reader(
        "MobileNetV2", "FILE.h5", _mobilenet.fetch_v2, _mobilenet.read_v2, _mobilenet.fill_v2
    ),
    "mobilenetv1": Reader(
        "MobileNetV1", "FILE.npz", _mobilenet.fetch_v1, _mobilenet.read_v1, _mobilenet.fill_v1
    ),
}


def load_perceptual(
    name: str, weights: str = "imagenet", seed: int = 0, dtype: Any = None
) -> keras.Model:
    """Make a perceptual network, pictures in [-1, 1] to float32 features, and load its weights.

    Args:
        name: A key of `PERCEPTUAL`.
        weights: "imagenet" (downloaded and cached by `keras.applications`), "random" (from `seed`:
            random features still compare textures and structure, and need no file), or a file. For
            VGG-19: Keras' `.h5` or the originals' `vgg19.npy`; for MobileNetV2 at alpha 1.3: the
            `.h5` that Keras publishes or a `.weights.h5`; each with or without top. For
            MobileNetV1: an `.npz` of Keras' arrays, LAYER/VARIABLE.
        seed: Seed of random weights.
        dtype: Dtype policy.

    Raises:
        FileNotFoundError: The file does not exist.
        ValueError: The file holds other weights, or the download failed.
    """
    network = PERCEPTUAL[name](seed=seed, dtype=dtype)
    reader = READERS[name]
    if weights == "random":
        return network
    if weights == "imagenet":
        try:
            values = reader.fetch_imagenet()
        except Exception as error:  # keras.utils.get_file raises bare Exception when offline
            raise ValueError(
                f"the ImageNet weights of {reader.title} cannot be downloaded "
                f"({keras_download_reason(error)}); set HTTPS_PROXY if you use a proxy, or give a "
                f"file, --perceptual_weights={reader.files}, or --perceptual_weights=random"
            ) from error
    else:
        path = Path(weights)
        expected = f"{reader.title} weights ({reader.files}, or the word imagenet or random)"
        check_plain_file(path, expected, MAX_WEIGHTS_BYTES)
        values = reader.read(path)
    reader.fill(network, values, weights)
    return network
