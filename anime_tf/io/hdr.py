"""Tone mapping of HDR pictures and videos, HLG and PQ of ITU-R BT.2100, to BT.709.

1. The code values become display light in cd/m²: PQ by its EOTF; HLG by its inverse OETF and its
   OOTF with a gamma of 1.2 for a display of 1000 cd/m².
2. The EETF of ITU-R BT.2390-11 (5.4.1) compresses 0..1000 cd/m² to 0..203 cd/m², the diffuse white
   of ITU-R BT.2408. It is applied to the largest of the three channels; the others follow in
   proportion. Light up to 93 cd/m² stays as it is, and diffuse white becomes 79 % of white.
3. Linear light is converted to the primaries of BT.709; colors outside of it are clipped.
4. The inverse of the EOTF of BT.1886 (gamma 2.4) gives the 8-bit values.
"""

from __future__ import annotations

import functools
from typing import Any

import cv2
import numpy as np

PQ, HLG = 16, 18  # transfer characteristics of ITU-T H.273
PEAK, WHITE = 1000.0, 203.0  # cd/m²; brighter light is white

# Linear RGB with white D65 to that of BT.709, by the number of the primaries in H.273.
_BT2020, _DISPLAY_P3 = 9, 12
_TO_BT709 = {
    _BT2020: np.array(
        [[1.66049, -0.58764, -0.07285], [-0.12455, 1.1329, -0.00835], [-0.01815, -0.10058, 1.11873]]
    ),
    _DISPLAY_P3: np.array(
        [[1.22494, -0.22494, 0], [-0.04206, 1.04206, 0], [-0.01964, -0.07864, 1.09827]]
    ),
}
_LUMINANCE = np.array([[0.2627, 0.678, 0.0593]])  # of BT.2020

_M1, _M2, _C1, _C2, _C3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
_HLG_A, _HLG_B, _HLG_C = 0.17883277, 0.28466892, 0.55991073


def pq_to_light(code: np.ndarray) -> np.ndarray:
    """Return light in cd/m² for PQ values in 0..1 (the EOTF of SMPTE ST 2084)."""
    power = code ** (1 / _M2)
    return 10_000 * (np.maximum(power - _C1, 0) / (_C2 - _C3 * power)) ** (1 / _M1)


def light_to_pq(light: Any) -> Any:
    """Return PQ values in 0..1 for light in cd/m²."""
    power = (light / 10_000) ** _M1
    return ((_C1 + _C2 * power) / (1 + _C3 * power)) ** _M2


def hlg_to_scene(code: np.ndarray) -> np.ndarray:
    """Return scene light in 0..1 for HLG values in 0..1 (the inverse OETF)."""
    high = (np.exp((code - _HLG_C) / _HLG_A) + _HLG_B) / 12
    return np.where(code <= 0.5, code**2 / 3, high)


def compress(light: np.ndarray) -> np.ndarray:
    """Apply the EETF of BT.2390: light in cd/m², 0..`PEAK` to 0..`WHITE`."""
    peak = light_to_pq(PEAK)
    code, top = light_to_pq(np.minimum(light, PEAK)) / peak, light_to_pq(WHITE) / peak
    knee = 1.5 * top - 0.5
    t = (code - knee) / (1 - knee)
    spline = (
        (2 * t**3 - 3 * t**2 + 1) * knee
        + (t**3 - 2 * t**2 + t) * (1 - knee)
        + (3 * t**2 - 2 * t**3) * top
    )
    return pq_to_light(peak * np.where(code < knee, code, spline))


def tone_map(rgb_u16: np.ndarray, transfer: int, primaries: int) -> np.ndarray:
    """Tone-map a picture or frame.

    Args:
        rgb_u16: (height, width, 3) uint16, full range.
        transfer: `PQ` or `HLG`.
        primaries: Number of H.273; unknown ones are taken as BT.2020, which both are used with.

    Returns:
        (height, width, 3) uint8 in BT.709.
    """
    to_light, gain, to_code = _tables(transfer)
    light = to_light[rgb_u16]  # 1 is PEAK
    if transfer == HLG:
        light *= cv2.pow(cv2.transform(light, _LUMINANCE), 0.2)[..., None]
    largest = np.maximum.reduce(cv2.split(light))
    light *= (gain[_root_index(np.minimum(largest, 1))] / np.maximum(largest, 1))[..., None]
    if primaries != 1:
        light = cv2.transform(light, _TO_BT709.get(primaries, _TO_BT709[_BT2020]))
    return to_code[_root_index(np.clip(light, 0, 1))]


def _root_index(values: np.ndarray) -> np.ndarray:
    """Return indices into tables that are as fine in the shadows as the eye."""
    return np.rint(cv2.sqrt(cv2.sqrt(values)) * 65_535).astype(np.uint16).reshape(values.shape)


@functools.cache
def _tables(transfer: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return code -> light / PEAK, root of light / PEAK -> gain to light / WHITE, root -> uint8."""
    steps = np.arange(65_536) / 65_535
    to_light = pq_to_light(steps) / PEAK if transfer == PQ else hlg_to_scene(steps)
    roots = np.maximum(steps, 1 / 65_535) ** 4
    gain = compress(PEAK * roots) / WHITE / roots
    to_code = np.rint(255 * steps ** (4 / 2.4)).astype(np.uint8)
    return to_light.astype(np.float32), gain.astype(np.float32), to_code
