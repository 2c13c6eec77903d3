import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from icc_profiles import (
    ADOBE_COLUMNS,
    P3_COLUMNS,
    curve_of_gamma,
    curve_of_table,
    decode_srgb,
    encode_srgb,
    gray_profile,
    matrix_profile,
    table_profile,
)
from picture_files import noise, png, png_chunk
from PIL import Image, ImageCms

from anime_tf.io import profiles
from anime_tf.io.hdr import HLG, PQ, tone_map
from anime_tf.io.pictures import decode_array, decode_picture, encode_picture
from anime_tf.io.profiles import Primaries, to_srgb

# littlecms rounds to 8 bits, in the middle of its work too
LEVELS = 1
MEAN_LEVELS = 0.3
# D50 and D65 have four digits; dark colors at the edge of the gamut magnify that
DEEP_LEVELS, DEEP_MEAN_LEVELS = 0.7, 0.02

SRGB_TO_XYZ_D50 = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def expected(rgb, columns, decode):
    """sRGB in 0..1 of (..., 3) colors in 0..1, by hand."""
    linear = decode(rgb) @ np.array(columns) @ np.linalg.inv(SRGB_TO_XYZ_D50).T
    return encode_srgb(np.clip(linear, 0, 1))


def lab(rgb):
    return cv2.cvtColor(np.float32(rgb).reshape(1, -1, 3), cv2.COLOR_RGB2Lab)[0].astype(float)


CURVES = {
    "srgb": (None, decode_srgb),
    "gamma": (curve_of_gamma(2.19921875), lambda x: x**2.19921875),
    "linear": (b"curv" + bytes(8), lambda x: x),
    "table": (
        curve_of_table(np.rint(np.linspace(0, 1, 4096) ** 1.8 * 65535).astype(int)),
        lambda x: x**1.8,
    ),
}


@pytest.mark.parametrize("name", CURVES)
@pytest.mark.parametrize("columns", [P3_COLUMNS, ADOBE_COLUMNS])
def test_matrix_profiles_in_8_and_16_bits(name, columns):
    curve, decode = CURVES[name]
    profile = matrix_profile(columns, curve)
    colors_u8 = noise(40, 50)
    wanted = expected(colors_u8 / 255, columns, decode)
    error = np.abs(to_srgb(colors_u8, profile) / 255 - wanted) * 255
    assert error.mean() < MEAN_LEVELS and error.max() < 2 * LEVELS
    deep = np.random.default_rng(0).integers(0, 65536, (40, 50, 3), dtype=np.uint16)
    error = np.abs(to_srgb(deep, profile) / 65535 - expected(deep / 65535, columns, decode)) * 255
    assert error.mean() < DEEP_MEAN_LEVELS and error.max() < DEEP_LEVELS


def test_p3_red_of_a_phone():
    # 0.9020 0.0784 0.0784 in sRGB, whose P3 values are 211, 51, 39
    picture = to_srgb(np.array([[[211, 51, 39]]], np.uint8), matrix_profile())
    assert np.abs(picture[0, 0].astype(int) - (230, 20, 20)).max() <= 2


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tiff", ".gif", ".avif"])
def test_profile_of_each_format(suffix):
    rgb, profile = np.tile(np.uint8([[[180, 90, 60]]]), (16, 16, 1)), matrix_profile(ADOBE_COLUMNS)
    file = io.BytesIO()
    lossless = {"lossless": True} if suffix == ".webp" else {}
    Image.fromarray(rgb).save(
        file, Image.registered_extensions()[suffix], icc_profile=profile, quality=100, **lossless
    )
    data = file.getvalue()
    if suffix == ".gif":  # Pillow does not write the profile
        parts = [profile[at : at + 255] for at in range(0, len(profile), 255)]
        block = b"!\xff\x0bICCRGBG1012" + b"".join(bytes([len(p)]) + p for p in parts) + b"\0"
        at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
        data = data[:at] + block + data[at:]
    got = decode_picture(data, "p").rgb_u8.reshape(-1, 3).mean(axis=0)
    wanted = to_srgb(rgb, profile)[0, 0]
    assert wanted[0] > 195  # far from 180
    assert np.abs(got - wanted).max() < 3  # JPEG's and AVIF's own steps


