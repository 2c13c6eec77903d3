"""What is done to a stylised picture after the network: brightness, colour, strength.

The steps come in this order, each on what the one before gave:

1. `pictures.match_brightness`: the mean luma of the photo.
2. `with_color_of`: the photo's chroma under the result's luma.
3. `blend`: the way back to the photo, by the strength.

Every step but the first is local: a pixel depends on those within `REACH` rows and columns. The
first needs one number of the whole picture, `pictures.brightness_gain`. Large pictures are
therefore worked on in strips of rows, with the result of the whole.
"""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.io import pictures

RADIUS = 8
"""Half the side in pixels of the windows in which a photo's colours are fitted to a result."""

REACH = 20
"""How far in pixels `blend` looks: two windows, and two pixels for resizing at each end."""

VARIANCE = (10 / 255) ** 2
"""Of a window, for black 0 and white 1: far below it, it counts as flat; far above, as an edge."""

HASTE = 3
"""Detail keeps (1 - strength) to this power of the photo's, colours (1 - strength)."""

STRIP = 512
"""Rows that are worked on at once; even, because `blend` halves the size."""


def finish(
    photo: np.ndarray,
    anime: np.ndarray,
    *,
    strength: float = 1.0,
    keep_color: bool = False,
    match_brightness: bool = False,
) -> np.ndarray:
    """Takes a picture from what the network made of it to what was asked for.

    Args:
        photo: (height, width, 3) RGB, of a type of `pictures.WHITE`.
        anime: The network's picture in the same size, of a type of `pictures.WHITE`, perhaps
            another; it may be overwritten.
        strength: From 0, the photo, to 1, all of the style; see `blend`.
        keep_color: Whether the photo's chroma is kept; see `with_color_of`.
        match_brightness: Whether the result gets the photo's mean luma.

    Returns:
        The picture in the type of `anime`: `anime` itself where nothing is asked for.

    Raises:
        ValueError: The sizes differ.
    """
    if photo.shape != anime.shape:
        raise ValueError(
            f"a photo and its result must have one shape, received {photo.shape} and {anime.shape}"
        )
    if strength == 0:
        return pictures.as_type(photo, anime.dtype)
    if match_brightness:
        gain = pictures.brightness_gain(photo, anime)
        for rows in _strips(len(anime)):
            anime[rows] = pictures.scaled(anime[rows], gain)
    if strength == 1 and not keep_color:
        return anime
    out = np.empty_like(anime)
    for rows in _strips(len(anime)):
        halo = 0 if strength == 1 else REACH
        first, last = max(0, rows.start - halo), min(len(anime), rows.stop + halo)
        near = slice(first, last)
        before = pictures.as_type(photo[near], np.float32)
        after = pictures.as_type(anime[near], np.float32)
        if keep_color:
            after = with_color_of(before, after)
        if strength < 1:
            after = blend(before, after, strength)
        out[rows] = pictures.as_type(after[rows.start - first : rows.stop - first], anime.dtype)
    return out


def with_color_of(photo: np.ndarray, anime: np.ndarray) -> np.ndarray:
    """Luma of one picture, chroma of another.

    With luma Y of ITU-R BT.601 and the chroma (R - Y, G - Y, B - Y), which is Cb and Cr before
    they are scaled: ``Y(anime) + k * (photo - Y(photo))``. k is 1 where that is a colour from black
    to white, else as large as it may be: luma and hue stay, saturation gives way. So black lines
    stay black, and nothing is clipped.

    Args:
        photo: (height, width, 3) RGB float32 in 0..1.
        anime: The same.

    Returns:
        The same, new.
    """
    weights = np.array([pictures.LUMA_WEIGHTS], np.float32)
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
    """A picture between a photo and its result, with the lines of one picture, not of two.

    A mean of the two pixel by pixel would show the photo's texture through flat areas, and lines
    twice where the network has moved them. Here the difference is taken apart by the guided
    filter, with the result as the guide:

        base = a * anime + b, a and b fitted to photo - anime in windows of `RADIUS`
        detail = photo - anime - base

    The base is what can be said of the photo by recolouring the drawing: it has the drawing's edges
    and no others. The detail is the rest: the photo's texture, and what cancels the drawn lines.
    Of the base 1 - strength is added to the result, of the detail (1 - strength)^3: colours and
    light move evenly, while texture goes and lines come early.

    Args:
        photo: (height, width, 3) float32 in 0..1.
        anime: The same.
        strength: 0..1; at 0 the photo, at 1 the result, but for rounding.

    Returns:
        The same, new; at strong edges it may leave 0..1 a little.

    Reference:
        He, Sun, Tang, "Guided Image Filtering", 2013, section 3; at half the size as He and Sun,
        "Fast Guided Filter", 2015.
    """
    height, width = anime.shape[:2]
    odd = (0, height % 2, 0, width % 2)
    # At half the size of whole pairs of pixels: sizes that are odd would shift the grid.
    half = (width // 2 + odd[3], height // 2 + odd[1])
    even = [
        cv2.copyMakeBorder(x, *odd, cv2.BORDER_REPLICATE) if any(odd) else x for x in (photo, anime)
    ]
    small_photo, guide = (cv2.resize(x, half, interpolation=cv2.INTER_AREA) for x in even)
    difference = small_photo - guide
    mean_guide, mean_difference = _box(guide), _box(difference)
    covariance = _box(guide * difference) - mean_guide * mean_difference
    a = covariance / (_box(guide * guide) - mean_guide * mean_guide + np.float32(VARIANCE))
    b = mean_difference - a * mean_guide
    # anime + (1 - s) base + w detail, as (1 - w + c a) anime + w photo + c b.
    weight = (1 - strength) ** HASTE
    share = 1 - strength - weight
    slope = cv2.resize(_box(a) * np.float32(share) + np.float32(1 - weight), None, fx=2, fy=2)
    offset = cv2.resize(_box(b) * np.float32(share), None, fx=2, fy=2)
    out = slope[:height, :width] * anime
    out += offset[:height, :width]
    return cv2.scaleAdd(photo, weight, out).reshape(anime.shape)


def _box(array: np.ndarray) -> np.ndarray:
    """Means over windows, at half the size; reflected at the borders."""
    side = RADIUS // 2 * 2 + 1
    return cv2.blur(array, (side, side), borderType=cv2.BORDER_REFLECT)


def _strips(height: int) -> list[slice]:
    """Rows in strips that begin at even rows."""
    return [slice(top, min(top + STRIP, height)) for top in range(0, height, STRIP)]
