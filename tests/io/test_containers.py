import io
import struct

import numpy as np
import pytest
from picture_files import (
    TURNED_HEIC,
    encode_picture,
    exif,
    jpeg_with_exif,
    noise,
    png_chunk,
    png_with_exif,
    smooth_noise,
    tiff_file,
    tolerable_files,
    whole_files,
)
from PIL import Image

from anime_tf.io.pictures import decode_array, decode_picture

RGBA = np.tile(np.uint8([192, 128, 69, 128]), (6, 5, 1))
INTEGERS = (1, 3, 4, 6, 8, 9)  # types of TIFF: BYTE, SHORT, LONG, and the signed ones
# a step of the stored color, divided by the alpha
PREMULTIPLIED_STEPS = 2


# --- damage -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", tolerable_files())
def test_damage_that_viewers_tolerate(name, caplog, capfd):
    picture = decode_picture(tolerable_files()[name], "cam.file")
    whole = decode_picture(whole_files()[name.split()[0]], "whole")
    np.testing.assert_array_equal(picture.array_u8, whole.array_u8)
    assert "cam.file: " in caplog.text
    assert "libpng" not in capfd.readouterr().err


def test_zeros_inside_the_picture_are_decoded_as_viewers_do(caplog):
    data = encode_picture(smooth_noise(64, 64), ".jpg")
    kept = len(data) * 3 // 4
    picture = decode_picture(data[:kept] + bytes(len(data) - kept), "copied.jpg")
    whole = decode_picture(data, "whole").rgb_u8
    np.testing.assert_array_equal(picture.rgb_u8[:32], whole[:32])
    assert "copied.jpg: its last" in caplog.text
    mostly = data[: len(data) // 3]
    with pytest.raises(ValueError, match="copied.jpg: broken JPEG"):
        decode_picture(mostly + bytes(len(data) - len(mostly)), "copied.jpg")


@pytest.mark.parametrize(
    "name",
    [
        "color.jpg",
        "progressive.jpg",
        "restarts.jpg",
        "color.png",
        "alpha.png",
        "color.gif",
        "color.bmp",
        "lossless.webp",
        "large.webp",
        "large.avif",
    ],
)
def test_cut_files_are_refused_or_decoded_on_request(name, caplog, capfd):
    whole = whole_files().get(name) or _large(name)
    data = whole[: len(whole) * 3 // 4]
    with pytest.raises(ValueError, match=f"{name}: .* or use --allow_truncated"):
        decode_picture(data, name)
    picture = decode_picture(data, name, allow_truncated=True)
    expected = decode_picture(whole, name)
    assert picture.size_hw == expected.size_hw
    if name == "color.bmp":  # whose rows are stored upwards
        np.testing.assert_array_equal(picture.rgb_u8[-8:], expected.rgb_u8[-8:])
    elif "progressive" not in name:  # whose every scan is the whole picture
        np.testing.assert_array_equal(picture.rgb_u8[:8], expected.rgb_u8[:8])
    assert f"{name}: it " in caplog.text and "the rest of the picture is missing" in caplog.text
    # The libraries write nothing; the warning is there if an earlier test set up the log.
    assert all(f"{name}: it " in line for line in capfd.readouterr().err.splitlines())


def _large(name):
    file = io.BytesIO()
    Image.fromarray(smooth_noise(192, 128)).save(file, name.split(".")[1], quality=90)
    return file.getvalue()


@pytest.mark.parametrize("name", ["alpha.webp", "large.avif", "turned.heic"])
def test_files_cut_before_their_pixels_are_always_refused(name):
    data = {**whole_files(), "large.avif": _large("a.avif"), "turned.heic": TURNED_HEIC}[name]
    for kept in (20, 30, 60):
        with pytest.raises(ValueError, match=f"^{name}: broken .*copy or download it again$"):
            decode_picture(data[:kept], name, allow_truncated=True)


def test_a_little_of_a_huge_picture_is_always_refused():
    data = bytearray(whole_files()["color.bmp"])
    struct.pack_into("<i", data, 22, 3_720_744)  # the height
    with pytest.raises(ValueError, match="^a.bmp: broken BMP .* bytes; copy or download it again$"):
        decode_picture(bytes(data), "a.bmp", allow_truncated=True)


def test_wrong_checksum_of_iend_is_a_warning(caplog):
    data = whole_files()["color.png"]
    picture = decode_picture(data[:-1] + b"\0", "a.png")
    np.testing.assert_array_equal(picture.rgb_u8, decode_picture(data, "whole").rgb_u8)
    assert "a.png: the checksum of its IEND chunk is wrong" in caplog.text


def test_progressive_jpeg_without_its_last_scan_is_cut():
    data = whole_files()["progressive.jpg"]
    last = data.rindex(b"\xff\xda")
    with pytest.raises(ValueError, match="broken JPEG"):
        decode_picture(data[:last], "p.jpg")


def test_webp_cut_behind_its_picture(caplog):
    file = io.BytesIO()
    image = Image.fromarray(smooth_noise(24, 32))
    image.save(file, "WEBP", lossless=True, xmp=b"x" * 400)
    data = file.getvalue()
    np.testing.assert_array_equal(decode_array(data[:-100], "a.webp"), np.asarray(image))
    assert "a.webp: it has" in caplog.text


# --- orientation ------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", INTEGERS)
@pytest.mark.parametrize("order", ["<", ">"])
def test_orientation_of_every_integer_type(kind, order):
    rgb = smooth_noise(16, 24)
    block = exif(6, order, kind)
    for data in (
        jpeg_with_exif(encode_picture(rgb, ".jpg"), block),
        png_with_exif(encode_picture(rgb, ".png"), block),
        tiff_file(rgb, order=order, orientation=(kind, 6)),
        tiff_file(rgb.astype(np.uint16), order=order, orientation=(kind, 6)),
    ):
        assert decode_array(data, "turned").shape == (24, 16, 3)
    for array in (rgb, rgb.astype(np.uint16)):
        data = tiff_file(array, order=order, orientation=(kind, 6))
        np.testing.assert_array_equal(decode_array(data, "turned"), np.rot90(array, -1))


def test_heic_is_turned_by_its_own_property():
    picture = decode_picture(TURNED_HEIC, "IMG_0001.HEIC")
    assert picture.size_hw == (64, 32)
    corners = [picture.rgb_u8[y, x] for y, x in ((8, 8), (8, 24), (56, 16))]
    colors = [(30, 170, 60), (200, 40, 40), (40, 60, 200)]
    assert np.abs(np.array(corners, int) - colors).max() <= 3
    with pytest.raises(ValueError, match="cut.heic: broken HEIF picture.*allow_truncated"):
        decode_picture(TURNED_HEIC[:-200], "cut.heic")
    cut = decode_picture(TURNED_HEIC[:-200], "cut.heic", allow_truncated=True)
    assert cut.size_hw == (64, 32)


def test_pixels_of_heic_outlive_their_decoder():
    base = decode_array(TURNED_HEIC, "a.heic")
    while isinstance(base, np.ndarray):
        base = base.base
    assert base is None  # not the memory of libheif, which is freed by now


@pytest.mark.parametrize("orientation", [1, 3, 5, 6])
def test_avif(orientation):
    array = np.kron(noise(2, 3, 4), np.ones((16, 16, 1), np.uint8))
    array[..., 3] = 255
    array[:16, :16, 3] = 0
    image, block, file = Image.fromarray(array), Image.Exif(), io.BytesIO()
    block[0x0112] = orientation
    image.save(file, "AVIF", quality=100, subsampling="4:4:4", exif=block)
    picture = decode_picture(file.getvalue(), "a.avif")
    turned = {1: array, 3: array[::-1, ::-1], 5: array.swapaxes(0, 1), 6: np.rot90(array, -1)}
    difference = np.abs(picture.array_u8.astype(int) - turned[orientation])
    visible = turned[orientation][..., 3] > 0
    assert difference[visible].mean() < 2 and difference[..., 3].max() == 0
    with pytest.raises(ValueError, match="cut.avif: broken AVIF picture"):
        decode_picture(file.getvalue()[:-50], "cut.avif")


def test_apng_gives_its_first_frame():
    frames = [Image.fromarray(np.full((6, 8, 4), (v, 9, 7, 255 - v), np.uint8)) for v in (40, 90)]
    file = io.BytesIO()
    frames[0].save(file, "PNG", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(decode_array(file.getvalue(), "a.apng"), np.asarray(frames[0]))


# --- TIFF -------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "big"), [("<", False), (">", False), ("<", True)])
@pytest.mark.parametrize("depth", [np.uint8, np.uint16])
@pytest.mark.parametrize("extra", [(), (0,), (1,), (2,)])
def test_tiff_of_rgba_keeps_straight_colors(extra, depth, order, big):
    stored = RGBA.copy()
    if extra == (1,):
        stored[..., :3] = np.rint(stored[..., :3] * (128 / 255))
    scale = 257 if depth == np.uint16 else 1
    data = tiff_file((stored * np.int64(scale)).astype(depth), extra=extra, order=order, big=big)
    array = decode_array(data, "a.tif")
    assert array.dtype == depth and array.shape == RGBA.shape
    steps = PREMULTIPLIED_STEPS if extra == (1,) else 0
    assert np.abs(array.astype(int) - RGBA.astype(int) * scale).max() <= steps * scale


def test_tiff_of_gray_with_premultiplied_alpha():
    data = tiff_file(np.tile(np.uint8([60, 128]), (3, 4, 1)), 1, extra=(1,))
    np.testing.assert_array_equal(decode_array(data, "a.tif")[0, 0], [120, 120, 120, 128])


def test_unspecified_channel_of_zeros_is_padding():
    stored = RGBA.copy()
    stored[..., 3] = 0
    array = decode_array(tiff_file(stored, extra=(0,)), "a.tif")
    np.testing.assert_array_equal(array, RGBA[..., :3])


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "tiff_adobe_deflate", "packbits"])
@pytest.mark.parametrize("mode", ["1", "L", "P", "RGB", "LA", "CMYK", "LAB"])
def test_tiff_of_8_bits(mode, compression):
    rgb = smooth_noise(20, 30)
    image = Image.fromarray(rgb)
    if mode == "LAB":
        from PIL import ImageCms

        lab, srgb = ImageCms.createProfile("LAB"), ImageCms.createProfile("sRGB")
        image = ImageCms.profileToProfile(image, srgb, lab, outputMode="LAB")
    else:
        image = image.convert(mode)
    file = io.BytesIO()
    image.save(file, "TIFF", compression=compression)
    picture = decode_picture(file.getvalue(), "a.tif")
    if mode == "LAB":
        assert np.abs(picture.rgb_u8.astype(int) - rgb).mean() < 2
        return
    np.testing.assert_array_equal(picture.rgb_u8, np.asarray(image.convert("RGB")))
    assert (picture.alpha_u8 is not None) == (mode == "LA")


def test_tiled_and_multi_page_tiffs():
    rgb = smooth_noise(40, 50)
    file = io.BytesIO()
    Image.fromarray(rgb).save(
        file, "TIFF", save_all=True, append_images=[Image.fromarray(noise(9, 9))]
    )
    np.testing.assert_array_equal(decode_array(file.getvalue(), "pages.tif"), rgb)


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (tiff_file(np.zeros((4, 4, 3), np.float32), format_=3), "float values"),
        (tiff_file(np.zeros((4, 4, 1), np.float32), 1, format_=3), "float values"),
        (tiff_file(np.zeros((4, 4, 3), np.uint32)), "32 bits per channel"),
        (tiff_file(np.zeros((4, 4, 1), np.uint16), 1, format_=2), "signed values"),
        (tiff_file(np.zeros((4, 4, 3), np.uint16), 8), "Lab colors of 16 bits"),
        (tiff_file(np.zeros((4, 4, 2), np.uint16), 1, extra=(2,)), "2 channels of 16 bits"),
        (tiff_file(np.zeros((4, 4, 3), np.uint8), 9), "ICC Lab colors"),
        (tiff_file(np.zeros((4, 4, 1), np.uint16), 32803), "raw sensor data"),
        (tiff_file(RGBA, order=">", big=True), "offsets of 64 bits in big-endian order"),
    ],
)
def test_tiff_variants_that_are_not_supported(data, words):
    with pytest.raises(ValueError, match=f"a.tif: .*{words}, which is not supported") as raised:
        decode_array(data, "a.tif")
    assert "broken" not in str(raised.value)


