"""One picture: range, colour, alpha, orientation, padding, decoding and encoding.

Everything that can be got wrong between a file and a network is decided here and nowhere else:

* RGB inside; OpenCV's BGR order exists only within `decode_picture` and `encode_picture`.
* ``*_u8`` is uint8 in 0..255, ``*_pm1`` is float32 in [-1, 1]; sizes are (height, width).
* Alpha travels beside the colours, never multiplied into them.
* A picture lies the way a viewer shows it: EXIF orientation is applied while reading, and nothing
  that is written carries one.
"""

from __future__ import annotations

import os
import re
import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anime_tf.io.atomic import write_bytes

MAX_PIXELS = 1 << 28
"""Pictures with more pixels than this (268 million; 0.8 GB of RGB) are refused before decoding."""

WRITABLE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
"""Suffixes, in lower case, that `encode_picture` knows."""

ALPHA_SUFFIXES = (".png", ".bmp", ".webp", ".tif", ".tiff")
"""Those of `WRITABLE_SUFFIXES` whose files keep an alpha plane."""

DEEP_SUFFIXES = (".png", ".tif", ".tiff")
"""Those of `WRITABLE_SUFFIXES` whose files can hold 16 bits a value."""

LUMA_WEIGHTS = (0.299, 0.587, 0.114)
"""Weights of R, G and B in luma (ITU-R BT.601), as in the original implementation."""


class UnknownPictureError(ValueError):
    """A file that is no picture of a kind that is read."""


class TooManyPixelsError(ValueError):
    """A picture that is larger than what is read; told from its header, before it is decoded."""


