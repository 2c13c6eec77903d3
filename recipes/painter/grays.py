"""Four grays and black lines, as manga are printed."""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.io.pixels import as_type
from recipes.painter.color import lerp, step
from recipes.painter.structure import gauss
from recipes.painter.tones import supersampled

F32 = np.float32

GRAYS = (0.10, 0.55, 0.80, 1.0)
"""Black, dark gray, light gray and white: OKLab L."""

BORDERS = (0.30, 0.50, 0.68)
"""L at which one gray ends and the next begins."""

# Half the width of the ramp between two grays, in L.
_RAMP = 0.012

# The mean L of what is neither skin nor sky; darker and paler photos are drawn towards it.
_MEAN = 0.60


def four_grays(lightness: np.ndarray) -> np.ndarray:
    """Round L to `GRAYS`, with a narrow ramp at each of `BORDERS`."""
    rounded = np.full_like(lightness, GRAYS[0])
    for darker, lighter, border in zip(GRAYS, GRAYS[1:], BORDERS, strict=False):
        share = step(lightness, F32(border - _RAMP), F32(border + _RAMP))
        rounded += F32(lighter - darker) * share
    return rounded


def draw_grays(
    lab: np.ndarray, dark: np.ndarray, sky: np.ndarray, skin: np.ndarray, detail: np.ndarray
) -> np.ndarray:
    """Draw a picture in four grays and black lines.

    - Skin is white with one shadow; what is much darker than its surroundings (eyes, nostrils)
      becomes black.
    - A clear sky is light gray, its clouds are white.
    - Elsewhere specks vanish (median of 5x5, twice), except in small detail.

    Args:
        lab: OKLab (h, w, 3), already flat.
        dark: Opacity of dark strokes, (h, w) in [0, 1].
        sky: From `masks.sky_mask`.
        skin: From `masks.skin_mask`.
        detail: From `masks.detail_mask`.

    Returns:
        OKLab (h, w, 3), a and b zero.
    """
    lightness = np.clip(lab[..., 0], 0, 1)
    ground = (1 - skin) * (1 - sky)
    mean = float((lightness * ground).sum() / max(float(ground.sum()), 1.0))
    lift = F32(np.clip(_MEAN - mean, -0.12, 0.12))
    lightness = lightness + lift * 4 * lightness * (1 - lightness)
    lightness = lerp(lightness, _skin_tones(lightness, skin), skin)
    lightness = lerp(lightness, _sky_tone(lab), sky * step(lightness, 0.35, 0.55))
    lightness = lerp(lightness, _without_specks(lightness), ground * (1 - 0.8 * detail))
    grays = supersampled(four_grays, gauss(lightness.astype(F32), 0.9))
    ink = dark * (1 - 0.15 * skin) * (1 - 0.9 * sky)
    drawn = np.zeros_like(lab)
    drawn[..., 0] = grays * (1 - ink) + F32(0.08) * ink
    return drawn


def _skin_tones(lightness: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Lift skin to white; a shadow of 0.05 below the mean over 25 px is gray, 0.3 is black."""
    mask = skin + F32(1e-4)
    offset = lightness - gauss(mask * lightness, 25.0) / gauss(mask, 25.0)
    darker = np.minimum(offset + F32(0.05), 0)
    tone = 0.80 + 1.1 * (np.maximum(offset, 0) + darker)
    return tone - 0.55 * step(-offset, 0.16, 0.30) - 0.10 * step(-offset, 0.05, 0.09)


def _sky_tone(lab: np.ndarray) -> np.ndarray:
    """Give what is blue the lightness of a clear sky, the rest that of clouds."""
    chroma = np.hypot(lab[..., 1], lab[..., 2])
    clear = step(chroma, 0.03, 0.06) * step(-lab[..., 2], 0.0, 0.03)
    return F32(0.85) - F32(0.25) * clear


def _without_specks(lightness: np.ndarray) -> np.ndarray:
    levels = as_type(lightness.astype(F32), np.uint8)
    return as_type(cv2.medianBlur(cv2.medianBlur(levels, 5), 5), F32)
