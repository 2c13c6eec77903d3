"""A generator as a SavedModel."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from anime_tf.export.card import ModelCard, Signature
from anime_tf.export.checks import Limit
from anime_tf.export.encoded import EncodedPictures, Limits
from anime_tf.export.warmup import FILE as WARMUP_FILE
from anime_tf.export.warmup import warmup_inputs, write_warmup
from anime_tf.inference.padded_generator import PaddedGenerator

EXTRA = "assets.extra"
"""Folder in a SavedModel for files that are no part of its graph."""

_PM1 = "float32 RGB (n, height, width, 3) in [-1, 1]"
_U8 = "uint8 RGB (n, height, width, 3)"
_FILES = "strings (n,), the contents of JPEG, PNG or WebP files"
_ERRORS = "strings (n,): empty, or what is wrong with the picture, which has no bytes then"

SIGNATURES: dict[str, Signature] = {
    one.name: one
    for one in (
        Signature("serving_default", {"pictures_pm1": _PM1}, {"anime_pm1": _PM1}),
        Signature("uint8", {"pictures_u8": _U8}, {"anime_u8": _U8}),
        Signature(
            "bytes",
            {"picture_bytes": _FILES},
            {"anime_bytes": "strings (n,), PNG files", "error": _ERRORS},
        ),
        Signature(
            "bytes_jpeg",
            {"picture_bytes": _FILES},
            {"anime_bytes": "strings (n,), JPEG files", "error": _ERRORS},
        ),
    )
}
"""Name -> signature of a SavedModel."""

LIMIT = Limit(largest=1e-5)
"""The same graph and the same kernels; the optimiser may fuse what it did not fuse before."""


def write_saved_model(
    network: PaddedGenerator,
    path: str | os.PathLike[str],
    *,
    card: ModelCard | None = None,
    limits: Limits | None = None,
) -> None:
    """Writes a SavedModel whose signatures take pictures of any size and number.

    It holds `SIGNATURES`, and in ``assets.extra`` a request for each of them, which TensorFlow
    Serving answers when it loads the model, and the model card.

    Args:
        network: What to write, of any generator and under any precision.
        path: The folder; must not exist yet.
        card: What is told about the network; no card where it is left out.
        limits: Which files the signatures ``bytes`` and ``bytes_jpeg`` refuse.
    """
    encoded = EncodedPictures(network, limits)
    functions = {
        "serving_default": network.pm1,
        "uint8": network.u8,
        "bytes": encoded.function("png"),
        "bytes_jpeg": encoded.function("jpeg"),
    }
    tf.saved_model.save(
        network,
        os.fspath(path),
        signatures=functions,
        options=tf.saved_model.SaveOptions(save_debug_info=False),
    )
    extra = Path(path) / EXTRA
    extra.mkdir()
    write_warmup(extra / WARMUP_FILE, warmup_inputs())
    if card is not None:
        card.write(extra, list(SIGNATURES.values()))
