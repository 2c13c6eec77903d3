"""Colors of a painted background, and ink, in OKLab."""

from __future__ import annotations

import numba
import numpy as np

from recipes.painter.style import Style

F32 = np.float32


@numba.njit(fastmath=True, cache=True)
def _step(value: float, low: float, high: float) -> float:
    t = min(max((value - low) / (high - low), 0.0), 1.0)
    return t * t * (3.0 - 2.0 * t)


@numba.njit(fastmath=True, cache=True)
def _near(hue: float, center: float, width: float) -> float:
    distance = (hue - center + 180.0) % 360.0 - 180.0
    return np.exp(-0.5 * (distance / width) ** 2)


def grade(lab: np.ndarray, sky: np.ndarray, skin: np.ndarray, style: Style) -> np.ndarray:
    """Grade the colors: contrast, vibrance, hues, split toning, whites.

    - S-curve with a raised black; deep sky darker, clouds lighter; skin lighter, its glare less.
    - Vibrance: dull colors gain most, greens and sky blues more, skin and darks less.
    - Hues: olive to green, cyan and violet skies to azure, green darks to teal, green lights to
      yellow; skin's shadows rosier.
    - Shadows towards blue violet, lights warmer, grays split, near-neutral lights to white.

    Args:
        lab: OKLab (h, w, 3).
        sky: From `masks.sky_mask`.
        skin: From `masks.skin_mask`.
        style: Its `black` to `skin_light` count here.
    """
    return _grade(
        lab,
        sky,
        skin,
        style.black,
        style.contrast,
        style.vibrance,
        style.cool_shadows,
        style.warm_lights,
        style.split,
        style.skin_light,
    )


@numba.njit(fastmath=True, cache=True, parallel=True)
def _grade(
    lab: np.ndarray,
    sky_plane: np.ndarray,
    skin_plane: np.ndarray,
    black: float,
    contrast: float,
    vibrance: float,
    cool_shadows: float,
    warm_lights: float,
    split: float,
    skin_light: float,
) -> np.ndarray:
    height, width, _ = lab.shape
    out = np.empty_like(lab)
    for y in numba.prange(height):
        for x in range(width):
            light = min(max(lab[y, x, 0], 0.0), 1.0)
            a, b = lab[y, x, 1], lab[y, x, 2]
            sky, skin = sky_plane[y, x], skin_plane[y, x]
            chroma = np.sqrt(a * a + b * b)
            hue = np.degrees(np.arctan2(b, a)) % 360.0

            curve = light + 0.25 * contrast * np.sin(2 * np.pi * (light - 0.5))
            new = black + (1 - black) * min(max(curve, 0.0), 1.0)
            cloud = (1 - _step(chroma, 0.02, 0.055)) * _step(light, 0.70, 0.86)
            deep = _step(chroma, 0.035, 0.11)
            new += sky * (0.05 * cloud - 0.07 * deep * _step(new, 0.6, 0.85))
            new += skin_light * skin * 4 * new * (1 - new)
            new -= skin * 0.4 * max(new - 0.80, 0.0)
            if new > 0.9:
                new = 0.9 + 0.1 * np.tanh((new - 0.9) / 0.1)

            gain = 1 + 0.35 * _near(hue, 140, 25) + 0.30 * _near(hue, 243, 25)
            gain -= 0.15 * _near(hue, 60, 22) + 0.35 * _near(hue, 90, 14)
            gain *= vibrance * (1 - 0.88 * skin) * (1 - 0.9 * sky * cloud)
            gain *= 0.35 + 0.65 * _step(light, 0.18, 0.48)
            color = chroma * (
                1 + gain * np.exp(-((chroma / 0.12) ** 2)) * _step(chroma, 0.008, 0.04)
            )
            color += 0.015 * sky * (1 - cloud) * (1 - _step(chroma, 0.06, 0.12))
            color *= 1 - 0.28 * skin * _step(chroma, 0.06, 0.12)
            color += 0.006 * skin * (1 - _step(chroma, 0.035, 0.075))
            skin_shadow = skin * (1 - _step(new, 0.45, 0.78))
            new += 0.05 * skin_shadow
            if color > 0.16:
                color = 0.16 + 0.12 * np.tanh((color - 0.16) / 0.12)
            new -= 0.07 * _near(hue, 24, 22) * _step(chroma, 0.11, 0.19) * _step(new, 0.45, 0.65)

            turn = 10 * _near(hue, 115, 14) * (1 - skin) - 8 * _near(hue, 262, 12)
            turn += 12 * _near(hue, 222, 12) * _step(chroma, 0.02, 0.05)
            azure = min(max(248 - hue, -30.0), 30.0)
            turn += 0.8 * sky * (1 - _step(chroma, 0.03, 0.08)) * azure
            turn += _near(hue, 135, 22) * 20 * (0.62 - new) - 7 * skin_shadow
            angle = np.radians(hue + turn)
            a, b = color * np.cos(angle), color * np.sin(angle)

            shadow = (1 - new) ** 1.6 * (1 - 0.7 * skin)
            a += 0.4 * cool_shadows * shadow
            b -= 1.3 * cool_shadows * shadow
            lit = _step(new, 0.6, 0.95) * _step(chroma, 0.02, 0.06) * (1 - sky) * (1 - 0.7 * skin)
            a += 0.3 * warm_lights * lit + 0.005 * skin
            b += warm_lights * lit
            gray = (1 - _step(chroma, 0.02, 0.06)) * (1 - sky) * (1 - skin)
            cream = 0.6 * _step(new, 0.62, 0.85)
            violet = _step(new, 0.22, 0.4) * (1 - _step(new, 0.45, 0.7))
            a += 0.15 * gray * split
            b += gray * split * (cream - violet)
            white = _step(new, 0.86, 0.96) * (1 - _step(chroma, 0.02, 0.05))
            out[y, x, 0] = new + 0.6 * white * (1 - new)
            out[y, x, 1] = a * (1 - 0.6 * white)
            out[y, x, 2] = b * (1 - 0.6 * white)
    return out


def draw_ink(
    lab: np.ndarray, lines: np.ndarray, sky: np.ndarray, skin: np.ndarray, style: Style
) -> np.ndarray:
    """Draw lines as a dark shade of the color below; hardly any in the sky, fewer on skin."""
    ink = style.ink * lines * (1 - (1 - style.ink_skin) * skin) * (1 - 0.9 * sky)
    inked = lab.copy()
    inked[..., 0] *= 1 - ink * (1 - style.ink_lightness)
    inked[..., 1:] *= (1 - 0.25 * ink)[..., None]
    return inked
