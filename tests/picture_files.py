"""Hand-made picture files."""

from __future__ import annotations

import base64
import struct
import zlib

import cv2
import numpy as np

from anime_tf.io.pictures import encode_picture


def noise(height, width, channels=3, seed=0):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.RandomState(seed).randint(0, 256, shape).astype(np.uint8)


def smooth_noise(height, width, seed=0):
    return cv2.GaussianBlur(noise(height, width, seed=seed), (0, 0), 3)


def blocks(height, width, channels=3, seed=0):
    """4 x 4 blocks of one color each; sides are multiples of 4."""
    coarse = np.random.default_rng(seed).integers(0, 256, (4, 4, channels), dtype=np.uint8)
    return np.kron(coarse, np.ones((height // 4, width // 4, 1), np.uint8))


# --- files made by hand -----------------------------------------------------------------------


def png_chunk(kind, body):
    return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body))


def png(width, height, depth, color_type, rows, extra=b""):
    header = struct.pack(">IIBBBBB", width, height, depth, color_type, 0, 0, 0)
    pixels = zlib.compress(b"".join(b"\0" + row for row in rows))
    parts = [png_chunk(b"IHDR", header), extra, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def exif(orientation, order="<", kind=3):
    """Return an EXIF block; `kind` is the type of the orientation, by default SHORT."""
    mark = b"II*\0" if order == "<" else b"MM\0*"
    # IFD0 at byte 8, two entries: image width, and the orientation
    entries = struct.pack(order + "HHIHH", 0x0100, 3, 1, 640, 0)
    value = struct.pack(order + {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}[kind], orientation)
    entries += struct.pack(order + "HHI", 0x0112, kind, 1) + value.ljust(4, b"\0")
    return mark + struct.pack(order + "IH", 8, 2) + entries + struct.pack(order + "I", 0)


def jpeg_with_exif(data, block):
    body = b"Exif\0\0" + block
    return data[:2] + b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body + data[2:]


def png_with_exif(data, block):
    at = 8 + 25  # after the signature and IHDR
    return data[:at] + png_chunk(b"eXIf", block) + data[at:]


def webp_with_exif(data, block, size_hw, alpha):
    flags = 0x08 | (0x10 if alpha else 0)
    canvas = (size_hw[1] - 1).to_bytes(3, "little") + (size_hw[0] - 1).to_bytes(3, "little")
    extended = b"VP8X" + struct.pack("<I", 10) + bytes([flags, 0, 0, 0]) + canvas
    block += b"\0" * (len(block) % 2)
    body = b"WEBP" + extended + data[12:] + b"EXIF" + struct.pack("<I", len(block)) + block
    return b"RIFF" + struct.pack("<I", len(body)) + body


def flat_jpeg(values, adobe_transform=None):
    """Return a baseline JPEG of one 8x8 block of constant components, without subsampling.

    With a quantiser of 8 throughout, the DC coefficient of a flat block is value - 128.
    """
    segments = b""
    if adobe_transform is not None:
        segments += b"\xff\xee\x00\x0eAdobe" + struct.pack(">HHHB", 100, 0, 0, adobe_transform)
    segments += b"\xff\xdb\x00\x43\x00" + b"\x08" * 64
    count = len(values)
    segments += b"\xff\xc0" + struct.pack(">HBHHB", 8 + 3 * count, 8, 8, 8, count)
    segments += b"".join(bytes([i + 1, 0x11, 0]) for i in range(count))
    # DC: categories 0..8, four bits each, so that a category's code is its number.
    # AC: one symbol, end of block, whose code is a 0.
    segments += b"\xff\xc4\x00\x1c\x00" + bytes([0, 0, 0, 9] + [0] * 12) + bytes(range(9))
    segments += b"\xff\xc4\x00\x14\x10" + bytes([1] + [0] * 15) + b"\x00"
    segments += b"\xff\xda" + struct.pack(">HB", 6 + 2 * count, count)
    segments += b"".join(bytes([i + 1, 0]) for i in range(count)) + b"\x00\x3f\x00"
    bits = ""
    for value in values:
        difference = value - 128
        size = abs(difference).bit_length()
        bits += f"{size:04b}"
        if size:
            bits += f"{difference if difference > 0 else difference + (1 << size) - 1:0{size}b}"
        bits += "0"
    bits += "1" * (-len(bits) % 8)
    data = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    return b"\xff\xd8" + segments + data.replace(b"\xff", b"\xff\x00") + b"\xff\xd9"


def whole_files():
    rgb = smooth_noise(40, 56)
    rgba = np.dstack([rgb, noise(40, 56, 1, seed=1)])
    gray = rgb[..., 0]
    bgr = rgb[..., ::-1]
    progressive = [cv2.IMWRITE_JPEG_PROGRESSIVE, 1]
    restarts = [cv2.IMWRITE_JPEG_RST_INTERVAL, 2]
    return {
        "color.jpg": encode_picture(rgb, ".jpg"),
        "progressive.jpg": cv2.imencode(".jpg", bgr, progressive)[1].tobytes(),
        "restarts.jpg": cv2.imencode(".jpg", bgr, restarts)[1].tobytes(),
        "exif.jpg": jpeg_with_exif(encode_picture(rgb, ".jpg"), exif(1)),
        "gray.jpg": cv2.imencode(".jpg", gray)[1].tobytes(),
        "cmyk.jpg": flat_jpeg([10, 200, 90, 250], adobe_transform=0),
        "color.png": encode_picture(rgb, ".png"),
        "alpha.png": encode_picture(rgba, ".png"),
        "gray.png": cv2.imencode(".png", gray)[1].tobytes(),
        "sixteen.png": cv2.imencode(".png", rgba.astype(np.uint16) * 257)[1].tobytes(),
        "color.bmp": encode_picture(rgb, ".bmp"),
        "lossy.webp": encode_picture(rgb, ".webp", quality=80),
        "alpha.webp": encode_picture(rgba, ".webp"),
        "lossless.webp": cv2.imencode(".webp", bgr, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes(),
        "color.gif": cv2.imencode(".gif", bgr)[1].tobytes(),
    }


def tolerable_files():
    """Return damaged files that viewers show whole."""
    files = whole_files()
    damaged = {}
    for name in ("color.jpg", "progressive.jpg", "restarts.jpg", "exif.jpg", "gray.jpg"):
        data = files[name]
        table = data.index(b"\xff\xdb")
        damaged |= {
            f"{name} without end": data[:-2],
            f"{name} without half of its end": data[:-1],
            f"{name} zeros for its end": data[:-2] + bytes(300),
            f"{name} erased memory for its end": data[:-2] + b"\xff" * 300,
            f"{name} two starts": data[:2] + data,
            f"{name} junk": data[:table] + b"   " + data[table:],
        }
    for name in ("color.png", "alpha.png", "gray.png", "sixteen.png"):
        damaged[f"{name} without end"] = files[name][:-12]
        damaged[f"{name} without half of its end"] = files[name][:-5]
        damaged[f"{name} cut inside its last checksum"] = files[name][:-14]
        damaged[f"{name} wrong checksum of its end"] = files[name][:-1] + b"\0"
        damaged[f"{name} cut in a text"] = files[name][:-12] + png_chunk(b"tEXt", b"a" * 40)[:-9]
    return damaged


# 64x32 pixels: left top red (200, 40, 40), left bottom green (30, 170, 60), right blue
# (40, 60, 200), to be turned by 90 degrees clockwise. No encoder is among the requirements.
TURNED_HEIC = base64.b64decode(
    "AAAAHGZ0eXBoZWljAAAAAG1pZjFoZWljbWlhZgAAAchtZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAADRpbG9jAAAAAERAAAIAAQAAAAAB7AABAAAAAAAAAM4AAgAAAAACugABAAAAAAAAACQAAAA4aWlu"
    "ZgAAAAAAAgAAABVpbmZlAgAAAAABAABodmMxAAAAABVpbmZlAgAAAQACAABFeGlmAAAAAA5waXRtAAAAAAABAAAB"
    "B2lwcnAAAADmaXBjbwAAAHZodmNDAQNwAAAAkAAAAAAAHvAA/P34+AAADwNgAAEAGEABDAH//wNwAAADAJAAAAMA"
    "AAMAHroCQGEAAQAqQgEBA3AAAAMAkAAAAwAAAwAeoCCBBZbq5Ka5uAhoMCAAAAMDIAAAAwAhYgABAAZEAcFzwIkA"
    "AAATY29scm5jbHgAAQANAAaAAAAAFGlzcGUAAAAAAAAAQAAAAEAAAAAoY2xhcAAAAEAAAAABAAAAIAAAAAEAAAAA"
    "AAAAAv///+AAAAACAAAAEHBpeGkAAAAAAwgICAAAAAlpcm90AwAAABlpcG1hAAAAAAAAAAEAAQaBAgMFhIYAAAAa"
    "aXJlZgAAAAAAAAAOY2RzYwACAAEAAQAAAPptZGF0AAAAyigBrwY4Wve238OH///SPPof0J+iflbPvrTe/9Xj//we"
    "9CsyFVrzcr9tRJ6FTnCc4wnuzcXbBV5tgTIV/p3dNmcamPPentvGux/WfHnZ8+zp5G/XfG//6sxoXfI6eFMXCexJ"
    "yt2RyCRkpxfuHNJg5bT/m/od9+pCSCjB1xztf8v0nR8s4ffB9HxrgRsG/8v0nR8s4ffB9HXYA/+X6To+WcPvg+j1"
    "xj9xw0AN9dWevxjdRIkm/aw4cJhKBM+oOn70Fc5W4u/0h1Z2ucAAAAAGRXhpZgAATU0AKgAAAAgAAQESAAMAAAAB"
    "AAYAAAAAAAA="
)


def tiff_file(
    array,
    colors=2,
    *,
    extra=(),
    order="<",
    big=False,
    orientation=None,
    format_=1,
    separate_planes=False,
):
    """Write (height, width, channels) as a TIFF of one strip, or of one for each channel.

    Args:
        array: uint8, uint16 or float32.
        colors: The tag PhotometricInterpretation.
        extra: The tag ExtraSamples.
        order: "<" or ">".
        big: BigTIFF.
        orientation: (type, value) of the tag.
        format_: The tag SampleFormat.
        separate_planes: Whether each channel has a strip of its own.
    """
    height, width, channels = array.shape
    array = array.astype(array.dtype.newbyteorder(order))
    strips = [array[..., c].tobytes() for c in range(channels)] if separate_planes else None
    strips = strips or [array.tobytes()]
    room, number, count, top = (8, "Q", "Q", 16) if big else (4, "I", "H", 8)

    def head(offsets):
        entries = {
            256: (4, [width]), 257: (4, [height]), 258: (3, [array.dtype.itemsize * 8] * channels),
            259: (3, [1]), 262: (3, [colors]), 273: (4, offsets), 277: (3, [channels]),
            278: (4, [height]), 279: (4, [len(strip) for strip in strips]),
            284: (3, [2 if separate_planes else 1]), 339: (3, [format_] * channels),
        }  # fmt: skip
        if extra:
            entries[338] = (3, list(extra))
        if orientation:
            entries[274] = (orientation[0], [orientation[1]])
        directory, behind = struct.pack(order + count, len(entries)), b""
        start = top + len(directory) + (4 + 2 * room) * len(entries) + room
        for tag, (kind, values) in sorted(entries.items()):
            codes = {1: "B", 3: "H", 4: "I", 6: "b", 8: "h", 9: "i"}
            data = struct.pack(f"{order}{len(values)}{codes[kind]}", *values)
            directory += struct.pack(f"{order}HH{number}", tag, kind, len(values))
            if len(data) > room:
                directory += struct.pack(order + number, start + len(behind))
                behind += data
            else:
                directory += data.ljust(room, b"\0")
        return directory + bytes(room) + behind

    mark = b"II" if order == "<" else b"MM"
    mark += struct.pack(order + "HHHQ", 43, 8, 0, 16) if big else struct.pack(order + "HI", 42, 8)
    start = len(mark) + len(head([0] * len(strips)))
    offsets = [start + i * len(strips[0]) for i in range(len(strips))]
    return mark + head(offsets) + b"".join(strips)