Padding = tuple[int, int, int, int]
"""Rows and columns added to a picture: (top, bottom, left, right)."""


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture: its colours, and its transparency where it has any.

    Attributes:
        rgb_u8: Colours, (height, width, 3) uint8 in 0..255, R first, not multiplied by alpha.
        alpha_u8: Opacity, (height, width) uint8, 255 where opaque; None for an opaque picture.
    """

    rgb_u8: np.ndarray
    alpha_u8: np.ndarray | None = None

    def __post_init__(self) -> None:
        """Checks shapes and types, so that a wrong array fails where it is made."""
        rgb, alpha = self.rgb_u8, self.alpha_u8
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(
                f"rgb_u8 must be a uint8 array (height, width, 3), got {rgb.dtype} {rgb.shape}"
            )
        if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != rgb.shape[:2]):
            raise ValueError(
                f"alpha_u8 must be a uint8 array {rgb.shape[:2]} beside rgb_u8 {rgb.shape}, "
                f"got {alpha.dtype} {alpha.shape}"
            )

    @property
    def size_hw(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return self.rgb_u8.shape[0], self.rgb_u8.shape[1]

    @property
    def array_u8(self) -> np.ndarray:
        """The picture as one uint8 array: (height, width, 4) RGBA with alpha, else `rgb_u8`."""
        if self.alpha_u8 is None:
            return self.rgb_u8
        return np.dstack([self.rgb_u8, self.alpha_u8])


def as_picture(picture_u8: Picture | np.ndarray) -> Picture:
    """Wraps an array as a `Picture`.

    Args:
        picture_u8: A `Picture` (returned as it is), or a uint8 array: (height, width) gray,
            (height, width, 3) RGB or (height, width, 4) RGBA.

    Returns:
        The picture.

    Raises:
        ValueError: The array has another type or shape.
    """
    if isinstance(picture_u8, Picture):
        return picture_u8
    if picture_u8.dtype == np.uint8 and picture_u8.ndim == 2:
        return Picture(np.repeat(picture_u8[..., None], 3, axis=2))
    if picture_u8.dtype == np.uint8 and picture_u8.ndim == 3 and picture_u8.shape[2] in (3, 4):
        return Picture(
            picture_u8[..., :3], picture_u8[..., 3] if picture_u8.shape[2] == 4 else None
        )
    raise ValueError(
        "a picture must be a uint8 array (height, width), (height, width, 3) or (height, width, 4),"
        f" got {picture_u8.dtype} {picture_u8.shape}"
    )


# --- reading ----------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Checked:
    """A file whose outer structure was found whole.

    Attributes:
        size_hw: Stored height and width, before orientation.
        orientation: EXIF orientation, 1..8.
        data: The bytes to decode.
        transparent_gray: The decoded gray value that means "transparent", or None.
    """

    size_hw: tuple[int, int]
    orientation: int
    data: bytes
    transparent_gray: int | None = None


def _exif_orientation(exif: bytes) -> int:
    """Orientation (tag 0x0112 of IFD0) in a block of EXIF; 1, upright, where there is none."""
    exif = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(exif[:4])
    if order is None:
        return 1
    try:
        (directory,) = struct.unpack_from(order + "I", exif, 4)
        (entries,) = struct.unpack_from(order + "H", exif, directory)
        for i in range(entries):
            tag, kind = struct.unpack_from(order + "HH", exif, directory + 2 + 12 * i)
            if tag == 0x0112 and kind == 3:
                (value,) = struct.unpack_from(order + "H", exif, directory + 10 + 12 * i)
                return value if 1 <= value <= 8 else 1
    except struct.error:
        # Cameras and editors leave cut EXIF blocks behind; the picture itself is still good.
        return 1
    return 1


def _oriented(plane: np.ndarray, orientation: int) -> np.ndarray:
    """Turns and mirrors (height, width, ...) so that EXIF `orientation` becomes 1."""
    if orientation >= 5:
        plane = plane.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        plane = plane[::-1]
    if orientation in (2, 3, 6, 7):
        plane = plane[:, ::-1]
    return np.ascontiguousarray(plane)


# In entropy-coded data 0xFF is followed by 0x00 (a stuffed byte) or by a restart marker.
_JPEG_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _check_jpeg(data: bytes) -> _Checked:
    """Walks the segments of a JPEG up to its end marker."""
    size_hw, orientation, at = None, 1, 2
    while True:
        while data[at : at + 2] == b"\xff\xff":  # fill bytes before a marker
            at += 1
        if len(data) < at + 2:
            raise ValueError("it ends before its end-of-image marker")
        if data[at] != 0xFF:
            raise ValueError(f"no marker where one must be, at byte {at}")
        marker = data[at + 1]
        if marker == 0xD9:
            break
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
            continue
        if len(data) < at + 4:
            raise ValueError("it ends before its end-of-image marker")
        length = int.from_bytes(data[at + 2 : at + 4], "big")
        if marker in _JPEG_FRAMES and len(data) >= at + 9:
            size_hw = struct.unpack_from(">HH", data, at + 5)
        elif marker == 0xE1 and data[at + 4 : at + 10] == b"Exif\0\0" and orientation == 1:
            orientation = _exif_orientation(data[at + 4 : at + 2 + length])
        at += 2 + length
        if marker == 0xDA:  # what follows a scan's header is entropy-coded
            found = _JPEG_NEXT_MARKER.search(data, at)
            if found is None:
                raise ValueError("it ends before its end-of-image marker")
            at = found.start()
    if size_hw is None:
        raise ValueError("it holds no frame header")
    return _Checked(size_hw, orientation, data)


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Yields (type, start, end) of each chunk of a PNG, up to and with IEND."""
    at = 8
    while True:
        if len(data) < at + 12:
            raise ValueError("it ends before its IEND chunk")
        length, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + length
        if len(data) < end:
            raise ValueError(f"it ends inside its {kind.decode('latin-1')} chunk")
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end


