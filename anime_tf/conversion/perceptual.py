"""Perceptual networks with the weights of a name or a file."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import Any

import keras

from anime_tf.conversion import mobilenet_v1_weights, mobilenet_v2_weights, vgg19_weights
from anime_tf.models.registry import PERCEPTUAL

READERS: dict[str, ModuleType] = {
    "vgg19": vgg19_weights,
    "mobilenetv2": mobilenet_v2_weights,
    "mobilenetv1": mobilenet_v1_weights,
}
"""Key of `PERCEPTUAL` -> module with `read`, `fetch_imagenet`, `fill`, `TITLE` and `FILES`."""


def load_perceptual(
    name: str, weights: str = "imagenet", *, seed: int = 0, dtype: Any = None
) -> keras.Model:
    """Make a perceptual network and load its weights.

    Args:
        name: A key of `models.registry.PERCEPTUAL`.
        weights: "imagenet" (downloaded and cached by `keras.applications`), "random" (from `seed`:
            random features still compare textures and structure, and need no file), or a file. For
            VGG-19: Keras' `.h5` or the originals' `vgg19.npy`; for MobileNetV2 at alpha 1.3: the
            `.h5` that Keras publishes or a `.weights.h5`; each with or without top. For
            MobileNetV1: an `.npz` of Keras' arrays, LAYER/VARIABLE.
        seed: Seed of random weights.
        dtype: Dtype policy.

    Returns:
        The network, not trainable: pictures (n, h, w, 3) in [-1, 1] to float32 features.

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
                f"the ImageNet weights of {reader.TITLE} could not be fetched ({error}); give a "
                f"file, --perceptual_weights={reader.FILES}, or --perceptual_weights=random"
            ) from error
    else:
        path = Path(weights)
        if not path.is_file():
            raise FileNotFoundError(
                f"{path}: no such file; expected {reader.TITLE} weights ({reader.FILES}), "
                "or one of the words imagenet and random"
            )
        values = reader.read(path)
    reader.fill(network, values, weights)
    return network
