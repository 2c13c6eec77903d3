"""Containers of picture formats: checks that a file is whole, its size, orientation and colors.

OpenCV decodes truncated files without an error, and Pillow notices them only by decoding. So the
segments of a file are walked first, which takes under 1 % of the time of decoding. What viewers
tolerate is repaired with a warning: data that is decoded is always well-formed.
"""

from __future__ import annotations

import dataclasses
import io
import re
import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from PIL import Image
from PIL.AvifImagePlugin import AvifImageFile
from PIL.BmpImagePlugin import BmpImageFile
from PIL.GifImagePlugin import GifImageFile
from PIL.JpegImagePlugin import JpegImageFile
from PIL.PngImagePlugin import PngImageFile
from PIL.TiffImagePlugin import COMPRESSION_INFO, ImageFileDirectory_v2, TiffImageFile

from anime_tf.errors import first_line, import_optional, printable
from anime_tf.io import kinds
from anime_tf.io.profiles import Colors, Primaries

_ORIENTATION = 0x0112  # tag of TIFF and EXIF
MIN_ZEROS = 16  # bytes of zeros at the end of a JPEG that are no compressed data
_MAX_PROFILE = 1 << 24  # bytes; CMYK profiles have 3 million
_MAX_PADDING = 1 << 26  # largest number of missing bytes that zeros take the place of
# A cut file is decoded up to this size, or with at most so many pixels for each byte that is left.
_MAX_CUT_PIXELS, _MAX_CUT_RATIO = 1 << 24, 1024
_MAX_COMPARED = 1 << 28  # larger JPEGs without an end marker are not checked for missing pixels
# Largest number of scans of a progressive JPEG: encoders write about ten, and each takes the time
# of decoding all pixels.
MAX_SCANS = 100


class UnknownPictureError(ValueError):
    """The file is in none of the picture formats that are read."""


class TooManyPixelsError(ValueError):
    """The header declares more pixels than are read."""


class _UnsupportedError(ValueError):
    """The file is whole, but of a variant that is not read."""


class _TruncatedError(ValueError):
    """The file is cut; `container` is what can be decoded of it, if anything can."""

    def __init__(self, message: str, container: Container | None = None) -> None:
        super().__init__(message)
        self.container = container


@dataclass(frozen=True)
class Container:
    """A whole picture file, or under `allow_truncated` what is left of one.

    Attributes:
        format_name: Name of the format.
        size_hw: Stored height and width, before orientation.
        data: Bytes to decode.
        orientation: EXIF orientation still to apply, 1..8.
        transparent_gray: Decoded gray value that is transparent, or None.
        colors: ICC profile or primaries; None for sRGB.
        channels: Stored color channels, where that matters: 4 for a CMYK JPEG.
        has_premultiplied_alpha: Whether colors that OpenCV decodes are multiplied by alpha.
        is_inverted: Whether 0 is white in gray values that OpenCV decodes.
        image: An image of Pillow or pi_heif, which decodes it; None for OpenCV.
        warnings: Repaired damage.
        is_truncated: Whether pixels are missing.
    """

    format_name: str
    size_hw: tuple[int, int]
    data: bytes
    orientation: int = 1
    transparent_gray: int | None = None
    colors: Colors | None = None
    channels: int = 3
    has_premultiplied_alpha: bool = False
    is_inverted: bool = False
    image: Any = None
    warnings: tuple[str, ...] = ()
    is_truncated: bool = False

    def warned(self, warning: str) -> Container:
        """Return the container with one more warning."""
        return dataclasses.replace(self, warnings=(*self.warnings, warning))