def _check_png(data: bytes) -> _Checked:
    """Walks the chunks of a PNG and keeps those that hold the picture.

    The others are dropped before libpng sees them: it prints a line on stderr for a colour profile
    that it does not like, and an animation's further frames are not wanted.
    """
    kept, orientation, transparent_gray = [data[:8]], 1, None
    size_hw, depth, colour = None, 8, 2
    for kind, start, end in _png_chunks(data):
        body = data[start + 8 : end - 4]
        if size_hw is None:
            if kind != b"IHDR" or len(body) != 13:
                raise ValueError("it does not begin with an IHDR chunk")
            width, height, depth, colour = struct.unpack_from(">IIBB", body)
            size_hw = (height, width)
        if kind == b"eXIf":
            orientation = _exif_orientation(body)
        if kind == b"tRNS" and colour == 0 and len(body) == 2:
            # OpenCV does not apply this one kind of transparency.
            transparent_gray = int.from_bytes(body, "big")
            if depth < 8:
                transparent_gray = transparent_gray * 255 // ((1 << depth) - 1)
            continue
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            if zlib.crc32(data[start + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                raise ValueError(f"the checksum of its {kind.decode()} chunk is wrong")
            kept.append(data[start:end])
    if size_hw is None:
        raise ValueError("it does not begin with an IHDR chunk")
    return _Checked(size_hw, orientation, b"".join(kept), transparent_gray)


def _check_webp(data: bytes) -> _Checked:
    """Walks the chunks of a WebP file."""
    end = 8 + int.from_bytes(data[4:8], "little")
    if len(data) < end:
        raise ValueError(f"it has {len(data)} of the {end} bytes that its header promises")
    size_hw, orientation, at = None, 1, 12
    while at + 8 <= end:
        kind, length = struct.unpack_from("<4sI", data, at)
        body = data[at + 8 : at + 8 + length]
        if size_hw is None and kind == b"VP8X" and len(body) >= 10:
            width = 1 + int.from_bytes(body[4:7], "little")
            size_hw = (1 + int.from_bytes(body[7:10], "little"), width)
        elif size_hw is None and kind == b"VP8 " and len(body) >= 10:
            width, height = struct.unpack_from("<HH", body, 6)
            size_hw = (height & 0x3FFF, width & 0x3FFF)
        elif size_hw is None and kind == b"VP8L" and len(body) >= 5:
            bits = int.from_bytes(body[1:5], "little")
            size_hw = (1 + (bits >> 14 & 0x3FFF), 1 + (bits & 0x3FFF))
        elif kind == b"EXIF":
            orientation = _exif_orientation(body)
        at += 8 + length + length % 2
    if size_hw is None:
        raise ValueError("it holds no picture chunk")
    return _Checked(size_hw, orientation, data)


def _check_bmp(data: bytes) -> _Checked:
    """Reads the size out of a BMP's header; OpenCV finds out itself when rows are missing."""
    if len(data) < 26:
        raise ValueError("it ends inside its header")
    if int.from_bytes(data[14:18], "little") == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    return _Checked((abs(height), width), 1, data)


def _check_gif(data: bytes) -> _Checked:
    """Walks the blocks of a GIF through its first frame, and drops the frames after it."""

    def after_sub_blocks(at: int) -> int:
        while at < len(data) and data[at]:
            at += 1 + data[at]
        return at + 1

    if len(data) < 13:
        raise ValueError("it ends inside its header")
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at = 13 + (3 << (flags & 7) + 1 if flags & 0x80 else 0)
    while at < len(data):
        if data[at] == 0x21:
            at = after_sub_blocks(at + 2)
        elif data[at] == 0x2C and at + 10 <= len(data):
            flags = data[at + 9]
            at = after_sub_blocks(at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
            if at > len(data):
                break
            return _Checked((height, width), 1, data[:at] + b";")
        else:
            raise ValueError(f"no block where one must be, at byte {at}")
    raise ValueError("it ends inside its first frame")


_TIFF_NUMBERS = {1: "B", 3: "H", 4: "I"}  # types of a field that are read: 1, 2 and 4 bytes


def _check_tiff(data: bytes) -> _Checked:
    """Reads size and colours out of a TIFF's first directory; libtiff finds what is missing."""
    order = "<" if data[:2] == b"II" else ">"
    fields: dict[int, int] = {}
    try:
        (directory,) = struct.unpack_from(order + "I", data, 4)
        (entries,) = struct.unpack_from(order + "H", data, directory)
        for i in range(entries):
            at = directory + 2 + 12 * i
            tag, kind, count = struct.unpack_from(order + "HHI", data, at)
            if kind in _TIFF_NUMBERS and count >= 1 and tag in (256, 257, 262):
                (fields[tag],) = struct.unpack_from(order + _TIFF_NUMBERS[kind], data, at + 8)
    except struct.error as error:
        raise ValueError("it ends inside its first directory") from error
    if 256 not in fields or 257 not in fields:
        raise ValueError("its first directory gives no size")
    if fields.get(262, 2) not in (0, 1, 2, 3, 6):
        raise ValueError(
            f"its colours are of kind {fields[262]}, expected gray, RGB, a palette or YCbCr"
        )
    # The orientation of a TIFF is applied by OpenCV.
    return _Checked((fields[257], fields[256]), 1, data)


# First bytes -> (name of the format, check of its structure).
_FORMATS: tuple[tuple[re.Pattern[bytes], str, Callable[[bytes], _Checked]], ...] = (
    (re.compile(rb"\xff\xd8\xff"), "JPEG", _check_jpeg),
    (re.compile(rb"\x89PNG\r\n\x1a\n"), "PNG", _check_png),
    (re.compile(rb"RIFF....WEBP", re.DOTALL), "WebP", _check_webp),
    (re.compile(rb"BM"), "BMP", _check_bmp),
    (re.compile(rb"GIF8[79]a"), "GIF", _check_gif),
    (re.compile(rb"II\*\0|MM\0\*"), "TIFF", _check_tiff),
)


def _eight_bits(array: np.ndarray) -> np.ndarray:
    """16-bit values to 8-bit ones, round(x / 257); 8-bit ones as they are."""
    if array.dtype == np.uint8:
        return array
    # A table, because the sum and the division would need 32 bits a value.
    table = ((np.arange(1 << 16, dtype=np.uint32) + 128) // 257).astype(np.uint8)
    return table[array]


def decode_picture(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decodes a picture file.

    Reads JPEG (gray, colour, CMYK in the inverted form in which all programs write it), PNG (gray,
    gray with alpha, RGB, RGBA, palette, up to 16 bits), BMP, WebP, the first page of a TIFF (gray,
    RGB, RGBA, palette, YCbCr, up to 16 bits), and the first frame of a GIF or of an animated PNG or
    WebP. EXIF orientation is applied; 16-bit values become round(value / 257). Colour profiles are
    not: values are taken as sRGB.

    Args:
        data: The whole file.
        name: What to call it in errors, usually its path.
        max_pixels: The largest height x width that is read.

    Returns:
        The picture, upright.

    Raises:
        UnknownPictureError: `data` is none of these formats.
        TooManyPixelsError: It has more than `max_pixels` pixels.
        ValueError: It is broken or cut off. All messages begin with `name`.
    """
    array_u8 = _eight_bits(decode_array(data, name, max_pixels=max_pixels))
    if array_u8.shape[2] == 3:
        return Picture(array_u8)
    return Picture(np.ascontiguousarray(array_u8[..., :3]), np.ascontiguousarray(array_u8[..., 3]))


def decode_array(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """`decode_picture` as an array that keeps the depth of the file.

    Args:
        data: The whole file.
        name: What to call it in errors, usually its path.
        max_pixels: The largest height x width that is read.

    Returns:
        (height, width, 3) RGB, or (height, width, 4) RGBA where the file has alpha: uint16 where
        its values have 16 bits, else uint8.

    Raises:
        UnknownPictureError: `data` is none of these formats.
        TooManyPixelsError: It has more than `max_pixels` pixels.
        ValueError: It is broken or cut off. All messages begin with `name`.
    """
    matching = [entry for entry in _FORMATS if entry[0].match(data)]
    if not matching:
        found = "an empty file" if not data else f"a file that begins with {data[:8].hex(' ')}"
        raise UnknownPictureError(
            f"{name}: expected a JPEG, PNG, BMP, WebP, TIFF or GIF picture, found {found}"
        )
    _, kind, check = matching[0]
    try:
        checked = check(data)
    except ValueError as error:
        raise ValueError(
            f"{name}: broken {kind} picture, {error}; copy or download it anew"
        ) from error
    height, width = checked.size_hw
    if height < 1 or width < 1:
        raise ValueError(f"{name}: broken {kind} picture, its size is given as {width}x{height}")
    if height * width > max_pixels:
        raise TooManyPixelsError(
            f"{name}: {kind} picture of {width}x{height} pixels, more than the {max_pixels} that "
            "are read; make it smaller first"
        )
    # The caller gets the reason as an exception; OpenCV's own lines about it would only be in the
    # way on stderr. Its log level is global, so this is set here, on use, and not on import.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        decoded = cv2.imdecode(np.frombuffer(checked.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"{name}: broken {kind} picture, {error.err}") from error
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise ValueError(
            f"{name}: broken {kind} picture, its pixels cannot be decoded; copy or download it anew"
        )
    alpha: np.ndarray | None = None
    if checked.transparent_gray is not None and decoded.ndim == 2:
        opaque = WHITE[decoded.dtype]
        alpha = np.where(decoded == checked.transparent_gray, 0, opaque).astype(decoded.dtype)
    if decoded.ndim == 2:
        rgb = cv2.cvtColor(decoded, cv2.COLOR_GRAY2RGB)
        array = rgb if alpha is None else np.dstack([rgb, alpha])
    elif decoded.shape[2] == 4:
        array = cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA)
    else:
        array = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    return _oriented(array, checked.orientation)


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Reads a picture file; see `decode_picture` for the formats.

    Args:
        path: The file.

    Returns:
        The picture, upright.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no picture, or a broken one.
    """
    return decode_picture(_bytes_of(path), str(path))


def read_array(path: str | os.PathLike[str]) -> np.ndarray:
    """Reads a picture file with the depth it has; see `decode_array`.

    Args:
        path: The file.

    Returns:
        (height, width, 3 or 4), uint8 or uint16.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no picture, or a broken one.
    """
    return decode_array(_bytes_of(path), str(path))


def _bytes_of(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such picture file; check the path") from error
    except IsADirectoryError as error:
        raise ValueError(f"{path}: expected a picture file, found a folder") from error


# --- writing ----------------------------------------------------------------------------------


def encode_picture(picture_u8: Picture | np.ndarray, suffix: str, *, quality: int = 95) -> bytes:
    """Encodes a picture as the bytes of a file.

    PNG, TIFF and BMP are lossless. JPEG is written without chroma subsampling, which would smear
    the thin coloured lines of drawings, and without alpha: it can hold none.

    Args:
        picture_u8: A `Picture`, or a uint8 array (height, width, 3) RGB or (height, width, 4)
            RGBA; for one of `DEEP_SUFFIXES` also a uint16 array.
        suffix: One of `WRITABLE_SUFFIXES`, in any case.
        quality: 1..100, of JPEG and WebP.

    Returns:
        The bytes of the file.

    Raises:
        ValueError: Another suffix or quality, or a picture too large for the format.
    """
    if isinstance(picture_u8, np.ndarray) and picture_u8.dtype == np.uint16:
        array = picture_u8
    else:
        array = as_picture(picture_u8).array_u8
    deep = array.dtype == np.uint16
    suffix = suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise ValueError(
            f"cannot write a picture as {suffix or 'a file without suffix'!r}; "
            f"use one of {', '.join(WRITABLE_SUFFIXES)}"
        )
    if not 1 <= quality <= 100:
        raise ValueError(f"quality must lie in 1..100, got {quality}")
    if deep and suffix not in DEEP_SUFFIXES:
        raise ValueError(
            f"a {suffix} picture holds 8 bits a value, this one has 16; write it as "
            f"{', '.join(DEEP_SUFFIXES)}, or with 8 bits"
        )
    options: list[int] = []
    if suffix in (".jpg", ".jpeg"):
        sampling = cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444
        options = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, sampling]
    elif suffix == ".webp":
        options = [cv2.IMWRITE_WEBP_QUALITY, quality]
    limit = {".jpg": 65500, ".jpeg": 65500, ".webp": 16383}.get(suffix)
    height, width = array.shape[:2]
    if limit is not None and max(height, width) > limit:
        raise ValueError(
            f"a {suffix} picture can have {limit} pixels a side, this one has {width}x{height}; "
            "write it as .png"
        )
    if array.shape[2] == 4 and suffix in ALPHA_SUFFIXES:
        bgr = cv2.cvtColor(array, cv2.COLOR_RGBA2BGRA)
    else:
        bgr = cv2.cvtColor(np.ascontiguousarray(array[..., :3]), cv2.COLOR_RGB2BGR)
    encoded, buffer = cv2.imencode(suffix, bgr, options)
    if not encoded:
        raise ValueError(f"OpenCV cannot encode a picture of {width}x{height} pixels as {suffix}")
    return buffer.tobytes()


def write_picture(
    path: str | os.PathLike[str], picture_u8: Picture | np.ndarray, *, quality: int = 95
) -> None:
    """Writes a picture file in the format of its suffix, whole or not at all.

    Args:
        path: The file, with one of `WRITABLE_SUFFIXES`; its folder must exist.
        picture_u8: As for `encode_picture`.
        quality: 1..100, of JPEG and WebP.

    Raises:
        ValueError: The picture cannot be encoded so; names `path`.
        OSError: The file cannot be written; names `path`.
    """
    try:
        data = encode_picture(picture_u8, Path(path).suffix, quality=quality)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    write_bytes(path, data, durable=False)


# --- range ------------------------------------------------------------------------------------


WHITE: dict[np.dtype[Any], int] = {
    np.dtype(np.uint8): 255,
    np.dtype(np.uint16): 65535,
    np.dtype(np.float32): 1,
}
"""Types that pictures come in, and what white is in each; black is 0."""


def to_pm1(picture: np.ndarray) -> np.ndarray:
    """Pixels to what networks see: ``x / 127.5 - 1`` for uint8, ``x / 32767.5 - 1`` for uint16.

    Args:
        picture: uint8 or uint16, any shape.

    Returns:
        float32 in [-1, 1], same shape.

    Raises:
        ValueError: Another type.
    """
    if picture.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"expected uint8 or uint16 pixels, got {picture.dtype}")
    picture_pm1 = picture.astype(np.float32)
    picture_pm1 /= WHITE[picture.dtype] / 2
    picture_pm1 -= 1
    return picture_pm1


def to_u8(picture_pm1: np.ndarray) -> np.ndarray:
    """What a network gives to uint8 pixels: ``round((y + 1) * 127.5)``, clipped.

    Args:
        picture_pm1: Floats, nominally in [-1, 1], any shape.

    Returns:
        uint8, same shape; `to_u8` of `to_pm1` of a picture is that picture.
    """
    return from_pm1(picture_pm1, np.uint8)


def from_pm1(picture_pm1: np.ndarray, dtype: Any) -> np.ndarray:
    """What a network gives to pixels: ``(y + 1) * white / 2``, clipped; integers are rounded.

    Args:
        picture_pm1: Floats, nominally in [-1, 1], any shape.
        dtype: One of `WHITE`.

    Returns:
        The pixels, same shape.
    """
    dtype = np.dtype(dtype)
    white = WHITE[dtype]
    scaled_up = (np.asarray(picture_pm1, np.float32) + 1) * np.float32(white / 2)
    if dtype != np.float32:
        np.rint(scaled_up, out=scaled_up)
    return np.clip(scaled_up, 0, white, out=scaled_up).astype(dtype, copy=False)


def as_type(picture: np.ndarray, dtype: Any) -> np.ndarray:
    """Pixels in another type: white stays white, values are rounded to the nearest.

    Args:
        picture: Of a type of `WHITE`, any shape.
        dtype: One of `WHITE`.

    Returns:
        A new array of that type.
    """
    dtype = np.dtype(dtype)
    if picture.dtype == dtype:
        return picture.copy()
    if dtype == np.uint16 and picture.dtype == np.uint8:
        return picture.astype(np.uint16) * np.uint16(257)
    if dtype == np.uint8 and picture.dtype == np.uint16:
        return _eight_bits(picture)
    if dtype == np.float32:
        return picture.astype(np.float32) * np.float32(1 / WHITE[picture.dtype])
    # One pass that scales, rounds to even and clips.
    depth = cv2.CV_8U if dtype == np.uint8 else cv2.CV_16U
    levels = cv2.addWeighted(picture, WHITE[dtype], picture, 0, 0, dtype=depth)
    return levels.reshape(picture.shape)


def flatten_alpha(picture: Picture) -> np.ndarray:
    """Composite a picture on white.

    Returns:
        (height, width, 3) uint8 RGB; the colors themselves if the picture is opaque.
    """
    if picture.alpha_u8 is None:
        return picture.rgb_u8
    alpha = picture.alpha_u8[..., None].astype(np.uint16)
    mixed = picture.rgb_u8 * alpha + 255 * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


# --- size -------------------------------------------------------------------------------------


def resize(array_u8: np.ndarray, size_hw: tuple[int, int]) -> np.ndarray:
    """Resizes a plane or a picture; each plane by itself, so alpha must be apart or straight.

    An axis that shrinks is averaged over areas, which does not alias; one that grows is
    interpolated linearly.

    Args:
        array_u8: (height, width) or (height, width, 1 to 4), uint8 (float32 works as well).
        size_hw: Height and width wanted.

    Returns:
        The array at that size, same type and channels.

    Raises:
        ValueError: A side under 1.
    """
    if min(size_hw) < 1:
        raise ValueError(f"a size must be at least 1x1, got {size_hw}")
    height, width = array_u8.shape[:2]
    channels = array_u8.shape[2:]
    shrunk = (min(height, size_hw[0]), min(width, size_hw[1]))
    if shrunk != (height, width):
        array_u8 = cv2.resize(array_u8, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if shrunk != tuple(size_hw):
        array_u8 = cv2.resize(array_u8, tuple(size_hw)[::-1], interpolation=cv2.INTER_LINEAR)
    return array_u8.reshape(*size_hw, *channels)  # OpenCV drops a single channel


def limit_side(picture: Picture, max_side: int) -> Picture:
    """Shrinks a picture so that its longer side has at most `max_side` pixels.

    Args:
        picture: The picture.
        max_side: Pixels; 0 for no limit.

    Returns:
        The picture in its own proportions (no side under 1), or itself where it is small enough.

    Raises:
        ValueError: `max_side` is negative.
    """
    size_hw = _limited(picture.size_hw, max_side)
    if size_hw == picture.size_hw:
        return picture
    return as_picture(limit_array_side(picture.array_u8, max_side))


def limit_array_side(array: np.ndarray, max_side: int) -> np.ndarray:
    """`limit_side` for an array: RGB or RGBA of any depth.

    Colours count by their opacity where there is alpha: what is transparent, and seen by nobody,
    would otherwise come out as a fringe around what is opaque.

    Args:
        array: (height, width, 3 or 4) uint8 or uint16.
        max_side: Pixels; 0 for no limit.

    Returns:
        The array in its own proportions, or itself where it is small enough.

    Raises:
        ValueError: `max_side` is negative.
    """
    before_hw = (array.shape[0], array.shape[1])
    size_hw = _limited(before_hw, max_side)
    if size_hw == before_hw:
        return array
    plain = resize(array, size_hw)
    if array.shape[2] == 3 or array[..., 3].min() == WHITE[array.dtype]:
        return plain
    opacity = array[..., 3:].astype(np.float32)
    weighted = resize(array[..., :3] * opacity, size_hw)
    total = resize(opacity, size_hw)
    # Where all is transparent, the colours are as good as any.
    colours = np.where(total > 0, weighted / np.maximum(total, 1e-6), plain[..., :3])
    plain[..., :3] = np.rint(colours)
    return plain


def _limited(size_hw: tuple[int, int], max_side: int) -> tuple[int, int]:
    """A size in its own proportions, its longer side at most `max_side`; 0 for no limit."""
    if max_side < 0:
        raise ValueError(f"max_side must be 0 (no limit) or more, got {max_side}")
    height, width = size_hw
    if max_side == 0 or max(height, width) <= max_side:
        return size_hw
    scale = max_side / max(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def pad_to_multiple(
    array_nhwc: np.ndarray, multiple: int, minimum: int = 1
) -> tuple[np.ndarray, Padding]:
    """Reflects a batch at its lower and right edge until a network can take it.

    Args:
        array_nhwc: (n, height, width, channels), any type, height and width at least 1.
        multiple: Height and width become multiples of this.
        minimum: And at least this.

    Returns:
        The padded batch (the array itself where nothing is missing), and the padding that
        `crop_padding` takes off again.
    """
    height, width = array_nhwc.shape[1:3]

    def missing(side: int) -> int:
        return -(-max(side, minimum) // multiple) * multiple - side

    padding = (0, missing(height), 0, missing(width))
    if not any(padding):
        return array_nhwc, padding
    # numpy reflects again and again where the padding is longer than the picture.
    return np.pad(array_nhwc, ((0, 0), padding[:2], padding[2:], (0, 0)), "reflect"), padding


def crop_padding(array_nhwc: Any, padding: Padding) -> Any:
    """Takes the padding of `pad_to_multiple` off again.

    Args:
        array_nhwc: (n, height, width, channels), an array or a tensor.
        padding: What `pad_to_multiple` returned.

    Returns:
        The inner part, a view where the type allows.
    """
    top, bottom, left, right = padding
    height, width = array_nhwc.shape[1:3]
    return array_nhwc[:, top : height - bottom, left : width - right]


# --- colour -----------------------------------------------------------------------------------


def luma(rgb: np.ndarray) -> float:
    """Mean luma, 0.299 R + 0.587 G + 0.114 B, of a picture.

    Args:
        rgb: (..., 3), R first, any range.

    Returns:
        The mean, in the range of the picture.
    """
    return float(sum(w * rgb[..., i].mean() for i, w in enumerate(LUMA_WEIGHTS)))


def match_brightness(photo_u8: np.ndarray, stylised_u8: np.ndarray) -> np.ndarray:
    """Gives a stylised picture the mean luma of its photo, as the original implementation does.

    ``clip(stylised * luma(photo) / luma(stylised))``, truncated to uint8.

    Args:
        photo_u8: (height, width, 3) RGB uint8.
        stylised_u8: (height, width, 3) RGB uint8, of any size.

    Returns:
        uint8, the shape of `stylised_u8`; an all-black picture comes back as it is.

    Reference:
        AnimeGANv2, the brightness adjustment of its inference script.
    """
    return scaled(stylised_u8, brightness_gain(photo_u8, stylised_u8))


def brightness_gain(photo: np.ndarray, stylised: np.ndarray) -> float:
    """By how much a stylised picture is multiplied to have the mean luma of its photo.

    Args:
        photo: (height, width, 3) RGB, of a type of `WHITE`.
        stylised: The same, perhaps of another type.

    Returns:
        The quotient of the means; 1 for an all-black picture.
    """
    level = luma(stylised)
    if level == 0:
        return 1.0
    if photo.dtype == stylised.dtype:
        return luma(photo) / level
    return luma(photo) / WHITE[photo.dtype] / (level / WHITE[stylised.dtype])


def scaled(picture: np.ndarray, gain: float) -> np.ndarray:
    """A picture times a number, clipped at white; integers are truncated.

    Args:
        picture: Of a type of `WHITE`, any shape.
        gain: 0 or more.

    Returns:
        A new array of the same type and shape.
    """
    return np.clip(picture * gain, 0, WHITE[picture.dtype]).astype(picture.dtype)


def side_by_side(before: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Sets two pictures of one height side by side.

    Args:
        before: (height, width, 3 or 4) of a type of `WHITE`, on the left.
        after: (height, width, 3 or 4) of a type of `WHITE`, on the right.

    Returns:
        (height, sum of the widths, 3) of the type of `after`, or 4 channels where one of the two
        has alpha.

    Raises:
        ValueError: The heights differ.
    """
    if before.shape[0] != after.shape[0]:
        raise ValueError(
            f"pictures side by side must have one height, got {before.shape[0]} and "
            f"{after.shape[0]}; resize one of them"
        )
    pair = [as_type(before, after.dtype), after]
    if {before.shape[2], after.shape[2]} == {3, 4}:
        # What is opaque gets an alpha plane that says so.
        opaque = ((0, 0), (0, 0), (0, 1))
        white = WHITE[after.dtype]
        pair = [
            array if array.shape[2] == 4 else np.pad(array, opaque, constant_values=white)
            for array in pair
        ]
    return np.concatenate(pair, axis=1)


def stacked(rows: Sequence[np.ndarray]) -> np.ndarray:
    """Sets pictures below each other, as on a sheet; narrower ones are filled up with white.

    Args:
        rows: (height, width, 3) RGB uint8 each, at least one.

    Returns:
        (sum of the heights, largest width, 3) uint8.
    """
    width = max(row.shape[1] for row in rows)
    return np.concatenate(
        [
            np.pad(row, [(0, 0), (0, width - row.shape[1]), (0, 0)], constant_values=255)
            for row in rows
        ]
    )
