"""Films without flicker: what a frame is, and was, decides what is drawn of it."""

from __future__ import annotations

from typing import Protocol

import numpy as np


class FrameStylizer(Protocol):
    """What happens to the frames of a film, one after the other, from the first to the last."""

    def __call__(self, rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Stylises the next frame.

        Args:
            rgb_u8: (height, width, 3) uint8 RGB in 0..255.
            seconds: When it is shown; more than that of the frame before.

        Returns:
            A new array of the same type and shape; in a smaller size, the same for all frames,
            where the sizes are limited.
        """