def test_bmp_with_a_profile_and_with_calibrated_colors():
    rgb, profile = np.uint8([[[180, 90, 60]]]), matrix_profile(ADOBE_COLUMNS)

    def bmp(kind, numbers=b"", profile=b""):
        header = struct.pack("<IiiHHIIiiII", 124, 1, 1, 1, 24, 0, 4, 0, 0, 0, 0) + bytes(16) + kind
        header = (header + numbers).ljust(112, b"\0") + struct.pack("<III", 128, len(profile), 0)
        body = header + rgb[0, 0, ::-1].tobytes() + b"\0" + profile
        return b"BM" + struct.pack("<IHHI", 14 + len(body), 0, 0, 14 + 124) + body

    wanted = to_srgb(rgb, profile)
    np.testing.assert_array_equal(decode_array(bmp(b"DEBM", profile=profile), "b"), wanted)
    np.testing.assert_array_equal(decode_array(bmp(b"BGRs"), "b"), rgb)
    # end points of Adobe RGB: xyz times the luminance of each primary
    points = ((0.64, 0.33, 0.2974), (0.21, 0.71, 0.6273), (0.15, 0.06, 0.0753))
    ends = [v * y for x, v_y, y in points for v in (x / v_y, 1, (1 - x - v_y) / v_y)]
    numbers = [round(v * (1 << 30)) for v in ends] + [round(2.2 * 65536)] * 3
    got = decode_array(bmp(bytes(4), struct.pack("<12i", *numbers)), "b")
    assert np.abs(got.astype(int) - wanted).max() <= 4  # its gamma of 2.2 counts as sRGB's curve


def test_16_bit_png_and_tiff_keep_their_depth():
    deep = np.random.default_rng(1).integers(0, 65536, (8, 9, 4), dtype=np.uint16)
    curve, decode = CURVES["gamma"]
    profile = matrix_profile(ADOBE_COLUMNS, curve)
    rows = [row.astype(">u2").tobytes() for row in deep]
    chunk = png_chunk(b"iCCP", b"adobe\0\0" + zlib.compress(profile))
    array = decode_array(png(9, 8, 16, 6, rows, chunk), "deep.png")
    wanted = expected(deep[..., :3] / 65535, ADOBE_COLUMNS, decode) * 65535
    assert array.dtype == np.uint16 and np.abs(array[..., :3] - wanted).max() < DEEP_LEVELS * 257
    np.testing.assert_array_equal(array[..., 3], deep[..., 3])


def test_gray_profiles():
    ramp = np.arange(256, dtype=np.uint8)[None]
    wanted = encode_srgb((ramp[0] / 255) ** 1.8) * 255
    for data in (
        png(256, 1, 8, 0, [ramp.tobytes()], icc_chunk(gray_profile(1.8))),
        png(256, 1, 8, 4, [np.stack([ramp, ramp], -1).tobytes()], icc_chunk(gray_profile(1.8))),
        # A gray picture may have a profile of colors.
        png(256, 1, 8, 0, [ramp.tobytes()], icc_chunk(matrix_profile(curve=curve_of_gamma(1.8)))),
    ):
        got = decode_picture(data, "gray").rgb_u8
        assert np.ptp(got, axis=2).max() <= LEVELS
        assert np.abs(got[0, :, 1] - wanted).max() < 2 * LEVELS
    deep = np.arange(0, 65536, 64, dtype=np.uint16)
    data = png(1024, 1, 16, 0, [deep.astype(">u2").tobytes()], icc_chunk(gray_profile(1.8)))
    error = decode_array(data, "deep")[0, :, 0] / 257 - encode_srgb((deep / 65535) ** 1.8) * 255
    assert np.abs(error).mean() < 0.3 and np.abs(error).max() < 2 * LEVELS