def test_white_is_zero_in_8_and_16_bits():
    gray = noise(5, 6, 1)[..., None]
    for dtype, white in ((np.uint8, 255), (np.uint16, 65535)):
        data = tiff_file(gray.astype(dtype), 0)
        np.testing.assert_array_equal(
            decode_array(data, "a.tif")[..., 0], white - gray[..., 0].astype(int)
        )


# --- variants that are not supported --------------------------------------------------------


def test_jpeg_and_png_variants_that_are_not_supported():
    jpeg, png = whole_files()["color.jpg"], whole_files()["color.png"]
    frame = jpeg.index(b"\xff\xc0")
    twelve_bits = jpeg[: frame + 4] + b"\x0c" + jpeg[frame + 5 :]
    lossless = jpeg.replace(b"\xff\xc0", b"\xff\xc3")
    apple = png[:8] + png_chunk(b"CgBI", bytes(4)) + png[8:]
    compressed = tiff_file(RGBA).replace(
        struct.pack("<HHII", 259, 3, 1, 1), struct.pack("<HHII", 259, 3, 1, 34712)
    )
    for data, words in (
        (twelve_bits, "JPEG picture with 12 bits per channel"),
        (lossless, "JPEG picture with lossless or hierarchical compression"),
        (apple, "PNG picture with Apple's changes"),
        (compressed, "TIFF picture with compression of type 34712"),
    ):
        with pytest.raises(ValueError, match=f"^a.file: {words}.*, which is not supported"):
            decode_array(data, "a.file")


def test_tiff_of_separate_planes():
    rgb = noise(6, 8)
    data = tiff_file(rgb, separate_planes=True)
    np.testing.assert_array_equal(decode_array(data, "planes.tif"), rgb)
    data = tiff_file(rgb.astype(np.uint16), separate_planes=True)
    with pytest.raises(ValueError, match="separate planes of 16 bits, which is not supported"):
        decode_array(data, "planes.tif")
