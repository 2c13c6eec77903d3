"""Color of pictures: luma and brightness. Values are taken as sRGB."""

from __future__ import annotations

import numpy as np

from anime_tf.io.pixels import WHITE, apply_gain

LUMA_WEIGHTS = (0.299, 0.587, 0.114)  # of R, G, B: ITU-R BT.601, as in the original


def luma(rgb: np.ndarray) -> float:
    """Return the mean luma of a picture (..., 3), in the range of the picture."""
    return float(sum(w * rgb[..., i].mean() for i, w in enumerate(LUMA_WEIGHTS)))


def match_brightness(photo_u8: np.ndarray, stylized_u8: np.ndarray) -> np.ndarray:
    """Scale a stylized picture to the mean luma of its photo, as the original implementation does.

    ``clip(stylized * luma(photo) / luma(stylized))``, truncated to uint8.

    Args:
        photo_u8: (height, width, 3) RGB uint8.
        stylized_u8: (height, width, 3) RGB uint8, of any size.

    Returns:
        uint8, the shape of `stylized_u8`; an all-black picture is unchanged.

    Reference:
        AnimeGANv2, the brightness adjustment of its inference script.
    """
    return apply_gain(stylized_u8, brightness_gain(photo_u8, stylized_u8))


def brightness_gain(photo: np.ndarray, stylized: np.ndarray) -> float:
    """Return the factor that gives a stylized picture the mean luma of its photo.

    Both are RGB of a dtype of `WHITE`; 1 for an all-black picture.
    """
    level = luma(stylized)
    if level == 0:
        return 1.0
    if photo.dtype == stylized.dtype:
        return luma(photo) / level
    return luma(photo) / WHITE[photo.dtype] / (level / WHITE[stylized.dtype])
