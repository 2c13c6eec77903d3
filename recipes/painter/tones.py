"""Exposure, lifted shadows, and stairs of tones."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numba
import numpy as np

from anime_tf.io.color import LUMA_WEIGHTS
from recipes.painter.color import from_oklab, step, to_oklab
from recipes.painter.structure import gauss

F32 = np.float32

_LUMA = np.array(LUMA_WEIGHTS, F32)


def exposed(photo: np.ndarray) -> np.ndarray:
    """Brighten a dark photo and darken a pale one, as the layer `Exposure` of the networks does.

    x + k x (1 - x), twice; k follows from the mean luma alone: `anime_tf.models.live.Exposure`.

    Args:
        photo: RGB, float32 (h, w, 3) in [0, 1].
    """
    mean = float((photo @ _LUMA).mean())
    wanted = min(max(mean, 0.42), 0.62)
    amount = (wanted - mean) / max(2 * mean * (1 - mean), 1e-3)
    amount = F32(min(max(amount, -0.4), 0.6))
    for _ in range(2):
        photo = photo + amount * photo * (1 - photo)
    return photo


def guided_base(plane: np.ndarray, radius: int, epsilon: float) -> np.ndarray:
    """Smooth a plane and keep its borders: the guided filter, guided by the plane itself.

    Reference: He, Sun, Tang, "Guided Image Filtering", ECCV 2010.
    """
    size = (2 * radius + 1, 2 * radius + 1)
    mean = cv2.blur(plane, size)
    variance = cv2.blur(plane * plane, size) - mean * mean
    slope = variance / (variance + epsilon)
    return cv2.blur(slope, size) * plane + cv2.blur((1 - slope) * mean, size)


def lift_shadows(photo: np.ndarray, lift: float) -> np.ndarray:
    """Lift shadows before anything is flattened, so that dark things keep their forms.

    B is L's guided base; L' = B + u + (L - B)(1.2 + 1.5 u) with u = 1.6 lift B (1 - B)^2.2.
    Chroma grows with L'/L (clipped to 0.85 .. 1.5) to the power 0.7.
    """
    lab = to_oklab(np.ascontiguousarray(photo, F32))
    lightness = np.clip(lab[..., 0], 0, 1)
    base = np.clip(guided_base(lightness, 20, 0.004), 0, 1)
    up = F32(1.6 * lift) * base * (1 - base) ** F32(2.2)
    lifted = np.clip(base + up + (lightness - base) * (1.2 + 1.5 * up), 0, 1)
    ratio = np.clip(lifted / np.maximum(lightness, F32(0.05)), 0.85, 1.5) ** F32(0.7)
    lab[..., 1:] *= ratio[..., None]
    lab[..., 0] = lifted
    return from_oklab(lab)


@numba.vectorize(["float32(float32, float32, float32)"], cache=True)
def stairs(value: float, height: float, sharpness: float) -> float:
    """Round to multiples of `height`, softly: a tread is flat, a riser is a tanh half-way.

    With u = value / height and j = u - floor(u) - 1/2:
    height (floor(u) + 1/2 + tanh(sharpness j) / (2 tanh(sharpness / 2))).
    """
    u = value / height
    low = np.floor(u)
    j = u - low - F32(0.5)
    riser = np.tanh(sharpness * j) / np.tanh(F32(0.5) * sharpness)
    return height * (low + F32(0.5) + F32(0.5) * riser)


def supersampled(function: Callable[[np.ndarray], np.ndarray], plane: np.ndarray) -> np.ndarray:
    """Evaluate a pointwise function at twice the resolution: antialiased borders of tones."""
    height, width = plane.shape
    large = cv2.resize(plane, (2 * width, 2 * height), interpolation=cv2.INTER_CUBIC)
    return cv2.resize(function(large), (width, height), interpolation=cv2.INTER_AREA)


def _local_mean(plane: np.ndarray, mask: np.ndarray, sigma: float) -> np.ndarray:
    return gauss(mask * plane, sigma) / gauss(mask, sigma)


def sky_tones(lightness: np.ndarray, sky: np.ndarray) -> np.ndarray:
    """Give clouds crisp tones and leave the sky its gradient.

    B is the region's own mean over 40 px, L' = L + 0.8 m (B + stairs(L - B) - L): no halo can come
    from outside of the region.
    """
    mask = sky + F32(1e-4)
    base = _local_mean(lightness, mask, 40.0)
    tread = supersampled(lambda d: stairs(d, 0.06, 7.0), gauss(lightness, 0.7) - base)
    return lightness + 0.8 * sky * (base + tread - lightness)


def skin_planes(lightness: np.ndarray, skin: np.ndarray, height: float, mix: float) -> np.ndarray:
    """Paint skin in two or three planes of light; its finer features ride on top unchanged.

    S and B are the region's own means over 3.5 and 60 px:
    L' = L + mix m (B + stairs(S - B) - S).
    """
    mask = skin + F32(1e-4)
    shading, base = _local_mean(lightness, mask, 3.5), _local_mean(lightness, mask, 60.0)
    offset = 0.35 * height
    tread = supersampled(lambda d: stairs(d, height, 11.0), shading - base + offset) - offset
    return lightness + mix * skin * (base + tread - shading)


def bloom(picture: np.ndarray, amount: float, skin: np.ndarray) -> np.ndarray:
    """Let lights above 0.78 glow: screen with 0.6 G_14 + 0.4 G_4.7 of them, 20 % on skin."""
    light = step(picture.max(axis=2), 0.78, 1.0) * (1 - 0.8 * skin)
    lights = picture * light[..., None]
    glow = 0.6 * gauss(lights, 14.0) + 0.4 * gauss(lights, 4.7)
    return 1 - (1 - picture) * (1 - amount * glow)


def even_hues(lab: np.ndarray, skin: np.ndarray) -> np.ndarray:
    """Give each plane of the skin one hue: 80 % of a bilateral filter of 13 px on a and b."""
    evened = lab.copy()
    smooth = cv2.bilateralFilter(lab, 13, 0.06, 5.0)
    evened[..., 1:] += 0.8 * skin[..., None] * (smooth[..., 1:] - lab[..., 1:])
    return evened
