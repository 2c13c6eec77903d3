import logging
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
from absl import logging as absl_logging
from picture_files import (
    exif,
    flat_jpeg,
    jpeg_with_exif,
    noise,
    png,
    png_chunk,
    png_with_exif,
    smooth_noise,
    webp_with_exif,
    whole_files,
)

from anime_tf.io import pictures
from anime_tf.io.pictures import (
    Picture,
    decode_array,
    decode_picture,
    encode_picture,
    limit_side,
    read_array,
    read_picture,
    write_picture,
)
from anime_tf.io.pixels import as_type

GOLDEN = Path(__file__).parents[1] / "golden"

# Pillow warns of cut EXIF blocks and TIFF directories.
pytestmark = pytest.mark.filterwarnings("ignore:.*EXIF data:UserWarning")

# The CMYK conversion and JPEG's color transform each round to whole steps.
JPEG_STEPS = 2

# stored pixels 1 2 3 / 4 5 6 as a viewer must show them
ORIENTED = {
    1: [[1, 2, 3], [4, 5, 6]],
    2: [[3, 2, 1], [6, 5, 4]],
    3: [[6, 5, 4], [3, 2, 1]],
    4: [[4, 5, 6], [1, 2, 3]],
    5: [[1, 4], [2, 5], [3, 6]],
    6: [[4, 1], [5, 2], [6, 3]],
    7: [[6, 3], [5, 2], [4, 1]],
    8: [[3, 6], [2, 5], [1, 4]],
}


@pytest.fixture(autouse=True)
def no_handler_of_verbs():
    """Remove the handler of an earlier test's verb, which would log warnings to stderr."""
    handler, handlers = absl_logging.get_absl_handler(), list(logging.root.handlers)
    logging.root.removeHandler(handler)
    yield
    logging.root.handlers[:] = handlers


