"""Screentone: grays as black dots on white, in a grid fixed to the picture."""

from __future__ import annotations

import math

import cv2
import numpy as np

from anime_tf.inference.config import MIN_PITCH
from anime_tf.io.color import LUMA_WEIGHTS
from anime_tf.io.pixels import as_type

BLACK, WHITE = 0.2, 0.97  # darker luma is solid black, lighter luma is blank paper

_SAMPLES = 3  # per pixel and axis; their mean antialiases the dots
_STRIP = 256  # rows per strip


def screentone(picture: np.ndarray, pitch: int) -> np.ndarray:
    """Turn a picture into black dots on white, as manga are printed.

    The dots stand at the corners of squares that are turned by 45 degrees. They cover the share
    1 - luma of the paper, which keeps the mean value; `BLACK` and darker is solid, `WHITE` and
    lighter is blank. The grid begins at the upper left corner of the picture, so it stands still
    in a video.

    Args:
        picture: (height, width, 3 or 4) of any type of `io.pixels.WHITE`; a fourth channel is
            alpha and stays.
        pitch: Distance between neighboring dots in pixels, at least `MIN_PITCH`; 5 suits the style
            manga on pictures of 700 pixels.

    Returns:
        A new array of the same shape and type.

    Raises:
        ValueError: A smaller pitch.

    Reference:
        Ulichney, Digital Halftoning, 1987: clustered-dot ordered dither.
    """
    if pitch < MIN_PITCH:
        raise ValueError(f"expected a pitch of at least {MIN_PITCH} pixels, got {pitch}")
    luma = cv2.transform(
        as_type(picture[..., :3], np.float32), np.array([LUMA_WEIGHTS], np.float32)
    )
    levels = _screen_levels(luma.reshape(picture.shape[:2]))
    height, width = levels.shape
    columns = _waves(0, width, pitch)
    out = picture.copy()
    for top in range(0, height, _STRIP):
        bottom = min(top + _STRIP, height)
        # One row more on each side, which the interpolation looks at.
        first, last = max(0, top - 1), min(height, bottom + 1)
        fine = cv2.resize(
            levels[first:last],
            (width * _SAMPLES, (last - first) * _SAMPLES),
            interpolation=cv2.INTER_LINEAR,
        )[(top - first) * _SAMPLES :][: (bottom - top) * _SAMPLES]
        paper = (_waves(top, bottom, pitch)[:, None] * columns < fine).astype(np.float32)
        drawn = cv2.resize(paper, (width, bottom - top), interpolation=cv2.INTER_AREA)
        out[top:bottom, :, :3] = as_type(drawn, picture.dtype)[..., None]
    return out


def _waves(start: int, stop: int, pitch: int) -> np.ndarray:
    """Return one factor of the screen cos(k x) cos(k y), at the samples of pixels."""
    samples = np.arange(start * _SAMPLES, stop * _SAMPLES, dtype=np.float64)
    return np.cos((samples + 0.5) / _SAMPLES * (math.pi * math.sqrt(2) / pitch)).astype(np.float32)


def _screen_levels(luma: np.ndarray) -> np.ndarray:
    """Return the level of the screen that a share `luma` of its area is below."""
    phases = (np.arange(512) + 0.5) / 512 * math.pi
    levels = np.sort(np.outer(np.cos(phases), np.cos(phases)), axis=None)[::64]
    level = np.interp(luma, np.linspace(0, 1, len(levels)), levels).astype(np.float32)
    level[luma <= BLACK] = -2
    level[luma >= WHITE] = 2
    return level
