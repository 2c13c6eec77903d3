"""A generator as a SavedModel."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import tensorflow as tf

from anime_tf.data.pictures import to_pm1
from anime_tf.export.checks import Difference, Tolerance, compare, probes_u8
from anime_tf.inference.any_picture import AnyPicture

SIGNATURES = ("serving_default", "uint8")
"""Float pictures in [-1, 1], and pixels: `AnyPicture.pm1` and `AnyPicture.u8`."""

# The same graph and the same kernels; the optimiser may fuse what it did not fuse before.
TOLERANCE = Tolerance(largest=0.25, mean=0.05)

ROUNDING = 1  # level: where a rounding error lies on the border between two levels


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


def check_saved_model(path: str | os.PathLike[str], network: AnyPicture) -> Difference:
    """Loads a SavedModel and compares what both its signatures give with the network.

    Args:
        path: The folder.
        network: What it was made from.

    Returns:
        How far the float signature is from the network.

    Raises:
        ValueError: It differs by more than `TOLERANCE`, or its pixels are not those of its floats.
    """
    name = Path(path).name
    signatures = tf.saved_model.load(os.fspath(path)).signatures
    expected, actual = [], []
    for photos_u8 in probes_u8():
        x = tf.constant(to_pm1(photos_u8))
        expected.append(network.pm1(x)["anime_pm1"].numpy())
        actual.append(signatures["serving_default"](pictures_pm1=x)["anime_pm1"].numpy())
        anime_u8 = signatures["uint8"](pictures_u8=tf.constant(photos_u8))["anime_u8"].numpy()
        rounded = np.clip(np.rint((actual[-1] + 1) * 127.5), 0, 255)
        difference = float(np.abs(anime_u8 - rounded).max())
        if not difference <= ROUNDING:
            raise ValueError(
                f"{name}: the signature uint8 differs by {difference:g} levels from "
                "serving_default; please report this"
            )
    return compare(name, actual, expected, TOLERANCE)
