"""OKLab and pointwise helpers.

Reference: B. Ottosson, "A perceptual color space for image processing", 2020.
"""

from __future__ import annotations

import math

import numba
import numpy as np

F32 = np.float32


@numba.njit(fastmath=True, cache=True, parallel=True)
def to_oklab(rgb: np.ndarray) -> np.ndarray:
    """Convert sRGB values (h, w, 3) in [0, 1] to OKLab, L in [0, 1]."""
    height, width, _ = rgb.shape
    lab = np.empty_like(rgb)
    for y in numba.prange(height):
        for x in range(width):
            r = _linear(rgb[y, x, 0])
            g = _linear(rgb[y, x, 1])
            b = _linear(rgb[y, x, 2])
            long = np.cbrt(F32(0.4122214708) * r + F32(0.5363325363) * g + F32(0.0514459929) * b)
            middle = np.cbrt(F32(0.2119034982) * r + F32(0.6806995451) * g + F32(0.1073969566) * b)
            short = np.cbrt(F32(0.0883024619) * r + F32(0.2817188376) * g + F32(0.6299787005) * b)
            lab[y, x, 0] = (
                F32(0.2104542553) * long + F32(0.7936177850) * middle - F32(0.0040720468) * short
            )
            lab[y, x, 1] = (
                F32(1.9779984951) * long - F32(2.4285922050) * middle + F32(0.4505937099) * short
            )
            lab[y, x, 2] = (
                F32(0.0259040371) * long + F32(0.7827717662) * middle - F32(0.8086757660) * short
            )
    return lab


@numba.njit(fastmath=True, cache=True, parallel=True)
def from_oklab(lab: np.ndarray) -> np.ndarray:
    """Convert OKLab (h, w, 3) to sRGB values, clipped to [0, 1]."""
    height, width, _ = lab.shape
    rgb = np.empty_like(lab)
    for y in numba.prange(height):
        for x in range(width):
            lightness, a, b = lab[y, x, 0], lab[y, x, 1], lab[y, x, 2]
            long = lightness + F32(0.3963377774) * a + F32(0.2158037573) * b
            middle = lightness - F32(0.1055613458) * a - F32(0.0638541728) * b
            short = lightness - F32(0.0894841775) * a - F32(1.2914855480) * b
            long, middle, short = (
                long * long * long,
                middle * middle * middle,
                short * short * short,
            )
            rgb[y, x, 0] = _coded(
                F32(4.0767416621) * long - F32(3.3077115913) * middle + F32(0.2309699292) * short
            )
            rgb[y, x, 1] = _coded(
                F32(-1.2684380046) * long + F32(2.6097574011) * middle - F32(0.3413193965) * short
            )
            rgb[y, x, 2] = _coded(
                F32(-0.0041960863) * long - F32(0.7034186147) * middle + F32(1.7076147010) * short
            )
    return rgb


@numba.njit(fastmath=True, cache=True)
def _linear(value: float) -> float:
    if value <= F32(0.04045):
        return max(value, F32(0.0)) / F32(12.92)
    return ((value + F32(0.055)) / F32(1.055)) ** F32(2.4)


@numba.njit(fastmath=True, cache=True)
def _coded(light: float) -> float:
    light = min(max(light, F32(0.0)), F32(1.0))
    if light <= F32(0.0031308):
        return F32(12.92) * light
    return F32(1.055) * light ** F32(1.0 / 2.4) - F32(0.055)


@numba.vectorize(["float32(float32, float32, float32)"], cache=True)
def step(value: float, low: float, high: float) -> float:
    """Compute the smooth step 3 t^2 - 2 t^3 of t = (value - low) / (high - low), clipped."""
    t = min(max((value - low) / (high - low), F32(0.0)), F32(1.0))
    return t * t * (F32(3.0) - F32(2.0) * t)


def hue_degrees(lab: np.ndarray) -> np.ndarray:
    """Compute the OKLab hue in [0, 360)."""
    return np.mod(np.arctan2(lab[..., 2], lab[..., 1]) * F32(180 / math.pi), F32(360))


def chroma(lab: np.ndarray) -> np.ndarray:
    """Compute the distance from gray in OKLab."""
    return np.hypot(lab[..., 1], lab[..., 2])


def lerp(start: np.ndarray, end: np.ndarray, share: np.ndarray | float) -> np.ndarray:
    """Move pictures or planes towards others by a share, a number or a plane."""
    if isinstance(share, np.ndarray) and share.ndim < start.ndim:
        share = share[..., None]
    return start + share * (end - start)