def parse(data: bytes, name: str, max_pixels: int, *, allow_truncated: bool = False) -> Container:
    """Check that a picture file is whole, without decoding it.

    Args:
        data: The file.
        name: Its name in errors, usually the path.
        max_pixels: Largest height x width that is accepted.
        allow_truncated: Accept a file that is cut in the middle.

    Raises:
        UnknownPictureError: `data` is in none of the formats, or in a variant that is not read.
        TooManyPixelsError: It has more than `max_pixels` pixels.
        ValueError: It is damaged or truncated. All messages begin with `name`.
    """
    kind = check_head(data[: kinds.HEAD_BYTES], name)
    broken = f"{name}: broken {kind} picture"
    try:
        container = _PARSERS[kind](data)
    except _UnsupportedError as error:
        raise UnknownPictureError(
            f"{name}: {kind} picture with {error}, which is not supported; save it with 8 or 16 "
            "bits per channel in RGB first"
        ) from error
    except _TruncatedError as error:
        rest = error.container
        if rest is not None:
            pixels = rest.size_hw[0] * rest.size_hw[1]
            rest = rest if pixels <= max(_MAX_CUT_PIXELS, _MAX_CUT_RATIO * len(data)) else None
        if not allow_truncated or rest is None:
            remedy = "copy or download it again"
            remedy += "" if rest is None else ", or use --allow_truncated"
            raise ValueError(f"{broken}, {error}; {remedy}") from error
        container = rest.warned(f"{error}; the rest of the picture is missing")
        container = dataclasses.replace(container, is_truncated=True)
    except MemoryError:
        raise
    except Exception as error:  # Pillow raises anything
        raise ValueError(f"{broken}, {first_line(error)}; copy or download it again") from error
    height, width = container.size_hw
    if height < 1 or width < 1:
        raise ValueError(f"{broken}, its size is {width}x{height}")
    if height * width > max_pixels:
        raise TooManyPixelsError(
            f"{name}: {kind} picture of {width}x{height} pixels, more than the {max_pixels} that "
            "are read; make it smaller first"
        )
    return container


def check_head(head: bytes, name: str) -> str:
    """Return the name of a format, known by the first `kinds.HEAD_BYTES` of a file.

    Raises:
        UnknownPictureError: It is in none of the formats.
    """
    kind = kinds.readable_format(head)
    if kind is None:
        raise UnknownPictureError(
            f"{name}: expected a JPEG, PNG, BMP, WebP, TIFF, GIF, HEIF or AVIF picture, got "
            f"{kinds.describe(head)}"
        )
    return kind


def exif_orientation(exif: bytes) -> int:
    """Return the orientation in an EXIF block, 1 (upright) if there is no valid one."""
    block = Image.Exif()
    try:
        block.load(exif)
        value = block.get(_ORIENTATION, 1)
        # Pillow returns bytes of the types BYTE and UNDEFINED, and a tuple of several values.
        orientation = int(value[0] if isinstance(value, bytes | tuple) else value)
    except Exception:  # cut blocks are common and raise anything; the picture is still good
        return 1
    return orientation if 1 <= orientation <= 8 else 1


# In entropy-coded data 0xFF is followed by 0x00 (a stuffed byte) or by a restart marker.
_JPEG_NEXT_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]", re.DOTALL)
_JPEG_MARKER = re.compile(rb"\xff+[\xc0-\xcf\xd8-\xfe]", re.DOTALL)
_JPEG_FILL = re.compile(rb"\xff+")
_JPEG_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


