"""Picture files: decoding, encoding, and alpha.

* RGB inside; OpenCV's BGR order exists only in `decode_array` and `encode_picture`.
* Alpha is straight: colors are never multiplied by it.
* Pictures are upright: EXIF orientation is applied while reading and never written.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from anime_tf.io import containers
from anime_tf.io.atomic import write_bytes
from anime_tf.io.geometry import apply_orientation, limit_array_side
from anime_tf.io.pixels import WHITE, to_eight_bits

MAX_PIXELS = 1 << 28  # larger pictures (over 0.8 GB of RGB) are refused before decoding

WRITABLE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
ALPHA_SUFFIXES = (".png", ".bmp", ".webp", ".tif", ".tiff")
DEEP_SUFFIXES = (".png", ".tif", ".tiff")  # can hold 16 bits per channel


@dataclass(frozen=True, eq=False)
class Picture:
    """A decoded picture.

    Attributes:
        rgb_u8: Colors, (height, width, 3) uint8 in 0..255, R first, not multiplied by alpha.
        alpha_u8: Opacity, (height, width) uint8, 255 is opaque; None for an opaque picture.
    """

    rgb_u8: np.ndarray
    alpha_u8: np.ndarray | None = None

    def __post_init__(self) -> None:
        rgb, alpha = self.rgb_u8, self.alpha_u8
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or rgb.size == 0:
            raise ValueError(
                f"expected rgb_u8 as a uint8 array (height, width, 3), got {rgb.dtype} {rgb.shape}"
            )
        if alpha is not None and (alpha.dtype != np.uint8 or alpha.shape != rgb.shape[:2]):
            raise ValueError(
                f"expected alpha_u8 as a uint8 array {rgb.shape[:2]}, got {alpha.dtype} "
                f"{alpha.shape}"
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
    """Wrap a uint8 array as a `Picture`: (height, width) gray, or (height, width, 3 or 4).

    Raises:
        ValueError: The array has another dtype or shape.
    """
    if isinstance(picture_u8, Picture):
        return picture_u8
    shape = picture_u8.shape if picture_u8.dtype == np.uint8 else ()
    if len(shape) == 2:
        return Picture(np.repeat(picture_u8[..., None], 3, axis=2))
    if len(shape) == 3 and shape[2] in (3, 4):
        return Picture(picture_u8[..., :3], picture_u8[..., 3] if shape[2] == 4 else None)
    raise ValueError(
        "expected a picture as a uint8 array (height, width), (height, width, 3) or "
        f"(height, width, 4), got {picture_u8.dtype} {picture_u8.shape}"
    )


def limit_side(picture: Picture, max_side: int) -> Picture:
    """Shrink a picture so that its longer side has at most `max_side` pixels (0: no limit)."""
    if max_side == 0 or max(picture.size_hw) <= max_side:
        return picture
    return as_picture(limit_array_side(picture.array_u8, max_side))


def flatten_alpha(picture: Picture) -> np.ndarray:
    """Composite a picture on white; return RGB, `rgb_u8` itself if the picture is opaque."""
    if picture.alpha_u8 is None:
        return picture.rgb_u8
    alpha = picture.alpha_u8[..., None].astype(np.uint16)
    mixed = picture.rgb_u8 * alpha + 255 * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def decode_picture(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> Picture:
    """Decode a picture file.

    Reads JPEG (gray, color, inverted CMYK as all programs write it), PNG (gray, RGB, palette, with
    or without alpha, up to 16 bits), BMP, WebP, the first page of a TIFF (gray, RGB, RGBA, palette,
    YCbCr, up to 16 bits), and the first frame of a GIF or of an animated PNG or WebP. 16-bit values
    become round(value / 257). Color profiles are ignored.

    Args:
        data: The file.
        name: Its name in errors, usually the path.
        max_pixels: Largest height x width that is read.

    Returns:
        The picture, upright.

    Raises:
        UnknownPictureError: `data` is in none of these formats.
        TooManyPixelsError: It has more than `max_pixels` pixels.
        ValueError: It is damaged or truncated. All messages begin with `name`.
    """
    array_u8 = to_eight_bits(decode_array(data, name, max_pixels=max_pixels))
    if array_u8.shape[2] == 3:
        return Picture(array_u8)
    return Picture(np.ascontiguousarray(array_u8[..., :3]), np.ascontiguousarray(array_u8[..., 3]))


def decode_array(data: bytes, name: str, *, max_pixels: int = MAX_PIXELS) -> np.ndarray:
    """Decode a picture file at its own depth; see `decode_picture`.

    Returns:
        (height, width, 3) RGB, or (height, width, 4) RGBA if the file has alpha; uint16 if it has
        16 bits per channel, else uint8.
    """
    container = containers.parse(data, name, max_pixels)
    broken = f"{name}: broken {container.format_name} picture"
    # OpenCV's own lines on stderr would repeat the exception.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        decoded = cv2.imdecode(np.frombuffer(container.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(f"{broken}, {error.err}") from error
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"{broken}, its pixels cannot be decoded; copy or download it again")
    if decoded.ndim == 2:
        array = cv2.cvtColor(decoded, cv2.COLOR_GRAY2RGB)
        if container.transparent_gray is not None:
            opaque = WHITE[decoded.dtype]
            alpha = np.where(decoded == container.transparent_gray, 0, opaque)
            array = np.dstack([array, alpha.astype(decoded.dtype)])
    elif decoded.shape[2] == 4:
        array = cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGBA)
    else:
        array = cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB)
    return apply_orientation(array, container.orientation)


def read_picture(path: str | os.PathLike[str]) -> Picture:
    """Read a picture file, upright; see `decode_picture`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no picture, or a broken one.
    """
    return decode_picture(_read_bytes(path), str(path))


def read_array(path: str | os.PathLike[str]) -> np.ndarray:
    """Read a picture file at its own depth; see `decode_array` and `read_picture`."""
    return decode_array(_read_bytes(path), str(path))


def _read_bytes(path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path}: no such picture file; check the path") from error
    except IsADirectoryError as error:
        raise ValueError(f"{path}: expected a picture file, got a folder") from error


def encode_picture(picture_u8: Picture | np.ndarray, suffix: str, *, quality: int = 95) -> bytes:
    """Encode a picture as a file.

    PNG, TIFF and BMP are lossless. JPEG drops alpha, and is written without chroma subsampling,
    which would smear the thin colored lines of drawings.

    Args:
        picture_u8: A `Picture`, or a uint8 array (height, width, 3) RGB or (height, width, 4)
            RGBA; for `DEEP_SUFFIXES` also a uint16 array.
        suffix: One of `WRITABLE_SUFFIXES`, in any case.
        quality: 1..100, of JPEG and WebP.

    Raises:
        ValueError: Another suffix or quality, or a picture too large for the format.
    """
    if isinstance(picture_u8, np.ndarray) and picture_u8.dtype == np.uint16:
        array = picture_u8
    else:
        array = as_picture(picture_u8).array_u8
    suffix = suffix.lower()
    if suffix not in WRITABLE_SUFFIXES:
        raise ValueError(
            f"expected a picture format of {', '.join(WRITABLE_SUFFIXES)}, got "
            f"{suffix or 'no suffix'}"
        )
    if not 1 <= quality <= 100:
        raise ValueError(f"expected quality in 1..100, got {quality}")
    if array.dtype == np.uint16 and suffix not in DEEP_SUFFIXES:
        raise ValueError(
            f"expected a format with 16 bits per channel ({', '.join(DEEP_SUFFIXES)}), got {suffix}"
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
            f"expected at most {limit} pixels a side in {suffix}, got {width}x{height}; write .png"
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
    """Write a picture file atomically, in the format of its suffix; see `encode_picture`."""
    try:
        data = encode_picture(picture_u8, Path(path).suffix, quality=quality)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    # A lost picture is made again, and flushing takes longer than small pictures.
    write_bytes(path, data, durable=False)
