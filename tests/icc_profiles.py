"""Hand-made ICC profiles."""

from __future__ import annotations

import struct

import numpy as np

P3_COLUMNS = (
    (0.51512, 0.24120, -0.00105),
    (0.29198, 0.69225, 0.04189),
    (0.15710, 0.06657, 0.78407),
)
ADOBE_COLUMNS = (
    (0.60974, 0.31111, 0.01947),
    (0.20528, 0.62567, 0.06087),
    (0.14919, 0.06322, 0.74457),
)


def decode_srgb(x):
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def encode_srgb(x):
    return np.where(x <= 0.0031308, x * 12.92, 1.055 * np.maximum(x, 0) ** (1 / 2.4) - 0.055)


def curve_of_gamma(gamma):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256))


def curve_of_table(values):
    return b"curv\0\0\0\0" + struct.pack(f">I{len(values)}H", len(values), *values)


def curve_of_srgb():
    """Return sRGB's curve as a parametric one."""
    numbers = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    return b"para\0\0\0\0\0\3\0\0" + struct.pack(">5i", *(round(v * 65536) for v in numbers))


def _profile(space, connection, tags):
    tags = {b"desc": b"desc" + bytes(8) + b"\0" * 79, b"cprt": b"text\0\0\0\0none\0", **tags}
    tags[b"wtpt"] = _xyz((0.9642, 1, 0.8249))
    table, body, start = struct.pack(">I", len(tags)), b"", 132 + 12 * len(tags)
    for name, data in tags.items():
        table += name + struct.pack(">II", start + len(body), len(data))
        body += data + bytes(-len(data) % 4)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    head = struct.pack(
        ">I4sI4s4s4s", start + len(body), b"none", 0x02400000, kind, space, connection
    )
    head += (
        struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
        + b"acsp"
        + bytes(28)
        + _xyz((0.9642, 1, 0.8249))[8:]
    )
    return head.ljust(128, b"\0") + table + body


def _xyz(values):
    return b"XYZ \0\0\0\0" + struct.pack(">3i", *(round(v * 65536) for v in values))


def matrix_profile(columns=P3_COLUMNS, curve=None):
    curve = curve or curve_of_srgb()
    names = (b"r", b"g", b"b")
    tags = {name + b"XYZ": _xyz(values) for name, values in zip(names, columns, strict=True)}
    return _profile(b"RGB ", b"XYZ ", tags | {name + b"TRC": curve for name in names})


def gray_profile(gamma):
    return _profile(b"GRAY", b"XYZ ", {b"kTRC": curve_of_gamma(gamma)})


def table_profile(space, lab_of_channels, channels, points=9):
    """Return a profile with a table (mft2) of a function of (..., channels) in 0..1 to Lab."""
    axes = np.meshgrid(*[np.linspace(0, 1, points)] * channels, indexing="ij")
    lab = lab_of_channels(np.stack(axes, axis=-1)).reshape(-1, 3)
    coded = np.rint(
        np.clip((lab + np.array((0, 128, 128))) * (652.8, 256, 256), 0, 65535)  # ICC version 2
    ).astype(">u2")
    head = b"mft2\0\0\0\0" + bytes([channels, 3, points, 0])
    head += struct.pack(">9i", *(65536 * v for v in (1, 0, 0, 0, 1, 0, 0, 0, 1)))
    straight = struct.pack(">2H", 0, 65535)
    data = head + struct.pack(">2H", 2, 2) + straight * channels + coded.tobytes() + straight * 3
    return _profile(space, b"Lab ", {b"A2B0": data})
