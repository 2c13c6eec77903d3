"""Steps after the network, in this order: brightness, color, strength.

Brightness needs one number of the whole picture. The others depend on pixels within `HALO` rows and
columns, so large pictures are processed in strips of rows.
"""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.io.color import LUMA_WEIGHTS, brightness_gain
from anime_tf.io.pixels import apply_gain, as_type

RADIUS = 8  # radius in pixels of the guided filter's windows
HALO = 20  # rows and columns that `blend` looks at around a pixel: two windows and the resizing
# The guided filter's regularization: windows with a smaller variance count as flat
EPSILON = (10 / 255) ** 2

# detail keeps (1 - strength) to this power of the photo's, base color (1 - strength)
DETAIL_EXPONENT = 3

STRIP = 512  # rows per strip; even, because `blend` halves the size


def postprocess(
    photo: np.ndarray,
    anime: np.ndarray,
    *,
    strength: float = 1.0,
    keep_color: bool = False,
    match_brightness: bool = False,
) -> np.ndarray:
    """Apply the steps that the settings of `StylizerConfig` choose.

    Photo and result are (height, width, 3) RGB of any type of `io.pixels.WHITE`. Returns the type
    of `anime`, which may be overwritten; without any step `anime` itself.

    Raises:
        ValueError: The shapes differ.
    """
    if photo.shape != anime.shape:
        raise ValueError(
            f"expected a photo and its result in one shape, got {photo.shape} and {anime.shape}"
        )
    if strength == 0:
        return as_type(photo, anime.dtype)
    if match_brightness:
        gain = brightness_gain(photo, anime)
        for rows in _strips(len(anime)):
            anime[rows] = apply_gain(anime[rows], gain)
    if strength == 1 and not keep_color:
        return anime
    out = np.empty_like(anime)
    for rows in _strips(len(anime)):
        halo = 0 if strength == 1 else HALO
        first, last = max(0, rows.start - halo), min(len(anime), rows.stop + halo)
        near = slice(first, last)
        before = as_type(photo[near], np.float32)
        after = as_type(anime[near], np.float32)
        if keep_color:
            after = transfer_color(before, after)
        if strength < 1:
            after = blend(before, after, strength)
        out[rows] = as_type(after[rows.start - first : rows.stop - first], anime.dtype)
    return out


def transfer_color(photo: np.ndarray, anime: np.ndarray) -> np.ndarray:
    """Combine the luma of `anime` with the chroma of `photo`, (h, w, 3) RGB float32 in 0..1 each.

    With luma Y of ITU-R BT.601 and chroma (R - Y, G - Y, B - Y), that is unscaled Cb and Cr:
    ``Y(anime) + k * (photo - Y(photo))``. k is 1, or the largest value that keeps the color between
    black and white: luma and hue stay, saturation decreases. So black lines stay black, and nothing
    is clipped.
    """
    weights = np.array([LUMA_WEIGHTS], np.float32)
    luma = cv2.transform(anime, weights)
    chroma = photo - cv2.transform(photo, weights)[..., None]
    red, green, blue = cv2.split(chroma)
    high = cv2.max(cv2.max(red, green), blue)
    low = cv2.min(cv2.min(red, green), blue)
    tiny = np.float32(1e-6)
    share = np.minimum((1 - luma) / np.maximum(high, tiny), luma / np.maximum(-low, tiny))
    share = np.clip(share, 0, 1, out=share)
    return cv2.merge([plane * share + luma for plane in (red, green, blue)])


def blend(photo: np.ndarray, anime: np.ndarray, strength: float) -> np.ndarray:
    """Return a picture between a photo and its result without double lines.

    A pixelwise mean shows the photo's texture in flat areas, and lines twice where the network has
    moved them. Here a guided filter with the result as guide splits the difference:

        base = a * anime + b, a and b fitted to photo - anime in windows of `RADIUS`
        detail = photo - anime - base

    The base is the recoloring of the drawing that is closest to the photo. The detail is the rest:
    the photo's texture, and the negative of the drawn lines. The result gets 1 - strength of the
    base and (1 - strength)^3 of the detail: color and light change evenly, while texture goes and
    lines come early.

    Photo and result are (height, width, 3) float32 in 0..1; the new array may slightly leave 0..1
    at strong edges. Strength 0 is the photo and 1 the result, up to rounding.

    Reference: He, Sun, Tang, Guided Image Filtering, 2013, section 3; at half the size as He and
    Sun, Fast Guided Filter, 2015.
    """
    height, width = anime.shape[:2]
    odd = (0, height % 2, 0, width % 2)
    # Half the size, in whole pairs of pixels: odd sizes would shift the grid.
    half = (width // 2 + odd[3], height // 2 + odd[1])
    even = [
        cv2.copyMakeBorder(x, *odd, cv2.BORDER_REPLICATE) if any(odd) else x for x in (photo, anime)
    ]
    small_photo, guide = (cv2.resize(x, half, interpolation=cv2.INTER_AREA) for x in even)
    difference = small_photo - guide
    mean_guide, mean_difference = _box(guide), _box(difference)
    covariance = _box(guide * difference) - mean_guide * mean_difference
    a = covariance / (_box(guide * guide) - mean_guide * mean_guide + np.float32(EPSILON))
    b = mean_difference - a * mean_guide
    # anime + (1 - s) base + w detail, as (1 - w + c a) anime + w photo + c b.
    weight = (1 - strength) ** DETAIL_EXPONENT
    share = 1 - strength - weight
    slope = cv2.resize(_box(a) * np.float32(share) + np.float32(1 - weight), None, fx=2, fy=2)
    offset = cv2.resize(_box(b) * np.float32(share), None, fx=2, fy=2)
    out = slope[:height, :width] * anime
    out += offset[:height, :width]
    return cv2.scaleAdd(photo, weight, out).reshape(anime.shape)


def _box(array: np.ndarray) -> np.ndarray:
    """Return means over windows at half the size, reflected at the borders."""
    side = RADIUS // 2 * 2 + 1
    return cv2.blur(array, (side, side), borderType=cv2.BORDER_REFLECT)


def _strips(height: int) -> list[slice]:
    """Return slices of rows that begin at even rows."""
    return [slice(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]
