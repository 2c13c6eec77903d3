"""Picture files: decoding, encoding, and alpha.

* RGB inside; OpenCV's BGR order exists only in `decode_array` and `encode_picture`.
* Alpha is straight: colors are never multiplied by it.
* Pictures are upright: EXIF orientation is applied while reading and never written.
* Colors are sRGB: profiles are converted while reading, and sRGB is written as one.
"""

from __future__ import annotations

import io
import os
import struct
import threading
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from absl import logging
from PIL import Image, ImageFile
from PIL.JpegImagePlugin import JpegImageFile

from anime_tf.errors import first_line
from anime_tf.io import containers, kinds, marks, native_stderr, profiles
from anime_tf.io.atomic import write_bytes
from anime_tf.io.containers import Container
from anime_tf.io.geometry import apply_orientation, limit_array_side
from anime_tf.io.pixels import WHITE, to_eight_bits
from anime_tf.io.plain_file import MAX_PICTURE_BYTES, open_plain_file
from anime_tf.io.profiles import Colors

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


def flatten_alpha(
    picture: Picture, background: tuple[int, int, int] = (255, 255, 255)
) -> np.ndarray:
    """Composite a picture on a color; return RGB, `rgb_u8` itself if the picture is opaque."""
    if picture.alpha_u8 is None:
        return picture.rgb_u8
    alpha = picture.alpha_u8[..., None].astype(np.uint16)
    mixed = picture.rgb_u8 * alpha + np.array(background, np.uint16) * (255 - alpha)
    return ((mixed + 127) // 255).astype(np.uint8)


def decode_picture(
    data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, allow_truncated: bool = False
) -> Picture:
    """Decode a picture file to 8 bits; 16-bit values become round(value / 257).

    docs/formats.md lists the formats and variants. Damage that viewers tolerate is a warning that
    begins with `name`.

    Args:
        data: The file.
        name: Its name in messages, usually the path.
        max_pixels: Largest height x width that is read.
        allow_truncated: Decode a file that is cut in the middle; the rest is gray, black or
            transparent.

    Returns:
        The picture, upright, in sRGB.

    Raises:
        UnknownPictureError: `data` is in no supported format or variant.
        TooManyPixelsError: It has more than `max_pixels` pixels.
        ValueError: It is damaged or truncated. All messages begin with `name`.
    """
    array = decode_array(data, name, max_pixels=max_pixels, allow_truncated=allow_truncated)
    array_u8 = to_eight_bits(array)
    if array_u8.shape[2] == 3:
        return Picture(array_u8)
    return Picture(np.ascontiguousarray(array_u8[..., :3]), np.ascontiguousarray(array_u8[..., 3]))


def decode_array(
    data: bytes, name: str, *, max_pixels: int = MAX_PIXELS, allow_truncated: bool = False
) -> np.ndarray:
    """Decode a picture file at its own depth; see `decode_picture`.

    Returns:
        (height, width, 3) RGB, or (height, width, 4) RGBA if the file has alpha; uint16 if it has
        more than 8 bits per channel, else uint8.
    """
    container = containers.parse(data, name, max_pixels, allow_truncated=allow_truncated)
    for warning in container.warnings:
        logging.warning("%s: %s", name, warning)
    broken = f"{name}: broken {container.format_name} picture"
    messages: list[str] = []
    try:
        with native_stderr.captured() as messages:
            if container.image is None and not _is_profiled_cmyk(container):
                colors, alpha = _decode_with_opencv(container)
            else:
                colors, alpha = _decode_with_pillow(container)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises anything
        reason = f"its pixels cannot be decoded ({', '.join([first_line(error), *messages[:1]])})"
        raise ValueError(f"{broken}, {reason}; copy or download it again") from error
    if messages:
        logging.warning("%s: its decoder reports: %s", name, messages[0])
    rgb = _convert_colors(colors, container.colors, name)
    array = rgb if alpha is None else np.dstack([rgb, alpha])
    return apply_orientation(array, container.orientation)


def _decode_with_opencv(container: Container) -> tuple[np.ndarray, np.ndarray | None]:
    """Return gray (height, width) or RGB, and alpha."""
    # OpenCV's own lines on stderr would repeat the exception.
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        decoded = cv2.imdecode(np.frombuffer(container.data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        raise ValueError(error.err) from error
    if decoded is None or decoded.dtype not in (np.uint8, np.uint16):
        raise ValueError("OpenCV returns none")
    if decoded.ndim == 2:
        if container.is_inverted:
            return np.bitwise_not(decoded), None
        if container.transparent_gray is None:
            return decoded, None
        alpha = np.where(decoded == container.transparent_gray, 0, WHITE[decoded.dtype])
        return decoded, alpha.astype(decoded.dtype)
    if decoded.shape[2] == 3:
        return cv2.cvtColor(decoded, cv2.COLOR_BGR2RGB), None
    rgb, alpha = cv2.cvtColor(decoded, cv2.COLOR_BGRA2RGB), decoded[..., 3]
    if container.format_name != "TIFF":
        return rgb, alpha
    if container.has_premultiplied_alpha:
        rgb = _divide_by_alpha(rgb, alpha)
    # An unspecified fourth channel of zeros is padding.
    return rgb, alpha if alpha.any() else None


def _divide_by_alpha(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    white = WHITE[rgb.dtype]
    scale = np.float32(white) / np.maximum(alpha, 1).astype(np.float32)
    return np.rint(np.minimum(rgb * scale[..., None], white)).astype(rgb.dtype)


def _is_profiled_cmyk(container: Container) -> bool:
    """Tell whether a JPEG needs its inks, which OpenCV converts without the profile."""
    if container.channels != 4 or not isinstance(container.colors, bytes):
        return False
    try:
        return profiles.profile_space(container.colors) == "CMYK"
    except profiles.ProfileError:
        return False


# Pillow tolerates truncated files by a global switch.
_pillow_lock = threading.Lock()


def _decode_with_pillow(container: Container) -> tuple[np.ndarray, np.ndarray | None]:
    """Return colors and alpha of an image of Pillow or pi_heif; see `split_image`."""
    image = container.image or JpegImageFile(io.BytesIO(container.data))
    if container.is_truncated and isinstance(image, Image.Image):
        with _pillow_lock:
            previous, ImageFile.LOAD_TRUNCATED_IMAGES = ImageFile.LOAD_TRUNCATED_IMAGES, True
            try:
                image.load()
            finally:
                ImageFile.LOAD_TRUNCATED_IMAGES = previous
    if isinstance(image, Image.Image):
        return split_image(image)
    # Of pi_heif, in 8 or 16 bits; copied, because it frees the pixels together with the image.
    array = np.array(image)
    if array.ndim == 2:
        return array, None
    if array.shape[2] == 2:
        return array[..., 0], array[..., 1]
    if array.shape[2] == 3:
        return array, None
    rgb, alpha = array[..., :3], array[..., 3]
    return (_divide_by_alpha(rgb, alpha) if image.premultiplied_alpha else rgb), alpha


def split_image(image: Image.Image) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the pixels of Pillow's image as colors and alpha.

    Returns:
        Gray (height, width) uint8 or uint16, RGB or CMYK (height, width, 3 or 4) uint8; and
        (height, width) uint8, or None without transparency.

    Raises:
        ValueError: Its mode holds no colors of 8 or 16 bits.
    """
    mode = image.mode
    if mode.startswith("I;16"):
        array = np.asarray(image)
        return array.astype(np.uint16), None
    if mode == "CMYK":
        return np.asarray(image), None
    if mode == "LAB":
        return profiles.lab_to_srgb(image), None
    if mode == "I":
        values = np.asarray(image)
        if values.min() >= 0 and values.max() <= 65535:
            return values.astype(np.uint16), None
    if mode in ("F", "I"):
        raise ValueError(f"expected colors of 8 or 16 bits, got mode {mode}")
    if mode == "La":
        gray, alpha = np.moveaxis(np.asarray(image), 2, 0)
        return _divide_by_alpha(gray[..., None], alpha)[..., 0], alpha
    if mode == "RGBa":
        array = np.asarray(image)
        return _divide_by_alpha(array[..., :3], array[..., 3]), array[..., 3]
    if mode in ("LA", "PA", "RGBA") or "transparency" in image.info:
        rgba = np.asarray(image.convert("RGBA"))
        return rgba[..., :3], rgba[..., 3]
    if mode in ("1", "L"):
        return np.asarray(image.convert("L")), None
    return np.asarray(image.convert("RGB")), None


def _convert_colors(colors: np.ndarray, profile: Colors | None, name: str) -> np.ndarray:
    """Return sRGB of `split_image`'s colors; a profile that does not fit is ignored."""
    if profile is not None:
        try:
            return profiles.to_srgb(colors, profile)
        except profiles.ProfileError as error:
            logging.warning("%s: color profile ignored, %s", name, error)
    if colors.ndim == 2:
        return cv2.cvtColor(colors, cv2.COLOR_GRAY2RGB)
    if colors.shape[2] == 4:
        inks = 255 - colors.astype(np.uint16)
        return ((inks[..., :3] * inks[..., 3:] + 127) // 255).astype(np.uint8)
    return colors


def image_to_array(image: Image.Image) -> np.ndarray:
    """Convert an image of Pillow, as a file of its pixels, EXIF and profile would be read.

    Returns:
        (height, width, 3 or 4) uint8, or uint16 for 16-bit gray, upright, in sRGB.

    Raises:
        ValueError: Its mode holds no colors of 8 or 16 bits.
    """
    colors, alpha = split_image(image)
    rgb = _convert_colors(colors, image.info.get("icc_profile"), "picture")
    array = rgb if alpha is None else np.dstack([rgb, alpha])
    return apply_orientation(array, containers.exif_orientation(image.getexif().tobytes()))


def read_picture(path: str | os.PathLike[str], *, allow_truncated: bool = False) -> Picture:
    """Read a picture file, upright; see `decode_picture`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no picture, or a broken one.
    """
    return decode_picture(read_bytes(path), str(path), allow_truncated=allow_truncated)


def read_array(path: str | os.PathLike[str], *, allow_truncated: bool = False) -> np.ndarray:
    """Read a picture file at its own depth; see `decode_array` and `read_picture`."""
    return decode_array(read_bytes(path), str(path), allow_truncated=allow_truncated)


def read_bytes(path: str | os.PathLike[str]) -> bytes:
    """Read a picture file undecoded, its head before the rest; errors as of `read_picture`."""
    with open_plain_file(path, "a picture file", MAX_PICTURE_BYTES) as file:
        head = file.read(kinds.HEAD_BYTES)
        containers.check_head(head, str(path))
        return head + file.read(MAX_PICTURE_BYTES)


def encode_picture(
    picture_u8: Picture | np.ndarray, suffix: str, *, quality: int = 95, mark: bool = False
) -> bytes:
    """Encode a picture as a file.

    PNG, TIFF and BMP are lossless. JPEG drops alpha, and is written without chroma subsampling,
    which would smear the thin colored lines of drawings.

    Args:
        picture_u8: A `Picture`, or a uint8 array (height, width, 3) RGB or (height, width, 4)
            RGBA; for `DEEP_SUFFIXES` also a uint16 array.
        suffix: One of `WRITABLE_SUFFIXES`, in any case.
        quality: 1..100, of JPEG and WebP.
        mark: Name this program in the file; see `marks`.

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
    profile = np.frombuffer(profiles.srgb_profile(), np.uint8)
    if suffix in (".bmp", ".tif", ".tiff"):
        encoded, buffer = cv2.imencode(suffix, bgr, options)
    else:
        blocks = {cv2.IMAGE_METADATA_ICCP: profile}
        if mark:
            blocks[cv2.IMAGE_METADATA_EXIF] = marks.exif()
        encoded, buffer = cv2.imencodeWithMetadata(
            suffix, bgr, [*blocks], [*blocks.values()], options
        )
    if not encoded:
        raise ValueError(f"OpenCV cannot encode a picture of {width}x{height} pixels as {suffix}")
    data = buffer.tobytes()
    if suffix == ".bmp" and mark:  # has no tags, but readers ignore bytes behind the pixels
        data += marks.SOFTWARE_TEXT
        return data[:2] + struct.pack("<I", len(data)) + data[6:]
    if suffix in (".tif", ".tiff"):
        return _tag_tiff(data, has_alpha=bgr.shape[2] == 4, mark=mark)
    return data


def _tag_tiff(data: bytes, *, has_alpha: bool, mark: bool) -> bytes:
    """Add profile, mark and the meaning of alpha to a TIFF of OpenCV, which writes none of them."""
    order = "<" if data[:2] == b"II" else ">"
    (start,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, start)
    entries = [data[start + 2 + 12 * i : start + 14 + 12 * i] for i in range(count)]
    profile = profiles.srgb_profile()
    data += b"\0" * (len(data) % 2)
    entries.append(struct.pack(order + "HHII", 34675, 7, len(profile), len(data)))
    if mark:
        entries.append(marks.software_entry(order, len(data) + len(profile)))
    if has_alpha:  # unassociated
        entries.append(struct.pack(order + "HHIHH", 338, 3, 1, 2, 0))
    entries.sort(key=lambda entry: struct.unpack(order + "H", entry[:2]))
    data += profile + (marks.SOFTWARE_TEXT if mark else b"")
    data += b"\0" * (len(data) % 2)
    directory = struct.pack(order + "H", len(entries)) + b"".join(entries) + bytes(4)
    return data[:4] + struct.pack(order + "I", len(data)) + data[8:] + directory


def write_picture(
    path: str | os.PathLike[str], picture_u8: Picture | np.ndarray, *, quality: int = 95
) -> None:
    """Write a picture file atomically, in the format of its suffix; see `encode_picture`."""
    try:
        data = encode_picture(picture_u8, Path(path).suffix, quality=quality, mark=True)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error
    # A lost picture is made again, and flushing takes longer than small pictures.
    write_bytes(path, data, durable=False)
