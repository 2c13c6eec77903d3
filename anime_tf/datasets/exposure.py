"""Exposure of photos before they are cut into training windows."""

from __future__ import annotations

import numpy as np

from anime_tf.io.color import LUMA_WEIGHTS
from anime_tf.models.live import EXPOSED_MEAN, EXPOSURE_LIMITS


def exposure_amount(mean: float) -> float:
    """Compute k of `models.live.Exposure` for a mean luma in [-1, 1]."""
    wanted = min(max(mean, EXPOSED_MEAN[0]), EXPOSED_MEAN[1])
    amount = (wanted - mean) / max(1.0 - mean * mean, 2e-3)
    return min(max(amount, EXPOSURE_LIMITS[0]), EXPOSURE_LIMITS[1])


def expose(photo_u8: np.ndarray) -> np.ndarray:
    """Expose a whole photo as the layer `models.live.Exposure` does, rounded to 8 bits.

    A window of the result is what a live network sees of the photo; exposed by its own mean it
    would be another picture.

    Args:
        photo_u8: RGB, uint8 (h, w, 3).
    """
    means = photo_u8.reshape(-1, 3).mean(axis=0, dtype=np.float64) / 127.5 - 1.0
    amount = exposure_amount(float(means @ np.array(LUMA_WEIGHTS)))
    levels = np.arange(256) / 127.5 - 1.0
    for _ in range(2):
        levels = levels + 0.5 * amount * (1.0 - levels * levels)
    table = np.clip(np.rint((levels + 1.0) * 127.5), 0, 255).astype(np.uint8)
    return table[photo_u8]