# --- decoding ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", whole_files())
def test_whole_files_decode_without_stderr_output(name, capfd):
    picture = decode_picture(whole_files()[name], name)
    assert picture.size_hw == ((8, 8) if name == "cmyk.jpg" else (40, 56))
    assert picture.rgb_u8.flags.c_contiguous
    assert (picture.alpha_u8 is not None) == (name.split(".")[0] in ("alpha", "sixteen"))
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", whole_files())
def test_truncated_file_error_names_it_without_stderr_output(name, capfd):
    data = whole_files()[name]
    # Bytes at the end without which all pixels are there: end marker, checksum and IEND, a trailer.
    spare = {"jpg": 2, "png": 16, "gif": 1}.get(name.split(".")[-1], 0)
    end = len(data) - spare
    points = {end - 1, end - 2, *(len(data) * k // 29 for k in range(29))}
    for kept in sorted(points):
        with pytest.raises(ValueError, match=f"^{name}: ") as raised:
            decode_picture(data[:kept], name)
        assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("name", whole_files())
def test_trailing_bytes_are_ignored(name):
    data = whole_files()[name]
    np.testing.assert_array_equal(
        decode_picture(data + b"\0\xff\xd8junk", name).rgb_u8, decode_picture(data, name).rgb_u8
    )


def test_other_files_raise_and_are_named():
    with pytest.raises(ValueError, match="note.jpg: expected a JPEG.*got a text file$"):
        decode_picture(b"hello", "note.jpg")
    with pytest.raises(ValueError, match="data.jpg: .*begins with 00 01 02"):
        decode_picture(b"\0\1\2", "data.jpg")
    with pytest.raises(ValueError, match="nothing.png: .*an empty file"):
        decode_picture(b"", "nothing.png")


def test_flipped_byte_in_png_is_detected():
    data = bytearray(encode_picture(noise(16, 16), ".png"))
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(ValueError, match="flipped.png: .*checksum of its IDAT"):
        decode_picture(bytes(data), "flipped.png")


def test_lossless_formats_keep_colors():
    rgb = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    for suffix in (".png", ".bmp"):
        np.testing.assert_array_equal(decode_picture(encode_picture(rgb, suffix), "p").rgb_u8, rgb)


@pytest.mark.parametrize("transform", [None, 0])
def test_cmyk_is_read_as_inverted(transform):
    # stored c = 255 - ink, so r = c k / 255
    got = decode_picture(flat_jpeg([200, 100, 50, 204], transform), "cmyk").rgb_u8
    expected = [200 * 204 / 255, 100 * 204 / 255, 50 * 204 / 255]
    assert np.abs(got.astype(float) - expected).max() <= JPEG_STEPS


def test_ycck():
    # Y 55 without chroma means stored inks of 255 - 55 = 200 each
    got = decode_picture(flat_jpeg([55, 128, 128, 255], 2), "ycck").rgb_u8
    assert np.abs(got.astype(float) - 200).max() <= JPEG_STEPS


def test_gray_jpeg_and_png_have_three_equal_channels():
    gray = np.array([[0, 77, 255]], np.uint8)
    picture = decode_picture(png(3, 1, 8, 0, [gray.tobytes()]), "gray")
    np.testing.assert_array_equal(picture.rgb_u8, np.dstack([gray] * 3))
    flat = decode_picture(flat_jpeg([77]), "gray").rgb_u8
    np.testing.assert_array_equal(flat, np.full((8, 8, 3), 77))


def test_gray_with_alpha():
    picture = decode_picture(png(2, 1, 8, 4, [bytes([10, 255, 200, 0])]), "gray-alpha")
    np.testing.assert_array_equal(picture.rgb_u8[..., 0], [[10, 200]])
    np.testing.assert_array_equal(picture.alpha_u8, [[255, 0]])


def test_palette_with_transparency():
    palette = png_chunk(b"PLTE", bytes([9, 8, 7, 250, 100, 50]))
    row = bytes([0b01000000])  # indices 0 and 1, one bit each
    opaque = decode_picture(png(2, 1, 1, 3, [row], palette), "palette")
    np.testing.assert_array_equal(opaque.rgb_u8, [[[9, 8, 7], [250, 100, 50]]])
    assert opaque.alpha_u8 is None
    seen = decode_picture(png(2, 1, 1, 3, [row], palette + png_chunk(b"tRNS", b"\x28")), "palette")
    np.testing.assert_array_equal(seen.rgb_u8, opaque.rgb_u8)
    np.testing.assert_array_equal(seen.alpha_u8, [[40, 255]])


@pytest.mark.parametrize(
    ("depth", "row", "key", "values"),
    [
        (2, bytes([0b00011011]), 2, [0, 85, 170, 255]),
        (8, bytes([0, 85, 170, 255]), 170, [0, 85, 170, 255]),
        (16, struct.pack(">4H", 0, 257, 1000, 65535), 1000, [0, 1, 4, 255]),
    ],
)
def test_transparent_gray_value(depth, row, key, values):
    data = png(4, 1, depth, 0, [row], png_chunk(b"tRNS", struct.pack(">H", key)))
    picture = decode_picture(data, "gray")
    np.testing.assert_array_equal(picture.rgb_u8[0, :, 0], values)
    np.testing.assert_array_equal(picture.alpha_u8, [[255, 255, 0, 255]])


def test_transparent_color():
    data = png(
        2, 1, 8, 2, [bytes([1, 2, 3, 4, 5, 6])], png_chunk(b"tRNS", bytes([0, 4, 0, 5, 0, 6]))
    )
    picture = decode_picture(data, "color")
    np.testing.assert_array_equal(picture.rgb_u8, [[[1, 2, 3], [4, 5, 6]]])
    np.testing.assert_array_equal(picture.alpha_u8, [[255, 0]])


def test_sixteen_bits_are_rounded():
    # x / 257: 0, 0.4981, 0.5019, 1, 1000 / 257 = 3.89, 254.50..., 255
    values = [0, 128, 129, 257, 1000, 65407, 65535]
    data = png(7, 1, 16, 0, [struct.pack(">7H", *values)])
    got = decode_picture(data, "sixteen").rgb_u8[0, :, 0]
    np.testing.assert_array_equal(got, [0, 0, 1, 1, 4, 255, 255])
    rgba = decode_picture(png(1, 1, 16, 6, [struct.pack(">4H", 257, 514, 771, 1028)]), "rgba")
    np.testing.assert_array_equal(rgba.array_u8, [[[1, 2, 3, 4]]])


def test_broken_color_profile_is_ignored(capfd):
    profile = png_chunk(b"iCCP", b"broken\0\0" + zlib.compress(b"no profile"))
    picture = decode_picture(png(1, 1, 8, 2, [bytes([1, 2, 3])], profile), "profile")
    np.testing.assert_array_equal(picture.rgb_u8, [[[1, 2, 3]]])
    assert capfd.readouterr().err == ""


def test_first_frame_of_an_animation():
    first, second = np.zeros((6, 8, 3), np.uint8), np.full((6, 8, 3), 255, np.uint8)
    animation = cv2.Animation()
    animation.frames = [first, second]
    animation.durations = np.array([100, 100])
    for suffix in (".gif", ".webp", ".png"):
        done, data = cv2.imencodeanimation(suffix, animation)
        assert done
        picture = decode_picture(data.tobytes(), suffix)
        np.testing.assert_array_equal(picture.rgb_u8, first)


@pytest.mark.parametrize("transparent", [False, True])
def test_gif_with_a_frame_smaller_than_its_canvas(transparent):
    palette = bytes([10, 20, 30, 200, 0, 0, 0, 200, 0, 0, 0, 200])
    control = b"!\xf9\x04\x01\0\0\x02\0" if transparent else b""  # index 2 is seen through
    screen = b"GIF89a" + struct.pack("<HHBBB", 3, 2, 0x81, 0, 0) + palette
    frame = b"," + struct.pack("<HHHHB", 1, 0, 1, 2, 0)
    # codes of three bits: clear, 2, clear, 1, end
    codes = 4 | 2 << 3 | 4 << 6 | 1 << 9 | 5 << 12
    data = screen + control + frame + b"\x02\x02" + codes.to_bytes(2, "little") + b"\0;"
    picture = decode_picture(data, "gif")
    np.testing.assert_array_equal(picture.rgb_u8[:, [0, 2]], np.full((2, 2, 3), [10, 20, 30]))
    np.testing.assert_array_equal(picture.rgb_u8[1, 1], [200, 0, 0])
    if transparent:
        np.testing.assert_array_equal(picture.alpha_u8, [[0, 0, 0], [0, 255, 0]])
    else:
        np.testing.assert_array_equal(picture.rgb_u8[0, 1], [0, 200, 0])


def test_huge_size_is_refused_before_decoding():
    row = [b"\0" * 8]
    big = {
        "png": png(100_000, 100_000, 8, 2, row),
        "jpeg": flat_jpeg([1, 2, 3]).replace(
            b"\xff\xc0\x00\x11\x08\x00\x08\x00\x08", b"\xff\xc0\x00\x11\x08\xff\xff\xff\xff"
        ),
        "bmp": b"BM" + struct.pack("<IIIIii", 99, 0, 54, 40, 100_000, 100_000) + b"\0" * 40,
        "gif": b"GIF89a\xff\xff\xff\xff\0\0\0,\0\0\0\0\xff\xff\xff\xff\0\x02\x01\x00\x00;",
        "webp": webp_with_exif(
            cv2.imencode(".webp", noise(4, 4))[1].tobytes(), b"", (1 << 24, 1 << 24), False
        ),
    }
    for kind, data in big.items():
        with pytest.raises(ValueError, match=f"^{kind}: .* more than the {pictures.MAX_PIXELS}"):
            decode_picture(data, kind)


# --- orientation ------------------------------------------------------------------------------


def numbered(alpha):
    index = np.array([[1, 2, 3], [4, 5, 6]], np.uint8)
    planes = [index * 40, index * 30, index * 20] + ([index * 10 + 100] if alpha else [])
    return np.dstack(planes)


@pytest.mark.parametrize("orientation", ORIENTED)
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("alpha", [False, True])
def test_orientation_of_png_and_webp(orientation, order, alpha):
    array = numbered(alpha)
    expected = np.array(ORIENTED[orientation]) * 40
    block = exif(orientation, order)
    code = cv2.COLOR_RGBA2BGRA if alpha else cv2.COLOR_RGB2BGR
    lossless = cv2.imencode(".webp", cv2.cvtColor(array, code), [cv2.IMWRITE_WEBP_QUALITY, 101])[1]
    for data in (
        png_with_exif(encode_picture(array, ".png"), block),
        webp_with_exif(lossless.tobytes(), block, (2, 3), alpha),
        webp_with_exif(lossless.tobytes(), b"Exif\0\0" + block, (2, 3), alpha),
    ):
        picture = decode_picture(data, "turned")
        np.testing.assert_array_equal(picture.rgb_u8[..., 0], expected)
        if alpha:
            np.testing.assert_array_equal(picture.alpha_u8, expected // 4 + 100)


@pytest.mark.parametrize("orientation", ORIENTED)
def test_orientation_of_jpeg(orientation):
    blocks = np.kron(numbered(False), np.ones((16, 16, 1), np.uint8))
    data = jpeg_with_exif(encode_picture(blocks, ".jpg"), exif(orientation, ">"))
    got = decode_picture(data, "turned").rgb_u8[8::16, 8::16, 0]
    expected = np.array(ORIENTED[orientation]) * 40
    assert np.abs(got.astype(int) - expected).max() <= JPEG_STEPS


@pytest.mark.parametrize("block", [b"", b"II*\0", exif(6)[:15], exif(9), exif(0), b"XX" + exif(6)])
def test_broken_exif_means_upright(block):
    data = jpeg_with_exif(encode_picture(noise(8, 24), ".jpg"), block)
    assert decode_picture(data, "exif").size_hw == (8, 24)


# --- writing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".PNG", ".bmp", ".webp"])
def test_alpha_survives(suffix, tmp_path):
    rgba = np.dstack([smooth_noise(24, 32), noise(24, 32, 1)])
    path = tmp_path / f"a{suffix}"
    write_picture(path, rgba)
    picture = read_picture(path)
    np.testing.assert_array_equal(picture.alpha_u8, rgba[..., 3])
    if suffix != ".webp":
        np.testing.assert_array_equal(picture.array_u8, rgba)


def test_jpeg_drops_alpha_and_keeps_thin_colored_lines(tmp_path):
    rgb = np.full((16, 16, 3), 255, np.uint8)
    rgb[:, 7] = (255, 0, 0)
    picture = Picture(rgb, np.zeros((16, 16), np.uint8))
    write_picture(tmp_path / "a.jpg", picture)
    back = read_picture(tmp_path / "a.jpg")
    assert back.alpha_u8 is None
    # With subsampled chroma the line's green would rise above 60.
    assert np.abs(back.rgb_u8[:, 7].astype(int) - (255, 0, 0)).max() < 20


def test_quality_changes_size():
    rgb = smooth_noise(64, 64)
    for suffix in (".jpg", ".webp"):
        assert len(encode_picture(rgb, suffix, quality=30)) < len(encode_picture(rgb, suffix))


def test_unwritable_pictures_raise(tmp_path):
    rgb = noise(4, 4)
    with pytest.raises(ValueError, match=r"expected a picture format of \.jpg.* got \.jp2"):
        encode_picture(rgb, ".jp2")
    with pytest.raises(ValueError, match="expected quality in 1..100, got 0"):
        encode_picture(rgb, ".jpg", quality=0)
    with pytest.raises(ValueError, match="wide.webp: expected at most 16383 .* 20000x1"):
        write_picture(tmp_path / "wide.webp", np.zeros((1, 20000, 3), np.uint8))
    with pytest.raises(ValueError, match="float32"):
        encode_picture(rgb.astype(np.float32), ".png")
    assert list(tmp_path.iterdir()) == []


def test_missing_files_and_folders_raise(tmp_path):
    with pytest.raises(
        FileNotFoundError, match="gone.png: no such file or folder; expected a picture file"
    ):
        read_picture(tmp_path / "gone.png")
    with pytest.raises(ValueError, match="expected a picture file, got a folder"):
        read_picture(tmp_path)
    target = tmp_path / "no" / "a.png"
    with pytest.raises(FileNotFoundError) as raised:
        write_picture(target, noise(4, 4))
    assert raised.value.filename == str(target)


def test_transparent_colors_do_not_leak():
    # What hides under transparency stays where it is in its own plane.
    picture = Picture(np.full((8, 8, 3), 90, np.uint8), noise(8, 8, 1))
    small = limit_side(picture, 4)
    np.testing.assert_array_equal(small.rgb_u8, np.full((4, 4, 3), 90))


def test_limit_side():
    picture = Picture(noise(30, 60))
    assert limit_side(picture, 0) is picture
    assert limit_side(picture, 60) is picture
    assert limit_side(picture, 20).size_hw == (10, 20)
    assert limit_side(Picture(noise(1, 500)), 100).size_hw == (1, 100)
    with pytest.raises(ValueError, match="expected max_side of 0"):
        limit_side(picture, -1)


def test_picture_checks_its_arrays():
    with pytest.raises(ValueError, match="expected rgb_u8 as"):
        Picture(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match=r"\(4, 5\)"):
        Picture(noise(4, 4), noise(4, 5, 1))


# --- depth ------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".png", ".tif", ".tiff"])
@pytest.mark.parametrize("channels", [3, 4])
def test_16_bits_survive(tmp_path, suffix, channels):
    deep = np.random.default_rng(3).integers(0, 65536, (6, 5, channels), dtype=np.uint16)
    path = tmp_path / f"deep{suffix}"
    write_picture(path, deep)
    np.testing.assert_array_equal(read_array(path), deep)
    np.testing.assert_array_equal(read_picture(path).array_u8, as_type(deep, np.uint8))
    with pytest.raises(ValueError, match=r"expected a format with 16 bits .* got \.jpg"):
        encode_picture(deep, ".jpg")
    plain = noise(4, 7)
    write_picture(path, plain)
    np.testing.assert_array_equal(read_array(path), plain)


def tiff(*fields, order="<", extra=b""):
    """A TIFF of one strip, by hand."""
    head = struct.pack(order + "2sHI", b"II" if order == "<" else b"MM", 42, 8)
    start = 8 + 2 + 12 * len(fields) + 4
    packed = b""
    for tag, value in fields:
        value = start if value is None else value
        packed += struct.pack(order + "HHI", tag, 4, 1) + struct.pack(order + "I", value)
    return head + struct.pack(order + "H", len(fields)) + packed + bytes(4) + extra


def gray_tiff(order="<", orientation=1, width=3):
    """[[0, 1, 2], [3, 4, 5]] * 10000 in 16 bits of gray."""
    pixels = (np.arange(6) * 10000).astype(order + "u2")
    return tiff(
        (256, width), (257, 2), (258, 16), (259, 1), (262, 1), (273, None), (274, orientation),
        (277, 1), (278, 2), (279, 12), order=order, extra=pixels.tobytes(),
    )  # fmt: skip


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    ("orientation", "upright"),
    [(1, [[0, 1, 2], [3, 4, 5]]), (3, [[5, 4, 3], [2, 1, 0]]), (6, [[3, 0], [4, 1], [5, 2]])],
)
def test_tiff_of_16_bits_upright(order, orientation, upright):
    array = decode_array(gray_tiff(order, orientation), "a.tif")
    expected = np.repeat(np.array(upright, np.uint16)[..., None] * 10000, 3, axis=2)
    np.testing.assert_array_equal(array, expected)


def test_broken_tiffs():
    whole = gray_tiff()
    with pytest.raises(ValueError, match=r"a\.tif: broken TIFF picture"):
        decode_array(whole[:40], "a.tif")
    with pytest.raises(ValueError, match=r"a\.tif: broken TIFF picture"):
        decode_array(whole[:-8], "a.tif")
    with pytest.raises(ValueError, match="gives no size"):
        decode_array(tiff((258, 8)), "a.tif")
    with pytest.raises(ValueError, match="CMYK colors of 1 bits, which is not supported"):
        decode_array(tiff((256, 3), (257, 2), (262, 5)), "a.tif")
    with pytest.raises(ValueError, match="more than the 268435456"):
        decode_array(gray_tiff(width=1 << 30), "a.tif")
