"""Sheets of sample pictures: fixed photos beside their stylized versions."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import keras
import numpy as np
from absl import logging

from anime_tf.io import pictures
from anime_tf.io.geometry import crop_padding, pad_to_multiple, side_by_side, stack_rows
from anime_tf.io.pixels import to_pm1, to_u8

SAMPLE_SIDE = 512  # longest side of a picture in a sheet, pixels


def sample_sheet(generator: keras.Model, paths: Iterable[Path]) -> np.ndarray | None:
    """Draw a sheet with a row for each photo: the photo left, the generated picture right.

    Unreadable photos are logged and skipped; narrow rows are padded with white.

    Returns:
        uint8 RGB (height, width, 3); None if no photo is readable.
    """
    rows = []
    for path in paths:
        try:
            picture = pictures.read_picture(path)
        except (ValueError, OSError) as error:
            logging.warning("no sample: %s", error)
            continue
        photo_u8 = pictures.limit_side(picture, SAMPLE_SIDE).rgb_u8
        padded, padding = pad_to_multiple(photo_u8[None], generator.STRIDE, generator.MINIMUM_SIDE)
        generated = np.asarray(generator(to_pm1(padded), training=False))
        anime_u8 = to_u8(crop_padding(generated, padding))[0]
        rows.append(side_by_side(photo_u8, anime_u8))
    return stack_rows(rows) if rows else None
