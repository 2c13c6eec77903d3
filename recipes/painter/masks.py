"""Planes in [0, 1] that say where a photo shows skin, sky, foliage, or is out of focus.

None of them knows what it sees: they go by color, calm and place, and are wrong at times.
"""

from __future__ import annotations

import cv2
import numpy as np

from recipes.painter.color import chroma, hue_degrees, step
from recipes.painter.structure import energy, gauss, structure_tensor, tangents

F32 = np.float32


def skin_likeness(lab: np.ndarray) -> np.ndarray:
    """Compare each pixel with skin by its hue, chroma and lightness in OKLab.

    Hue 52 degrees, narrower on the side of wood and sand; chroma 0.07 +- 0.035; L above 0.3 to
    0.45. A photo that is full of such colors shows sand, wood or a sunset: the likeness fades.
    """
    hue, colorfulness = hue_degrees(lab), chroma(lab)
    width = np.where(hue > 52, F32(13), F32(17))
    likeness = np.exp(
        -0.5 * ((hue - 52) / width) ** 2 - 0.5 * ((colorfulness - 0.07) / 0.035) ** 2
    ) * step(lab[..., 0], 0.3, 0.45)
    likeness *= 1 - step(F32(likeness.mean()), 0.30, 0.50)
    # The grain of wood runs one way; the features of a face do not.
    tensor = structure_tensor(gauss(lab[..., 0], 0.7), 8.0)
    _, coherence = tangents(tensor)
    likeness *= 1 - 0.8 * step(energy(tensor), 0.012, 0.03) * step(coherence, 0.65, 0.85)
    return likeness.astype(F32)


def skin_mask(lab: np.ndarray) -> np.ndarray:
    """Find neighborhoods of skin: `skin_likeness` over 5 px."""
    return np.minimum(1, 1.5 * gauss(skin_likeness(lab), 5.0))


def face_mask(skin: np.ndarray) -> np.ndarray:
    """Widen the skin so that it covers eyes and mouths."""
    return np.minimum(1, 1.4 * gauss(skin, 12.0))


def sky_mask(lab: np.ndarray) -> np.ndarray:
    """Find sky and clouds: light, calm, blue, or pale beside calm blue.

    Blue: hue 243 +- 24 degrees. A region counts where it reaches the picture's top or holds more
    than an eighth of it: glass and painted walls do so less often.
    """
    lightness, colorfulness, hue = lab[..., 0], chroma(lab), hue_degrees(lab)
    blue = np.exp(-0.5 * ((hue - 243) / 24) ** 2) * step(colorfulness, 0.022, 0.045)
    pale = (1 - step(colorfulness, 0.025, 0.05)) * step(lightness, 0.80, 0.90)
    light = step(lightness, 0.43, 0.58)
    rough = energy(structure_tensor(gauss(lightness, 1.0), 1.0))
    calm = 1 - step(gauss(np.minimum(rough, F32(0.05)), 6.0), 0.006, 0.018)
    seed = (blue * light * calm).astype(F32)
    near, far = step(gauss(seed, 20.0), 0.03, 0.16), step(gauss(seed, 40.0), 0.03, 0.2)
    mask = np.maximum(blue * near, pale * calm * far) * light
    mask = step(gauss(mask.astype(F32), 1.2), 0.25, 0.7)
    return mask * _sky_regions(mask)


def _sky_regions(mask: np.ndarray) -> np.ndarray:
    height, width = mask.shape
    count, labels, stats, _ = cv2.connectedComponentsWithStats((mask > 0.1).astype(np.uint8))
    top, area = stats[:, cv2.CC_STAT_TOP], stats[:, cv2.CC_STAT_AREA]
    left, right = stats[:, cv2.CC_STAT_LEFT], stats[:, cv2.CC_STAT_WIDTH]
    right = left + right
    at_edge = (top <= 2) | (((left <= 2) | (right >= width - 2)) & (top < 0.4 * height))
    is_sky = at_edge | (area > height * width / 8)
    is_sky[0] = False
    kept = is_sky[labels].astype(F32) if count > 1 else np.zeros_like(mask)
    return gauss(kept, 1.0)


def flat_share(lightness: np.ndarray) -> np.ndarray:
    """Find flat ground within 5 px: between letters, windows and rails, not between leaves."""
    gradient = energy(structure_tensor(lightness, 0.5))
    return step(gauss(1 - step(gradient, 0.008, 0.03), 5.0), 0.22, 0.5)


def foliage_mask(lightness: np.ndarray, calm_lightness: np.ndarray) -> np.ndarray:
    """Find rough places whose borders run all ways and that have no flat ground between them.

    Args:
        lightness: L of the photo.
        calm_lightness: L after `paint.calm`.
    """
    tensor = structure_tensor(gauss(lightness, 0.8), 6.0)
    _, coherence = tangents(tensor)
    rough = step(energy(tensor), 0.012, 0.06) * (1 - step(coherence, 0.35, 0.75))
    return rough * (1 - flat_share(calm_lightness))


def detail_mask(lightness: np.ndarray) -> np.ndarray:
    """Find small things of strong contrast with flat ground between: crowds, lettering, rails."""
    gradient = energy(structure_tensor(lightness, 0.7))
    return step(gauss(step(gradient, 0.03, 0.08), 5.0), 0.18, 0.42) * flat_share(lightness)


def focus_mask(lightness: np.ndarray) -> np.ndarray:
    """Find what is in focus: the share of the lightness spanned in 15 px that one pixel takes.

    1 where hardly anything is spanned, since nothing there is out of focus either.
    """
    smooth = gauss(lightness, 0.8)
    kernel = np.ones((15, 15), np.uint8)
    span = cv2.dilate(smooth, kernel) - cv2.erode(smooth, kernel)
    steepest = cv2.dilate(energy(structure_tensor(smooth, 0.5)), kernel)
    blurred = (1 - step(steepest / np.maximum(span, 1e-3), 0.11, 0.20)) * step(span, 0.02, 0.05)
    return 1 - gauss(blurred, 5.0)