def icc_chunk(profile):
    return png_chunk(b"iCCP", b"p\0\0" + zlib.compress(profile))


def test_table_profiles():
    # colors that are stored as 1 - x
    profile = table_profile(b"RGB ", lambda x: lab(1 - x.reshape(-1, 3)), 3, points=33)
    rgb = cv2.GaussianBlur(noise(30, 40), (0, 0), 3)
    eight = to_srgb(255 - rgb, profile)
    assert np.abs(eight.astype(int) - rgb).mean() < 1
    sixteen = to_srgb((255 - rgb).astype(np.uint16) * 257, profile)
    error = np.abs(sixteen / 257 - eight)
    assert sixteen.dtype == np.uint16 and error.mean() < 0.5 and error.max() < 3


@pytest.mark.parametrize("container", ["jpg", "tiff"])
def test_cmyk_profile(container):
    # full ink of K alone is a dark gray of Lab 20, of C, M, Y the colors of a net of simple mixing
    def ink_lab(x):
        rgb = (1 - x[..., :3]) * (1 - 0.8 * x[..., 3:])
        return lab(rgb.reshape(-1, 3))

    profile = table_profile(b"CMYK", ink_lab, 4, points=7)
    inks = np.tile(np.uint8([[[30, 120, 200, 40]]]), (16, 16, 1))
    file = io.BytesIO()
    image = Image.frombytes("CMYK", (16, 16), inks.tobytes())
    image.save(file, {"jpg": "JPEG", "tiff": "TIFF"}[container], icc_profile=profile, quality=100)
    got = decode_picture(file.getvalue(), "inks").rgb_u8[8, 8]
    wanted = ImageCms.profileToProfile(
        image, ImageCms.ImageCmsProfile(io.BytesIO(profile)), ImageCms.createProfile("sRGB"),
        outputMode="RGB",
    ).getpixel((8, 8))  # fmt: skip
    assert np.abs(got.astype(int) - wanted).max() <= 3  # JPEG's steps
    plain = [(255 - c) * (255 - 40) / 255 for c in (30, 120, 200)]
    assert np.abs(np.array(wanted) - plain).max() > 4


def test_srgb_profiles_change_no_pixel():
    rgb = noise(16, 16)
    for profile in (
        profiles.srgb_profile(),
        matrix_profile(SRGB_TO_XYZ_D50.T),
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes(),
    ):
        rows = [row.tobytes() for row in rgb]
        data = png(16, 16, 8, 2, rows, icc_chunk(profile))
        np.testing.assert_array_equal(decode_array(data, "srgb"), rgb)


@pytest.mark.parametrize(
    ("profile", "reason"),
    [
        (b"no profile", "it is damaged"),
        (matrix_profile()[:200], "it is damaged"),
        (gray_profile(2.2), "it is for GRAY colors, the picture has RGB"),
        (b"", "it is damaged"),
    ],
)
def test_unusable_profile_is_ignored_with_a_warning(profile, reason, caplog, capfd):
    data = png(1, 1, 8, 2, [bytes([1, 2, 3])], icc_chunk(profile))
    np.testing.assert_array_equal(decode_array(data, "a.png"), [[[1, 2, 3]]])
    assert f"a.png: color profile ignored, {reason}" in caplog.text
    assert "lcms" not in capfd.readouterr().err


def test_incomplete_profile_of_a_jpeg_is_ignored_with_a_warning(caplog):
    profile = matrix_profile()
    data = encode_picture(np.full((8, 8, 3), 100, np.uint8), ".jpg")
    start = data.index(b"\xff\xe2")
    length = int.from_bytes(data[start + 2 : start + 4], "big")
    body = b"ICC_PROFILE\0\1\2" + profile
    segment = b"\xff\xe2" + struct.pack(">H", len(body) + 2) + body
    damaged = data[:start] + segment + data[start + 2 + length :]
    np.testing.assert_array_equal(decode_array(damaged, "a.jpg"), decode_array(data, "b.jpg"))
    assert "a.jpg: color profile ignored" in caplog.text
    halves = (profile[:100], profile[100:])
    bodies = [b"ICC_PROFILE\0" + bytes([n + 1, 2]) + half for n, half in enumerate(halves)]
    segments = [b"\xff\xe2" + struct.pack(">H", len(b) + 2) + b for b in reversed(bodies)]
    whole = data[:start] + b"".join(segments) + data[start + 2 + length :]
    got, wanted = (
        decode_array(whole, "c.jpg")[0, 0],
        to_srgb(np.full((1, 1, 3), 100, np.uint8), profile),
    )
    np.testing.assert_array_equal(got, wanted[0, 0])