@dataclass
class _Jpeg:
    """Facts collected in a walk over the segments of a JPEG."""

    size_hw: tuple[int, int] | None = None
    channels: int = 3
    orientation: int = 1
    profile: dict[int, bytes] = field(default_factory=dict)
    profile_parts: int = 0
    junk: list[tuple[int, int]] = field(default_factory=list)  # [start, end) of bytes to remove
    warnings: list[str] = field(default_factory=list)
    bits: dict[tuple[int, int], int] = field(default_factory=dict)  # missing in the scans
    scans: int = 0

    def segment(self, marker: int, body: bytes) -> None:
        """Collect the facts of a segment; `body` begins after its length."""
        if marker in _JPEG_FRAMES and len(body) >= 6:
            self.size_hw = struct.unpack_from(">HH", body, 1)
            self.channels = body[5]
            if body[0] != 8:
                raise _UnsupportedError(f"{body[0]} bits per channel")
            if marker not in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
                raise _UnsupportedError("lossless or hierarchical compression")
            components = body[6 : 6 + 3 * self.channels : 3]
            self.bits = {(c, k): 99 for c in components for k in range(64)}
        elif marker == 0xE1 and body[:6] == b"Exif\0\0" and self.orientation == 1:
            self.orientation = exif_orientation(body)
        elif marker == 0xE2 and body[:12] == b"ICC_PROFILE\0" and len(body) > 14:
            self.profile[body[12]], self.profile_parts = body[14:], body[13]
        elif marker == 0xDA and len(body) >= 4:
            self.scans += 1
            if self.scans > MAX_SCANS:
                raise ValueError(f"it has more than {MAX_SCANS} scans")
            first, last, shifts = body[-3:]
            for component in body[1:-3:2]:
                for k in range(first, min(last, 63) + 1):
                    self.bits[component, k] = shifts & 15

    def container(self, data: bytes) -> Container:
        if self.size_hw is None:
            raise ValueError("it holds no frame header")
        if self.junk:
            edges = [0, *(at for span in self.junk for at in span), len(data)]
            data = b"".join(data[a:b] for a, b in zip(edges[::2], edges[1::2], strict=True))
        profile = None
        if self.profile:
            whole = sorted(self.profile) == list(range(1, self.profile_parts + 1))
            profile = b"".join(part for _, part in sorted(self.profile.items())) if whole else b""
        return Container(
            "JPEG",
            self.size_hw,
            data,
            self.orientation,
            colors=profile,
            channels=self.channels,
            warnings=tuple(self.warnings),
        )


def _parse_jpeg(data: bytes) -> Container:
    jpeg, at = _Jpeg(), 2
    while True:
        start = at
        if data[at : at + 1] != b"\xff":  # junk between segments
            found = _JPEG_MARKER.search(data, at)
            if found is None:
                return _end_jpeg(jpeg, data)
            at = found.start()
        at = _JPEG_FILL.match(data, at).end() - 1  # type: ignore[union-attr]
        if len(data) < at + 2:
            return _end_jpeg(jpeg, data)
        marker = data[at + 1]
        if marker == 0xD8 or data[start] != 0xFF:
            end = at + 2 if marker == 0xD8 else at
            jpeg.junk.append((start, end))
            jpeg.warnings.append(f"{end - start} bytes between its segments ignored")
        if marker == 0xD9:
            return jpeg.container(data)
        if marker == 0x01 or 0xD0 <= marker <= 0xD8:  # markers without a length
            at += 2
            continue
        if len(data) < at + 4:
            return _end_jpeg(jpeg, data[:at])
        end = at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        if end > len(data):
            return _end_jpeg(jpeg, data[:at])
        jpeg.segment(marker, data[at + 4 : end])
        at = end
        if marker == 0xDA:  # a scan header, followed by entropy-coded data
            found = _JPEG_NEXT_MARKER.search(data, at)
            if found is None:
                return _end_jpeg(jpeg, data)
            at = found.start()


def _end_jpeg(jpeg: _Jpeg, data: bytes) -> Container:
    """Return the container of a JPEG without an end-of-image marker; raise if pixels are missing.

    Pixels are missing if the bits that follow the file change the picture.
    """
    reason = "it ends before its end-of-image marker"
    if jpeg.size_hw is None or not jpeg.scans:
        raise _TruncatedError(reason)
    data = data.rstrip(b"\xff")  # half of the marker, or erased memory of a camera
    container = jpeg.container(data + b"\xff\xd9")
    # Decoded by Pillow, because OpenCV lets libjpeg write to stderr.
    container = dataclasses.replace(container, image=JpegImageFile(io.BytesIO(container.data)))
    zeros = len(data) - len(data.rstrip(b"\0"))
    if MIN_ZEROS <= zeros <= len(data) // 2:  # viewers decode the zeros
        return container.warned(f"its last {zeros} bytes are zeros")
    whole = not any(jpeg.bits.values())
    if whole and container.size_hw[0] * container.size_hw[1] <= _MAX_COMPARED:
        other = jpeg.container(data + b"\x55\x2a" * 64 + b"\xff\xd9")
        images = container.image, JpegImageFile(io.BytesIO(other.data))
        try:
            whole = images[0].tobytes() == images[1].tobytes()
        except OSError:
            whole = False
    if not whole:
        raise _TruncatedError(reason, container)
    return container.warned("its end-of-image marker is missing")


