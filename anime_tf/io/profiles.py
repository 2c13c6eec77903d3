"""Conversion of pictures with other colors to sRGB: ICC profiles, and primaries with a curve.

littlecms converts 8 bits through Pillow. It has no 16-bit colors there, so profiles of a matrix and
three curves are computed in float32, and those of a table by interpolating a grid of its results.
"""

from __future__ import annotations

import functools
import io
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import product

import cv2
import numpy as np
from PIL import Image, ImageCms

from anime_tf.io.hdr import HLG, PQ, tone_map
from anime_tf.io.pixels import WHITE, as_type, to_eight_bits

# A conversion that moves no color further counts as the identity: sRGB by another name.
_SAME_LEVELS = 1
_GRID_STEP = 5  # in 8-bit levels, of the grid for 16 bits; divides 255
_CURVE_SIZE = 1 << 18  # entries of the table that encodes linear light
_BLOCK_ROWS = 64

_D65 = (0.3127, 0.3290)
_PRIMARIES = {  # ITU-T H.273: red, green, blue, white
    1: (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65),
    4: (0.670, 0.330, 0.210, 0.710, 0.140, 0.080, 0.310, 0.316),
    5: (0.640, 0.330, 0.290, 0.600, 0.150, 0.060, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    7: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
}
_SRGB_POINTS = _PRIMARIES[1]
# Pictures with the curve of a camera (BT.709) are shown with that of a display, sRGB.
_TRANSFERS = {4: 2.2, 5: 2.8, 8: 1.0, 17: 2.6}
_SRGB_CURVE = 0.0
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D50_XYZ = np.array([0.9642, 1, 0.8249])


class ProfileError(ValueError):
    """The profile is damaged, or not one of this picture's colors."""


@dataclass(frozen=True)
class Primaries:
    """Colors without a profile: chromaticities and a curve.

    Attributes:
        points: x and y of red, green, blue and white.
        gamma: Exponent that makes linear light; 0 for the curve of sRGB.
        hdr: Transfer function and primaries of an HDR picture by ITU-T H.273, or None.
    """

    points: tuple[float, ...] = _SRGB_POINTS
    gamma: float = _SRGB_CURVE
    hdr: tuple[int, int] | None = None

    @classmethod
    def from_cicp(cls, primaries: int, transfer: int) -> Primaries | None:
        """Return the colors of code points of ITU-T H.273; None for sRGB and unknown ones."""
        if transfer in (PQ, HLG):
            return cls(hdr=(transfer, primaries))
        colors = cls(_PRIMARIES.get(primaries, _SRGB_POINTS), _TRANSFERS.get(transfer, _SRGB_CURVE))
        return None if colors == cls() else colors

    @classmethod
    def calibrated(cls, gamma: float, points: Sequence[float]) -> Primaries | None:
        """Return the colors of a calibration; None if they are those of sRGB."""
        points = tuple(points) or _SRGB_POINTS
        # Writers declare the curve of sRGB as a gamma of 2.2, which is close to it.
        gamma = _SRGB_CURVE if abs(gamma - 2.2) < 0.05 else gamma
        is_srgb = np.allclose(points, _SRGB_POINTS, atol=0.002)
        if min(points) <= 0 or (is_srgb and gamma == _SRGB_CURVE):
            return None
        return cls(points, gamma)


Colors = bytes | Primaries  # an ICC profile, or primaries


@functools.cache
def srgb_profile() -> bytes:
    """Return the ICC profile that is written; always the same bytes."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    profile[24:36] = struct.pack(">6H", 2020, 1, 1, 0, 0, 0)  # its date would be today
    return bytes(profile)


def to_srgb(array: np.ndarray, colors: Colors) -> np.ndarray:
    """Convert colors to sRGB.

    Args:
        array: uint8 or uint16, (height, width) gray, (height, width, 3) RGB, or (height, width, 4)
            CMYK in which `WHITE` is full ink.
        colors: Its colors. A gray picture may have a profile of RGB.

    Returns:
        (height, width, 3) RGB of the same dtype.

    Raises:
        ProfileError: The profile is damaged or of another color space.
    """
    if isinstance(colors, Primaries) and colors.hdr is not None:
        return as_type(tone_map(as_type(_as_rgb(array), np.uint16), *colors.hdr), array.dtype)
    if isinstance(colors, Primaries):
        return _through_matrix(_as_rgb(array), *_primaries_matrix(colors))
    if colors == srgb_profile():
        return _as_rgb(array)
    space = profile_space(colors)
    if array.ndim == 2 and space == "RGB":
        array = _as_rgb(array)
    if array.ndim == 3 and space == "GRAY" and not np.ptp(array, axis=2).any():
        array = np.ascontiguousarray(array[..., 0])
    expected = "GRAY" if array.ndim == 2 else {3: "RGB", 4: "CMYK"}[array.shape[2]]
    if space != expected:
        raise ProfileError(f"it is for {space} colors, the picture has {expected}")
    convert = _conversion(colors, space)
    if convert is None:
        return array
    if array.dtype == np.uint8:
        return convert(array)
    if space == "CMYK":
        return convert(to_eight_bits(array)).astype(np.uint16) * np.uint16(257)
    try:
        parsed = _icc_matrix(colors) if space == "RGB" else None
    except (IndexError, ValueError, struct.error):  # odd curves, which littlecms may know
        parsed = None
    if parsed is not None and np.isfinite(parsed[0]).all():
        return _through_matrix(array, *parsed)
    return _through_grid(array, _grid(colors, space))


def lab_to_srgb(image: Image.Image) -> np.ndarray:
    """Convert an image of mode LAB to (height, width, 3) uint8 sRGB."""
    srgb = ImageCms.createProfile("sRGB")
    lab = ImageCms.createProfile("LAB")
    return np.asarray(ImageCms.profileToProfile(image, lab, srgb, outputMode="RGB"))


def _as_rgb(array: np.ndarray) -> np.ndarray:
    return np.repeat(array[..., None], 3, axis=2) if array.ndim == 2 else array


@functools.lru_cache(maxsize=16)
def profile_space(profile: bytes) -> str:
    """Return the color space of an ICC profile: RGB, GRAY, CMYK or another.

    Raises:
        ProfileError: It is damaged.
    """
    try:
        return ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space.strip()
    except Exception as error:  # damaged profiles raise anything
        raise ProfileError("it is damaged") from error


@functools.lru_cache(maxsize=16)
def _conversion(profile: bytes, space: str) -> Callable[[np.ndarray], np.ndarray] | None:
    """Return the conversion of 8 bits to RGB; None if it changes no color."""
    mode = {"GRAY": "L"}.get(space, space)
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), mode, "RGB")
    except Exception as error:  # damaged profiles raise anything
        raise ProfileError("it is damaged") from error

    def convert(array_u8: np.ndarray) -> np.ndarray:
        image = Image.fromarray(np.ascontiguousarray(array_u8), mode)
        converted = ImageCms.applyTransform(image, transform, inPlace=mode == "RGB") or image
        return np.asarray(converted)

    if space == "RGB":
        levels = np.arange(0, 256, 15, dtype=np.uint8)
        colors = np.array(list(product(levels, repeat=3)), np.uint8)[None]
        grays = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
        tested = np.concatenate([colors, grays], axis=1)
        if np.abs(convert(tested).astype(int) - tested).max() <= _SAME_LEVELS:
            return None
    return convert


# --- 16 bits, and primaries -------------------------------------------------------------------


def _through_matrix(array: np.ndarray, curves: np.ndarray, matrix: np.ndarray) -> np.ndarray:
    """Convert RGB by a curve per channel, (3, 65536) linear light, and a matrix to linear sRGB."""
    white = WHITE[array.dtype]
    curves = curves[:, :: 65535 // white]
    encode = (np.rint(_encode_srgb(np.linspace(0, 1, _CURVE_SIZE)) * white)).astype(array.dtype)
    result = np.empty_like(array)
    for top in range(0, len(array), _BLOCK_ROWS):
        block = array[top : top + _BLOCK_ROWS]
        linear = np.stack([curves[c][block[..., c]] for c in range(3)], axis=-1)
        linear = cv2.transform(linear, matrix.astype(np.float32)) * np.float32(_CURVE_SIZE - 1)
        index = np.rint(np.clip(linear, 0, _CURVE_SIZE - 1)).astype(np.int32)
        result[top : top + _BLOCK_ROWS] = encode[index]
    return result


def _encode_srgb(linear: np.ndarray) -> np.ndarray:
    return np.where(linear <= 0.0031308, linear * 12.92, 1.055 * linear ** (1 / 2.4) - 0.055)


def _decode_srgb(values: np.ndarray) -> np.ndarray:
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


@functools.lru_cache(maxsize=16)
def _primaries_matrix(colors: Primaries) -> tuple[np.ndarray, np.ndarray]:
    values = np.linspace(0, 1, 65536)
    curve = values**colors.gamma if colors.gamma else _decode_srgb(values)
    matrix = np.linalg.inv(_to_d50(_SRGB_POINTS)) @ _to_d50(colors.points)
    return np.tile(curve.astype(np.float32), (3, 1)), matrix


def _to_d50(points: Sequence[float]) -> np.ndarray:
    """Return the matrix from linear RGB to XYZ, adapted to D50 (Bradford)."""
    xy = np.reshape(points, (4, 2))
    xyz = np.column_stack([xy[:, 0], xy[:, 1], 1 - xy.sum(axis=1)]).T / xy[:, 1]
    primaries, white = xyz[:, :3], xyz[:, 3]
    matrix = primaries * np.linalg.solve(primaries, white)
    scale = np.diag((_BRADFORD @ _D50_XYZ) / (_BRADFORD @ white))
    return np.linalg.inv(_BRADFORD) @ scale @ _BRADFORD @ matrix


@functools.lru_cache(maxsize=16)
def _icc_matrix(profile: bytes) -> tuple[np.ndarray, np.ndarray] | None:
    """Return curves and matrix of a profile; None if it has a table instead."""
    count = int.from_bytes(profile[128:132], "big")
    tags = {}
    for i in range(min(count, 100)):
        name, start, length = struct.unpack_from(">4sII", profile, 132 + 12 * i)
        tags[name] = profile[start : start + length]
    names = [(color + b"XYZ", color + b"TRC") for color in (b"r", b"g", b"b")]
    if b"A2B0" in tags or not tags.keys() >= {name for pair in names for name in pair}:
        return None
    columns = [struct.unpack_from(">3i", tags[point], 8) for point, _ in names]
    matrix = np.linalg.inv(_to_d50(_SRGB_POINTS)) @ (np.array(columns).T / 65536)
    curves = np.stack([_icc_curve(tags[curve]) for _, curve in names])
    return curves.astype(np.float32), matrix


def _icc_curve(tag: bytes) -> np.ndarray:
    """Return linear light of 65536 values by a tag of type curv or para."""
    x = np.linspace(0, 1, 65536)
    if tag[:4] == b"curv":
        count = int.from_bytes(tag[8:12], "big")
        table = np.frombuffer(tag, ">u2", count, 12)
        if count == 0:
            return x
        if count == 1:
            return x ** (float(table[0]) / 256)
        return np.interp(x, np.linspace(0, 1, count), table / 65535)
    kind = int.from_bytes(tag[8:10], "big")
    g, a, b, c, d, e, f = (
        np.array((*struct.unpack_from(f">{(1, 3, 4, 5, 7)[kind]}i", tag, 12), *[0] * 6))[:7] / 65536
    )
    if kind == 0:
        return x**g
    power = np.maximum(a * x + b, 0) ** g
    if kind == 1:
        return np.where(a * x + b >= 0, power, 0)
    if kind == 2:
        return np.where(a * x + b >= 0, power + c, c)
    if kind == 3:
        return np.where(x >= d, power, c * x)
    return np.where(x >= d, power + e, c * x + f)


@functools.lru_cache(maxsize=4)
def _grid(profile: bytes, space: str) -> np.ndarray:
    """Return the sRGB of a grid of gray or RGB: (n, 3) or (n, n, n, 3) float32 in 0..1."""
    convert = _conversion(profile, space)
    if convert is None:
        raise ProfileError("it changes no color")
    levels = np.arange(0, 256, _GRID_STEP if space == "RGB" else 1, dtype=np.uint8)
    if space == "GRAY":
        return convert(levels[None])[0].astype(np.float32) / 255
    n = len(levels)
    colors = np.stack(np.meshgrid(levels, levels, levels, indexing="ij"), axis=-1)
    converted = convert(colors.reshape(n, n * n, 3)).reshape(n, n, n, 3)
    return converted.astype(np.float32) / 255


def _through_grid(array: np.ndarray, grid: np.ndarray) -> np.ndarray:
    """Convert gray or RGB by (tri)linear interpolation of a grid."""
    n, axes = len(grid), grid.ndim - 1
    result = np.empty((*array.shape[:2], 3), array.dtype)
    for top in range(0, len(array), _BLOCK_ROWS):
        block = array[top : top + _BLOCK_ROWS].reshape(-1, axes).astype(np.float32)
        place = block * np.float32((n - 1) / WHITE[array.dtype])
        low = np.minimum(place.astype(np.int32), n - 2)
        rest = place - low
        total = np.zeros((len(block), 3), np.float32)
        for corner in product((0, 1), repeat=axes):
            weight = np.prod(np.where(corner, rest, 1 - rest), axis=1)
            total += weight[:, None] * grid[tuple((low + corner).T)]
        pixels = np.rint(total * WHITE[array.dtype]).astype(array.dtype)
        result[top : top + _BLOCK_ROWS] = pixels.reshape(-1, array.shape[1], 3)
    return result
