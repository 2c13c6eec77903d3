"""A generator as a SavedModel."""

from __future__ import annotations

import os

import tensorflow as tf

from anime_tf.export.checks import Limit
from anime_tf.inference.any_picture import AnyPicture

SIGNATURES = ("serving_default", "uint8")
"""Float pictures in [-1, 1], and pixels: `AnyPicture.pm1` and `AnyPicture.u8`."""

LIMIT = Limit(largest=1e-5)
"""The same graph and the same kernels; the optimiser may fuse what it did not fuse before."""


def write_saved_model(network: AnyPicture, path: str | os.PathLike[str]) -> None:
    """Writes a SavedModel whose signatures take pictures of any size and number.

    ``serving_default`` takes ``pictures_pm1``, float32 RGB (n, height, width, 3) in [-1, 1], and
    gives ``anime_pm1`` likewise; ``uint8`` takes ``pictures_u8`` and gives ``anime_u8``, pixels.

    Args:
        network: What to write.
        path: The folder; must not exist yet.
    """
    tf.saved_model.save(
        network,
        os.fspath(path),
        signatures=dict(zip(SIGNATURES, (network.pm1, network.u8), strict=True)),
        options=tf.saved_model.SaveOptions(save_debug_info=False),
    )