def _png_chunk(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def _parse_png(data: bytes) -> Container:
    """Keep the chunks of the picture itself.

    libpng complains on stderr about others, and the further frames of an animation are not needed.
    """
    kept, orientation, transparent_gray = [data[:8]], 1, None
    size_hw, depth, color_type = None, 8, 2
    chunks: dict[bytes, bytes] = {}
    kind, pixels, reason, at = b"", [], "", 8
    while kind != b"IEND":
        length, kind = struct.unpack(">I4s", data[at : at + 8].ljust(8, b"\0"))
        start, at = at, at + 12 + length
        body = data[start + 8 : at - 4]
        if len(data) < start + 12:
            reason = "it ends before its IEND chunk"
        elif len(data) < at:
            reason = f"it ends inside its {printable(kind.decode('latin-1'))} chunk"
        if kind == b"IDAT":
            pixels.append(body[:length])
        if reason:
            break
        if size_hw is None:
            if kind == b"CgBI":
                raise _UnsupportedError("Apple's changes for the iPhone")
            if kind != b"IHDR" or len(body) != 13:
                raise ValueError("it does not begin with an IHDR chunk")
            width, height, depth, color_type = struct.unpack_from(">IIBB", body)
            size_hw = (height, width)
        if kind == b"eXIf":
            orientation = exif_orientation(body)
        if kind in (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP"):
            chunks[kind] = body
        if kind == b"tRNS" and color_type == 0 and len(body) == 2:
            # OpenCV does not apply this one kind of transparency.
            transparent_gray = int.from_bytes(body, "big")
            if depth < 8:
                transparent_gray = transparent_gray * 255 // ((1 << depth) - 1)
            continue
        if kind in (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"):
            if zlib.crc32(data[start + 4 : at - 4]) != int.from_bytes(data[at - 4 : at], "big"):
                if kind == b"IEND":
                    reason = "the checksum of its IEND chunk is wrong"
                    break
                raise ValueError(f"the checksum of its {kind.decode()} chunk is wrong")
            kept.append(data[start:at])
    if size_hw is None:  # it is cut in its first chunk
        raise _TruncatedError(reason)
    if reason and kind == b"IDAT":
        kept.append(_png_chunk(b"IDAT", pixels[-1]))
    if reason:
        kept.append(_png_chunk(b"IEND", b""))
    container = Container(
        "PNG",
        size_hw,
        b"".join(kept),
        orientation,
        transparent_gray,
        colors=_png_colors(chunks),
    )
    if reason:
        if not _is_whole_zlib(pixels):
            if not pixels:
                raise _TruncatedError(reason)
            image = PngImageFile(io.BytesIO(container.data))
            raise _TruncatedError(reason, dataclasses.replace(container, image=image))
        container = container.warned(reason)
    return container


def _is_whole_zlib(parts: list[bytes]) -> bool:
    inflate = zlib.decompressobj()
    try:
        for part in parts:
            while part and not inflate.eof:
                inflate.decompress(part, 1 << 20)
                part = inflate.unconsumed_tail
    except zlib.error:
        return False
    return inflate.eof


def _png_colors(chunks: dict[bytes, bytes]) -> Colors | None:
    """Return the colors that the chunks describe; b"" for a damaged profile."""
    if len(chunks.get(b"cICP", b"")) == 4:
        return Primaries.from_cicp(*chunks[b"cICP"][:2])
    if b"iCCP" in chunks:
        try:
            packed = chunks[b"iCCP"].split(b"\0", 1)[1][1:]
            return zlib.decompressobj().decompress(packed, _MAX_PROFILE)
        except (IndexError, zlib.error):
            return b""
    gamma = int.from_bytes(chunks.get(b"gAMA", b""), "big") / 100000
    if b"sRGB" in chunks or not gamma:
        return None
    numbers = struct.unpack(">8I", chunks[b"cHRM"]) if len(chunks.get(b"cHRM", b"")) == 32 else ()
    points = [number / 100000 for number in numbers]
    return Primaries.calibrated(1 / gamma, points[2:] + points[:2])


def _parse_webp(data: bytes) -> Container:
    # Not Pillow, which allocates two canvases of the declared size when it opens a WebP.
    end = 8 + int.from_bytes(data[4:8], "little")
    reason = ""
    if len(data) < end:
        reason = f"it has {len(data)} of the {end} bytes that its header declares"
    size_hw, orientation, at, profile, whole, kind = None, 1, 12, None, False, b""
    while at + 8 <= min(end, len(data)):
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
            orientation = exif_orientation(body)
        elif kind == b"ICCP":
            profile = body
        if len(body) < length:
            break
        whole = whole or kind in (b"VP8 ", b"VP8L")
        at += 8 + length + length % 2
    if size_hw is None:
        raise _TruncatedError(reason) if reason else ValueError("it holds no picture chunk")
    if reason and not whole:
        # libwebp decodes zeros in the place of the rest, if the cut is inside the picture's chunk.
        padded = _padded(data, end) if kind in (b"VP8 ", b"VP8L") else None
        if padded is None:
            raise _TruncatedError(reason)
        rest = Container("WebP", size_hw, padded, orientation, colors=profile)
        raise _TruncatedError(reason, rest)
    if reason:  # cut behind the picture
        body = data[12:at].ljust(at - 12, b"\0")
        data = b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body
    container = Container("WebP", size_hw, data, orientation, colors=profile)
    return container.warned(reason) if reason else container


def _parse_bmp(data: bytes) -> Container:
    """Read size and profile; OpenCV itself notices missing rows of compressed ones."""
    if len(data) < 26:
        raise ValueError("it ends inside its header")
    header = int.from_bytes(data[14:18], "little")
    profile: Colors | None = None
    if header == 12:
        width, height = struct.unpack_from("<HH", data, 18)
    else:
        width, height = struct.unpack_from("<ii", data, 18)
    if header >= 108 and len(data) >= 14 + header:
        kind = data[14 + 56 : 14 + 60]
        if kind == b"DEBM" and header >= 124:  # an embedded profile
            offset, length = struct.unpack_from("<II", data, 14 + 112)
            profile = data[14 + offset : 14 + offset + length]
        elif kind == b"\0\0\0\0":  # calibrated RGB: end points in 2.30, gammas in 16.16
            numbers = struct.unpack_from("<12i", data, 14 + 60)
            profile = _bmp_colors(numbers)
    container = Container("BMP", (abs(height), width), data, colors=profile)
    depth, compression = 0, 0
    if header >= 40 and len(data) >= 34:
        depth, compression = struct.unpack_from("<HI", data, 28)
    end = int.from_bytes(data[10:14], "little") + (width * depth + 31) // 32 * 4 * abs(height)
    if compression in (0, 3) and len(data) < end and 0 < width * abs(height) < _MAX_COMPARED:
        try:
            image = BmpImageFile(io.BytesIO(data))
        except (OSError, SyntaxError):
            raise ValueError("its header is damaged") from None
        raise _TruncatedError(
            f"it has {len(data)} of its {end} bytes", dataclasses.replace(container, image=image)
        )
    return container


def _bmp_colors(numbers: tuple[int, ...]) -> Primaries | None:
    ends = np.array(numbers[:9], float).reshape(3, 3) / (1 << 30)
    ends = np.vstack([ends, ends.sum(axis=0)])  # white is their sum
    totals, gammas = ends.sum(axis=1), [number / (1 << 16) for number in numbers[9:]]
    if min(*gammas, *totals) <= 0:
        return None
    return Primaries.calibrated(sum(gammas) / 3, (ends[:, :2] / totals[:, None]).ravel().tolist())


def _parse_gif(data: bytes) -> Container:
    """Walk the blocks through the first frame, and drop the others."""
    profile = None

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
            if data[at + 3 : at + 14] == b"ICCRGBG1012":
                part, end = at + 14, after_sub_blocks(at + 14)
                profile = b""
                while part < end - 1:
                    profile += data[part + 1 : part + 1 + data[part]]
                    part += 1 + data[part]
            at = after_sub_blocks(at + 2)
        elif data[at] == 0x2C and at + 10 <= len(data):
            flags = data[at + 9]
            at = after_sub_blocks(at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
            container = Container("GIF", (height, width), data[:at] + b";", colors=profile)
            if at > len(data):
                image = GifImageFile(io.BytesIO(data))
                container = dataclasses.replace(container, image=image)
                raise _TruncatedError("it ends inside its first frame", container)
            return container
        else:
            raise ValueError(f"no block at byte {at}")
    raise _TruncatedError("it ends inside its first frame")


_WIDTH, _HEIGHT, _BITS, _COMPRESSION, _PHOTOMETRIC, _SAMPLES, _PLANES, _FORMAT = (
    *(256, 257, 258, 259, 262, 277, 284, 339),
)
_EXTRA_SAMPLES, _SUBFILE, _SUB_DIRECTORIES, _DNG_VERSION, _PROFILE = 338, 254, 330, 50706, 34675
_WEBP_COMPRESSION = 50001  # which the libtiff of Pillow lacks
_TIFF_COLORS = {
    4: "a transparency mask", 9: "ICC Lab colors", 10: "ITU Lab colors", 32803: "raw sensor data",
    32844: "LogL values", 32845: "LogLuv colors", 34892: "raw sensor data",
}  # fmt: skip


def _parse_tiff(data: bytes) -> Container:
    """Read the first directory. Pillow decodes up to 8 bits per channel, OpenCV 16.

    OpenCV multiplies 8-bit colors by alpha, and Pillow drops the lower byte of 16-bit colors.
    """
    file, is_big = io.BytesIO(data), data[2:4] == b"+\0"
    if data[:4] == b"MM\0+":  # Pillow reads none
        raise _UnsupportedError("offsets of 64 bits in big-endian order")
    order = "<" if data[:2] == b"II" else ">"
    try:
        tags = ImageFileDirectory_v2(file.read(16 if is_big else 8))
        (count,) = struct.unpack_from(order + ("Q" if is_big else "H"), data, tags.next)
        if tags.next + (8 + 20 * count if is_big else 2 + 12 * count) > len(data):
            raise ValueError("cut")
        file.seek(tags.next)
        tags.load(file)
        size_hw = (int(tags.get(_HEIGHT, 0)), int(tags.get(_WIDTH, 0)))
        bits = max(tags.get(_BITS, (1,)))
        colors, samples = int(tags.get(_PHOTOMETRIC, 2)), int(tags.get(_SAMPLES, 1))
        kinds_of_values = set(tags.get(_FORMAT, (1,)))
        compression, planes = int(tags.get(_COMPRESSION, 1)), int(tags.get(_PLANES, 1))
        profile, extra = tags.get(_PROFILE), tuple(tags.get(_EXTRA_SAMPLES, ()))
        orientation = tags.get(_ORIENTATION, 1)
        is_raw = _DNG_VERSION in tags or (
            _SUB_DIRECTORIES in tags and int(tags.get(_SUBFILE, 0)) & 1
        )
        ends = [
            int(start) + int(length)
            for names in ((273, 279), (324, 325))
            for start, length in zip(*(tags.get(tag, ()) for tag in names), strict=False)
        ]
    except Exception as error:  # damaged directories raise anything
        raise ValueError("its first directory is damaged") from error
    if 0 in size_hw:
        raise ValueError("its first directory gives no size")
    if is_raw:
        raise _UnsupportedError("raw sensor data")
    if colors not in (0, 1, 2, 3, 5, 6, 8):
        raise _UnsupportedError(_TIFF_COLORS.get(colors, f"colors of type {colors}"))
    if not kinds_of_values <= {1, 4}:
        raise _UnsupportedError("float values" if 3 in kinds_of_values else "signed values")
    if bits > 16:
        raise _UnsupportedError(f"{bits} bits per channel")
    if compression not in COMPRESSION_INFO or compression == _WEBP_COMPRESSION:
        raise _UnsupportedError(f"compression of type {compression}")
    container = Container(
        "TIFF",
        size_hw,
        data,
        colors=profile,
        has_premultiplied_alpha=extra == (1,),
        is_inverted=colors == 0,
    )
    # OpenCV leaves an unspecified fourth channel as it is, Pillow drops it.
    is_unspecified = bits == 8 and (colors, samples, extra) == (2, 4, (0,))
    if not is_unspecified and (bits != 16 or colors not in (0, 1, 2)):
        if isinstance(orientation, bytes):  # of the type BYTE, which Pillow does not apply
            container = dataclasses.replace(container, orientation=orientation[0])
        try:
            image = TiffImageFile(io.BytesIO(data))
        except SyntaxError as error:
            names = {5: "CMYK colors of", 8: "Lab colors of"}.get(colors, f"{samples} channels of")
            raise _UnsupportedError(f"{names} {bits} bits") from error
        except Exception as error:
            raise ValueError("its first directory is damaged") from error
        container = dataclasses.replace(container, image=image)
    elif samples not in (1, 3, 4):
        raise _UnsupportedError(f"{samples} channels of 16 bits")
    elif samples > 1 and planes != 1:  # OpenCV mixes them up
        raise _UnsupportedError("separate planes of 16 bits")
    if ends and max(ends) > len(data):
        raise _TruncatedError(f"it has {len(data)} of its {max(ends)} bytes", container)
    return container


def _parse_heif(data: bytes) -> Container:
    pi_heif = import_optional("pi_heif", "HEIC pictures need pi-heif", "pi-heif")
    data, reason = _with_whole_boxes(data)
    try:
        image = pi_heif.open_heif(io.BytesIO(data), convert_hdr_to_8bit=False)
    except Exception as error:  # libheif's own errors
        if reason:
            raise _TruncatedError(reason) from error
        raise ValueError(f"libheif cannot read it ({first_line(error)})") from error
    nclx = image.info.get("nclx_profile") or {}
    cicp = [int(nclx.get(key, 0)) for key in ("color_primaries", "transfer_characteristics")]
    container = Container(
        "HEIF",
        image.size[::-1],
        data,
        colors=image.info.get("icc_profile") or Primaries.from_cicp(*cicp),
        image=image,
    )
    if reason:
        raise _TruncatedError(reason, container)
    return container


def _parse_avif(data: bytes) -> Container:
    data, reason = _with_whole_boxes(data)
    try:
        image = AvifImageFile(io.BytesIO(data))
    except Exception as error:  # libavif's own errors
        if reason:
            raise _TruncatedError(reason) from error
        raise ValueError(f"libavif cannot read it ({first_line(error)})") from error
    at = data.find(b"colrnclx")
    cicp = (0, 0) if at < 0 else struct.unpack_from(">HH", data.ljust(at + 12, b"\0"), at + 8)
    container = Container(
        "AVIF",
        image.size[::-1],
        data,
        exif_orientation(image.info.get("exif", b"")),
        colors=image.info.get("icc_profile") or Primaries.from_cicp(*cicp),
        image=image,
    )
    if reason:
        raise _TruncatedError(reason, container)
    return container


def _with_whole_boxes(data: bytes) -> tuple[bytes, str]:
    """Walk the boxes of a HEIF or AVIF file.

    Returns:
        The file and "". If it is cut: the file, filled with zeros unless too many are missing, so
        that decoders can read some pixels; and the reason.
    """
    at = 0
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8].ljust(8, b"\0"))
        if length == 1:
            length = int.from_bytes(data[at + 8 : at + 16], "big")
        if length == 0 or not kind.isalnum():  # to the end of the file, or other bytes behind it
            break
        at += length
    if at <= len(data):
        return data, ""
    return _padded(data, at) or data, f"it has {len(data)} of its {at} bytes"


def _padded(data: bytes, size: int) -> bytes | None:
    """Return a file with zeros up to a size; None if that needs too many."""
    return data.ljust(size, b"\0") if size - len(data) <= _MAX_PADDING else None


_PARSERS: dict[str, Callable[[bytes], Container]] = {
    "JPEG": _parse_jpeg,
    "PNG": _parse_png,
    "WebP": _parse_webp,
    "BMP": _parse_bmp,
    "GIF": _parse_gif,
    "TIFF": _parse_tiff,
    "HEIF": _parse_heif,
    "AVIF": _parse_avif,
}
