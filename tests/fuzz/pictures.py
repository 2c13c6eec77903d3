"""Mutated pictures through the reader of pictures."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from picture_files import TURNED_HEIC
from PIL import Image

from anime_tf.io.pictures import read_picture

SUFFIX = ".jpg"  # readers go by content


def seeds() -> list[bytes]:
    """Return small pictures in all formats and kinds that are read."""
    y, x = np.mgrid[:40, :56]
    rgb = np.stack([x * 4, y * 6, (x * y) % 256], -1).astype(np.uint8)
    color = Image.fromarray(rgb)
    alpha = Image.fromarray(np.dstack([rgb, (x * 4).astype(np.uint8)]))
    deep = Image.fromarray((x * 1000).astype(np.uint16))
    palette, gray = color.quantize(16), color.convert("L")
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [color.rotate(9), color.rotate(20)]}
    kinds = [
        (color, "JPEG", {}),
        (color, "JPEG", {"progressive": True, "exif": exif, "comment": b"a" * 99}),
        (gray, "JPEG", {}),
        (color.convert("CMYK"), "JPEG", {}),
        (color, "PNG", {}),
        (alpha, "PNG", {"exif": exif}),
        (deep, "PNG", {}),
        (palette, "PNG", {"transparency": 3}),
        (color.convert("1"), "PNG", {}),
        (color, "PNG", frames),
        (color, "BMP", {}),
        (palette, "BMP", {}),
        (color, "GIF", {}),
        (color, "GIF", frames),
        (color, "WEBP", {}),
        (alpha, "WEBP", {"lossless": True, "exif": exif}),
        (color, "WEBP", frames),
        *((color, "TIFF", {"compression": c}) for c in ("raw", "tiff_lzw", "jpeg", "packbits")),
        (alpha, "TIFF", {"compression": "tiff_deflate"}),
        (deep, "TIFF", {}),
        (palette, "TIFF", {}),
        (color, "AVIF", {}),
    ]
    made = [TURNED_HEIC]
    for image, kind, options in kinds:
        buffer = io.BytesIO()
        image.save(buffer, kind, **options)
        made.append(buffer.getvalue())
    return made


def run(path: Path) -> None:
    """Read a picture, in part if it is cut; raises a ValueError that names the path otherwise."""
    try:
        read_picture(path)
    except ValueError as error:
        if "--allow_truncated" not in str(error):
            raise
        read_picture(path, allow_truncated=True)