def test_primaries_of_png_chunks():
    rgb = np.uint8([[[180, 90, 60], [20, 200, 120]]])
    p3 = to_srgb(rgb, matrix_profile())

    def decode(*chunks):
        return decode_array(png(2, 1, 8, 2, [rgb.tobytes()], b"".join(chunks)), "p.png")

    cicp = decode(png_chunk(b"cICP", bytes([12, 13, 0, 1])))
    assert np.abs(cicp.astype(int) - p3).max() <= LEVELS
    points = (31270, 32900, 68000, 32000, 26500, 69000, 15000, 6000)
    chrm = png_chunk(b"cHRM", struct.pack(">8I", *points))
    gama = png_chunk(b"gAMA", struct.pack(">I", 45455))
    assert np.abs(decode(gama, chrm).astype(int) - p3).max() <= LEVELS
    linear = decode(png_chunk(b"gAMA", struct.pack(">I", 100000)))
    assert np.abs(linear - encode_srgb(rgb / 255) * 255).max() <= LEVELS
    points = (31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)
    srgb = png_chunk(b"cHRM", struct.pack(">8I", *points))
    for chunks in ((gama,), (gama, srgb), (chrm, png_chunk(b"sRGB", b"\0")), (chrm,)):
        np.testing.assert_array_equal(decode(*chunks), rgb)


def test_hdr_pictures_are_tone_mapped_as_videos():
    deep = np.random.default_rng(2).integers(0, 65536, (4, 5, 3), dtype=np.uint16)
    for transfer in (PQ, HLG):
        rows = [row.astype(">u2").tobytes() for row in deep]
        data = png(5, 4, 16, 2, rows, png_chunk(b"cICP", bytes([9, transfer, 0, 1])))
        got = decode_picture(data, "hdr.png").rgb_u8
        np.testing.assert_array_equal(got, tone_map(deep, transfer, 9))


def test_primaries_by_code_points():
    assert Primaries.from_cicp(1, 13) is None
    assert Primaries.from_cicp(2, 2) is None
    assert Primaries.from_cicp(1, 1) is None  # what cameras write for sRGB
    gray = np.full((1, 1, 3), 120, np.uint8)
    for primaries in (5, 6, 9, 11, 12):
        colors = Primaries.from_cicp(primaries, 13)
        assert np.abs(to_srgb(gray, colors).astype(int) - gray).max() <= LEVELS  # white stays white


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
def test_output_is_tagged(suffix):
    for channels in (3, 4):
        data = encode_picture(noise(8, 8, channels), suffix)
        assert Image.open(io.BytesIO(data)).info["icc_profile"] == profiles.srgb_profile()
    assert encode_picture(noise(8, 8), suffix) == encode_picture(noise(8, 8), suffix)


def test_16_bit_tiff_is_tagged_and_names_its_alpha():
    deep = np.random.default_rng(3).integers(0, 65536, (6, 5, 4), dtype=np.uint16)
    data = encode_picture(deep, ".tiff")
    image = Image.open(io.BytesIO(data))
    assert image.info["icc_profile"] == profiles.srgb_profile()
    assert image.tag_v2[338] == (2,)
    np.testing.assert_array_equal(decode_array(data, "deep"), deep)


def test_hand_made_profiles_are_valid():
    for profile in (
        matrix_profile(),
        gray_profile(2.2),
        matrix_profile(ADOBE_COLUMNS),
    ):
        ImageCms.ImageCmsProfile(io.BytesIO(profile))
