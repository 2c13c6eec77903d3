"""Graph from files to files: the pixels of io.pictures, or an error for each file."""

from __future__ import annotations

import struct
import time

import cv2
import keras
import numpy as np
import pytest
import tensorflow as tf
from picture_files import (
    exif,
    flat_jpeg,
    jpeg_with_exif,
    noise,
    png,
    png_chunk,
    png_with_exif,
    smooth_noise,
    tolerable_files,
    webp_with_exif,
    whole_files,
)

from anime_tf.export import encoded
from anime_tf.export.encoded import EncodedPictures
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.io.pictures import decode_picture, encode_picture

EXACT = 0  # the same libraries decode
CMYK_STEPS = 2  # TensorFlow divides where OpenCV multiplies and shifts

UNSUPPORTED = ("color.bmp", "color.gif")


class Unchanged(keras.Model):
    """Identity, so that the output shows the decoded pixels."""

    STRIDE, MINIMUM_SIDE = 4, 8

    def call(self, x, training=False):
        return x


@pytest.fixture(scope="module")
def pictures():
    return EncodedPictures(PaddedGenerator(Unchanged()))


@pytest.fixture(scope="module")
def stylize(pictures):
    """Function from files to files and errors."""
    run = pictures.function().get_concrete_function()

    def call(files):
        results = run(tf.constant(list(files), tf.string))
        anime, errors = (results[name].numpy().tolist() for name in ("anime_bytes", "error"))
        assert len(anime) == len(errors) == len(files)
        assert all(bool(data) != bool(error) for data, error in zip(anime, errors, strict=True))
        return anime, [error.decode() for error in errors]

    return call


def check_same(stylize, files: dict[str, bytes], steps: int = EXACT) -> None:
    """Compare the results with io.pictures."""
    anime, errors = stylize(files.values())
    for name, data, error in zip(files, anime, errors, strict=True):
        assert error == "", name
        actual = decode_picture(data, name).array_u8
        expected = decode_picture(files[name], name).array_u8
        assert actual.shape == expected.shape, name
        assert np.abs(actual.astype(int) - expected).max() <= steps, name


def test_whole_files_of_all_kinds_in_one_batch(stylize):
    files = {name: data for name, data in whole_files().items() if name not in UNSUPPORTED}
    cmyk = {"cmyk.jpg": files.pop("cmyk.jpg"), "ycck.jpg": flat_jpeg([55, 128, 128, 255], 2)}
    check_same(stylize, files)
    check_same(stylize, cmyk, CMYK_STEPS)
    check_same(stylize, {name: data + b"\0\xff\xd8junk" for name, data in files.items()})


def test_every_orientation_of_every_kind(stylize):
    rgb = smooth_noise(16, 24)
    rgba = np.dstack([rgb, noise(16, 24, 1)])
    lossless = cv2.imencode(".webp", rgb, [cv2.IMWRITE_WEBP_QUALITY, 101])[1].tobytes()
    files = {}
    for orientation in range(1, 9):
        for order in "<>":
            block = exif(orientation, order)
            name = f"{orientation}{order}"
            files[f"{name}.jpg"] = jpeg_with_exif(encode_picture(rgb, ".jpg"), block)
            files[f"{name}.png"] = png_with_exif(encode_picture(rgba, ".png"), block)
            files[f"{name}.webp"] = webp_with_exif(lossless, block, (16, 24), False)
            files[f"{name} prefix.webp"] = webp_with_exif(
                lossless, b"Exif\0\0" + block, (16, 24), False
            )
    check_same(stylize, files)

    broken = [b"", b"II*\0", exif(6)[:15], exif(9), exif(0), b"XX" + exif(6)]
    data = encode_picture(rgb, ".jpg")
    check_same(stylize, {f"broken {i}": jpeg_with_exif(data, b) for i, b in enumerate(broken)})


