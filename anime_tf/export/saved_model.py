"""SavedModels."""

from __future__ import annotations

import os
from pathlib import Path

import tensorflow as tf

from anime_tf.export.card import ModelCard, Signature
from anime_tf.export.checks import Tolerance
from anime_tf.export.config import ExportConfig
from anime_tf.export.encoded import MAX_PIXELS, EncodedPictures
from anime_tf.export.warmup import FILE as WARMUP_FILE
from anime_tf.export.warmup import warmup_inputs, write_warmup
from anime_tf.inference.padded_generator import PaddedGenerator

EXTRA = "assets.extra"  # folder of a SavedModel for files outside its graph

_PM1 = "float32 RGB (n, height, width, 3) in [-1, 1]"
_U8 = "uint8 RGB (n, height, width, 3)"
_FILES = {"picture_bytes": "strings (n,), contents of JPEG, PNG or WebP files"}
_ERRORS = "strings (n,): empty, or the error of a picture, which has no bytes then"

SIGNATURES: dict[str, Signature] = {
    name: Signature(name, inputs, outputs)
    for name, inputs, outputs in (
        ("serving_default", {"pictures_pm1": _PM1}, {"anime_pm1": _PM1}),
        ("uint8", {"pictures_u8": _U8}, {"anime_u8": _U8}),
        ("bytes", _FILES, {"anime_bytes": "strings (n,), PNG files", "error": _ERRORS}),
        ("bytes_jpeg", _FILES, {"anime_bytes": "strings (n,), JPEG files", "error": _ERRORS}),
    )
}
"""Name -> signature of a SavedModel."""

TOLERANCE = Tolerance(largest=1e-5)
"""The graph and the kernels are the same; the optimizer may fuse more operations."""


def export(
    network: PaddedGenerator, path: Path, config: ExportConfig, card: ModelCard
) -> Tolerance:
    """Write a SavedModel; return its tolerance."""
    write_saved_model(network, path, card=card, max_pixels=config.max_pixels or MAX_PIXELS)
    return TOLERANCE


def write_saved_model(
    network: PaddedGenerator,
    path: str | os.PathLike[str],
    *,
    card: ModelCard | None = None,
    max_pixels: int = MAX_PIXELS,
) -> None:
    """Write a SavedModel with `SIGNATURES` for pictures of any size and number to a new folder.

    ``assets.extra`` contains a warmup request for each signature, and the model card, if any.
    `max_pixels` is the largest picture of the signatures ``bytes`` and ``bytes_jpeg``.
    """
    encoded = EncodedPictures(network, max_pixels=max_pixels)
    tf.saved_model.save(
        network,
        os.fspath(path),
        signatures={
            "serving_default": network.pm1,
            "uint8": network.u8,
            "bytes": encoded.function("png"),
            "bytes_jpeg": encoded.function("jpeg"),
        },
        options=tf.saved_model.SaveOptions(save_debug_info=False),
    )
    extra = Path(path) / EXTRA
    extra.mkdir()
    write_warmup(extra / WARMUP_FILE, warmup_inputs())
    if card is not None:
        card.write(extra, list(SIGNATURES.values()))