def test_gray_palette_transparent_and_16_bits(stylize):
    palette = png_chunk(b"PLTE", bytes([9, 8, 7, 250, 100, 50]))
    clear = png_chunk(b"tRNS", b"\x28")
    row = bytes([0b01000000])
    sixteen = struct.pack(">8H", 0, 128, 129, 257, 32768, 65278, 65407, 65535)
    check_same(
        stylize,
        {
            "gray": png(3, 1, 8, 0, [bytes([0, 77, 255])]),
            "gray 16": png(8, 1, 16, 0, [sixteen]),
            "gray jpeg": flat_jpeg([77]),
            "gray alpha": png(2, 1, 8, 4, [bytes([10, 255, 200, 0])]),
            "rgba 16": png(2, 1, 16, 6, [sixteen]),
            "palette": png(2, 1, 1, 3, [row], palette),
            "palette alpha": png(2, 1, 1, 3, [row], palette + clear),
            "gray 2 key": png(4, 1, 2, 0, [bytes([0b00011011])], png_chunk(b"tRNS", b"\0\x02")),
            "gray 8 key": png(2, 1, 8, 0, [bytes([1, 2])], png_chunk(b"tRNS", b"\0\x02")),
            "gray 16 key": png(8, 1, 16, 0, [sixteen], png_chunk(b"tRNS", b"\x01\x01")),
            "rgb key": png(1, 1, 8, 2, [bytes([1, 2, 3])], png_chunk(b"tRNS", b"\0\1\0\2\0\3")),
            "bad profile": png(1, 1, 8, 0, [b"\7"], png_chunk(b"iCCP", b"broken\0\0nothing")),
        },
    )


def test_broken_pictures_do_not_affect_others(stylize):
    for name, data in whole_files().items():
        if name in UNSUPPORTED:
            continue
        spare = {"jpg": 2, "png": 16}.get(name.split(".")[1], 0)  # end marker, checksum and IEND
        end = len(data) - spare
        kept = sorted({end - 1, end - 2, *(len(data) * k // 29 for k in range(2, 29))})
        anime, errors = stylize([data, *(data[:end] for end in kept), data])
        assert errors[0] == errors[-1] == "" and anime[0] == anime[-1]
        kind = {"jpg": "JPEG", "png": "PNG", "webp": "WebP"}[name.split(".")[1]]
        assert set(errors[1:-1]) == {f"{kind} picture: it is cut off; copy or download it again"}

    flipped = bytearray(encode_picture(noise(16, 16), ".png"))
    flipped[flipped.index(b"IDAT") + 40] ^= 1
    no_header = png(1, 1, 8, 0, [b"\7"]).replace(b"IHDR", b"IHDX")
    no_frame = b"\xff\xd8\xff\xda\0\2\xff\xd9"
    no_picture = b"RIFF" + struct.pack("<I", 12) + b"WEBPABCD" + bytes(4)
    for data, words in (
        (bytes(flipped), "broken picture: its pixels cannot be decoded; copy or download it again"),
        (no_header, "PNG picture: it does not begin with an IHDR chunk"),
        (no_frame, "JPEG picture: it contains no picture"),
        (b"\xff\xd8\xff\xfe\0\2\0\0", "JPEG picture: it is cut off"),
        (no_picture, "WebP picture: it contains no picture"),
        (png(0, 5, 8, 0, []), "PNG picture of 0x5 pixels: expected more than 0"),
    ):
        _, (error,) = stylize([data])
        assert error.startswith(words)


def test_damage_that_viewers_tolerate(stylize):
    check_same(stylize, tolerable_files())


def test_orientation_of_any_integer_type(stylize):
    files = whole_files()
    check_same(
        stylize,
        {
            f"{kind}{order}": jpeg_with_exif(files["color.jpg"], exif(6, order, kind))
            for kind in (1, 3, 4, 6, 8, 9)
            for order in "<>"
        },
    )


def test_unsupported_formats(stylize):
    files = whole_files()
    animated = webp_with_exif(files["lossless.webp"], exif(1), (40, 56), False)
    flags = animated.index(b"VP8X") + 8
    animated = animated[:flags] + bytes([animated[flags] | 2]) + animated[flags + 1 :]
    for data, words in (
        (b"", "expected a JPEG, PNG or WebP picture, got an empty file"),
        (b"hello", "got a file that begins with 68 65 6c 6c 6f"),
        (files["color.bmp"], "got a file that begins with 42 4d"),
        (files["color.gif"], "got a file that begins with 47 49 46 38"),
        (animated, "WebP picture: it is animated; send a single picture"),
        (flat_jpeg([1, 2, 3, 4]), "JPEG picture: its CMYK values may mean ink or light"),
    ):
        _, (error,) = stylize([data])
        assert words in error


def test_limits_apply_before_decoding():
    """The files consist of headers, so that decoding would raise another error."""
    small = EncodedPictures(PaddedGenerator(Unchanged()), max_bytes=3000, max_pixels=600)
    run = small.function()
    whole = encode_picture(noise(20, 30), ".png")
    assert len(whole) < 3000
    cases = {
        png(601, 1, 8, 2, []): "PNG picture of 601x1 pixels: expected at most 600",
        png(25, 25, 8, 2, []): "of 25x25 pixels",
        png((1 << 32) - 1, (1 << 32) - 1, 8, 2, []): "of 4294967295x4294967295 pixels",
        whole + bytes(3001 - len(whole)): "file of 3001 bytes: expected at most 3000",
        whole + bytes(3000 - len(whole)): "",
    }
    errors = run(tf.constant(list(cases)))["error"].numpy()
    for error, words in zip(errors, cases.values(), strict=True):
        assert words in error.decode() and bool(words) == bool(error)


def test_number_of_parts_is_limited(stylize):
    empty = png_chunk(b"abcd", b"") * encoded.MAX_PARTS
    scans = b"\xff\xda\0\2" * encoded.MAX_SCANS
    begun_at = time.perf_counter()
    _, errors = stylize(
        [
            png(1, 1, 8, 0, [b"\7"], empty),
            b"\xff\xd8" + b"\xff\x01" * (encoded.MAX_PARTS + 1) + flat_jpeg([7])[2:],
            flat_jpeg([7])[:-2] + scans + b"\xff\xd9",
        ]
    )
    seconds = 20  # 1.5 measured; minutes without the limit
    assert time.perf_counter() - begun_at < seconds
    assert [error.partition("; ")[0] for error in errors] == [
        f"PNG picture: it has more than {encoded.MAX_PARTS} segments or chunks",
        f"JPEG picture: it has more than {encoded.MAX_PARTS} segments or chunks",
        f"JPEG picture: it has more than {encoded.MAX_SCANS} scans",
    ]


def test_jpeg_out(pictures):
    run = pictures.function("jpeg")
    rgb = smooth_noise(40, 56)
    rgba = np.dstack([rgb, noise(40, 56, 1)])
    wide = encode_picture(np.zeros((1, encoded.MAX_JPEG_SIDE + 1, 3), np.uint8), ".png")
    files = [encode_picture(rgb, ".png"), encode_picture(rgba, ".png"), wide]
    results = run(tf.constant(files))
    opaque, flattened, none = results["anime_bytes"].numpy()
    # With the quality and subsampling of io.pictures, the same library makes the same pixels.
    expected = decode_picture(encode_picture(rgb, ".jpg"), "jpeg").rgb_u8
    np.testing.assert_array_equal(decode_picture(opaque, "jpeg").rgb_u8, expected)
    assert opaque == flattened and none == b""
    words = b"PNG picture of 65501x1 pixels: expected sides of at most 65500"
    assert results["error"][2].numpy().startswith(words)
    np.testing.assert_array_equal(results["error"][:2], [b"", b""])


def test_no_pictures_and_unknown_encoding(pictures, stylize):
    assert stylize([]) == ([], [])
    with pytest.raises(ValueError, match="encoding: expected one of png, jpeg, got 'gif'"):
        pictures.function("gif")
