"""The square of a face, cutting it out and pasting it back, against numbers worked out by hand."""

import cv2
import numpy as np
import pytest
from face_pictures import psnr, turning, upright_face, waves

from anime_tf.faces.align import Square, between, beyond_border, paste, portrait, square_of
from anime_tf.faces.face import apply

HUNDREDTH = 0.01  # of a pixel; landmarks are float32
ROUND_TRIP_DB = 48.0  # cubic interpolation twice, of waves no shorter than 12 pixels: 50 to 55 dB


def test_square_of_an_upright_face():
    # Eyes 40 apart at y = 90, mouth at y = 130: 4 * 40 = 160, 3.6 * 40 = 144; a tenth of 40 down.
    square = square_of(upright_face())
    np.testing.assert_allclose(square.centre, (100, 94), atol=HUNDREDTH)
    assert square.side == pytest.approx(160, abs=HUNDREDTH)
    assert square.angle == pytest.approx(0, abs=1e-4)
    padded = square_of(upright_face(), 0.25)
    assert padded.side == pytest.approx(240, abs=HUNDREDTH)
    assert padded.centre == square.centre


def test_a_narrow_face_is_measured_from_the_eyes_to_the_mouth():
    # Seen from the side: everything across is half as wide; 3.6 * 40 = 144 > 4 * 20.
    narrow = upright_face().moved(np.array([[0.5, 0, 50], [0, 1, 0]]))
    assert square_of(narrow).side == pytest.approx(144, abs=HUNDREDTH)


@pytest.mark.parametrize("degrees", [30, -75, 160])
def test_square_turns_with_the_face(degrees):
    square = square_of(upright_face().moved(turning(degrees)))
    assert np.rad2deg(square.angle) == pytest.approx(degrees, abs=0.01)
    assert square.side == pytest.approx(160, abs=HUNDREDTH)
    angle = np.deg2rad(degrees)  # (100, 94) lies 6 above the point that it turns about
    expected = (100 + 6 * np.sin(angle), 100 - 6 * np.cos(angle))
    np.testing.assert_allclose(square.centre, expected, atol=HUNDREDTH)


def test_the_matrix_leads_from_portrait_to_picture():
    upright = Square((100, 94), 160, 0.0).matrix(80)  # 2 pixels of the picture for one
    # The portrait's corner (-0.5, -0.5) is the square's: (100 - 80, 94 - 80).
    points = apply(upright, np.array([(-0.5, -0.5), (79.5, 79.5), (39.5, 39.5)]))
    np.testing.assert_allclose(points, [(20, 14), (180, 174), (100, 94)])
    # A quarter turn clockwise: the portrait's upper left is the upper right of the square.
    turned = Square((100, 94), 160, np.pi / 2).matrix(80)
    np.testing.assert_allclose(apply(turned, np.array([(-0.5, -0.5)])), [(180, 14)])


def test_between():
    one, other = Square((10, 20), 4, 0.0), Square((30, 5), 8, np.pi / 2)
    # Centre to centre; 1 to the right becomes 2 down.
    points = apply(between(one, other), np.array([(10, 20), (11, 20)]))
    np.testing.assert_allclose(points, [(30, 5), (30, 7)], atol=1e-9)


def test_eyes_and_mouth_lie_where_they_always_do():
    for degrees, scale in ((0, 1), (50, 0.3), (-120, 4)):
        face = upright_face().moved(scale * turning(degrees))
        inverse = cv2.invertAffineTransform(square_of(face).matrix(256))
        # In the unturned square: (x - 100) * 1.6 + 127.5, (y - 94) * 1.6 + 127.5.
        np.testing.assert_allclose(
            apply(inverse, face.eyes), [(95.5, 121.1), (159.5, 121.1)], atol=0.05
        )
        np.testing.assert_allclose(apply(inverse, face.mouth[None]), [(127.5, 185.1)], atol=0.05)


def test_a_portrait_of_whole_pixels_is_a_part_of_the_picture():
    picture = waves(60, 80)
    cut = portrait(picture, Square((29.5, 24.5), 20, 0.0), 20)  # rows 15..34, columns 20..39
    np.testing.assert_array_equal(cut, picture[15:35, 20:40])
    turned = portrait(picture, Square((29.5, 24.5), 20, np.pi / 2), 20)
    np.testing.assert_array_equal(turned, np.rot90(picture[15:35, 20:40]))


def test_shrinking_averages():
    # A board of single pixels is gray from afar; without averaging it would stay black or white.
    board = np.where(np.indices((256, 256)).sum(0) % 2, 255, 0).astype(np.uint8)
    cut = portrait(np.dstack([board] * 3), Square((128, 128), 200, 0.3), 40)
    assert np.abs(cut.astype(int) - 127.5).max() < 10


def test_beyond_the_border_the_picture_is_reflected_and_blurred():
    picture = waves(64, 64)
    square = Square((-0.5, 31.5), 64, 0.0)  # its left half lies beyond the border
    cut = portrait(picture, square, 64)
    np.testing.assert_array_equal(cut[:, 32:], picture[:, :32])
    # The first pixel beyond is the second one of the picture, all but unblurred.
    np.testing.assert_allclose(cut[:, 31].astype(int), picture[:, 1].astype(int), atol=6)
    edges = np.abs(np.diff(waves(64, 64, shortest=3).astype(int), axis=1)).mean()
    sharp = portrait(waves(64, 64, shortest=3), square, 64)
    blurred = np.abs(np.diff(sharp[:, :24].astype(int), axis=1)).mean()
    assert blurred < 0.75 * edges
    far = beyond_border((64, 64), square, 64)
    assert (far[:, 32:] == 0).all()
    np.testing.assert_allclose(far[5, :2], (32 / 64, 31 / 64))


@pytest.mark.parametrize("centre, mirrored", [(-20.5, 20.5), (83.5, 42.5), (-146.5, 20.5)])
def test_what_lies_wholly_beyond_is_the_mirrored_picture(centre, mirrored):
    # A slope of 3 a column, 0 to 63: mirrored at 0 and at 63; no blur changes a slope.
    slope = np.tile((np.arange(64) * 3).astype(np.uint8)[None, :, None], (40, 1, 3))
    cut = portrait(slope, Square((centre, 19.5), 16, 0.0), 16)
    inside = portrait(slope, Square((mirrored, 19.5), 16, 0.0), 16)[:, ::-1]
    np.testing.assert_allclose(cut[:, 3:-3].astype(int), inside[:, 3:-3].astype(int), atol=1)


def test_a_square_far_outside_and_a_picture_of_one_pixel():
    assert portrait(waves(20, 30), Square((500, -400), 50, 1.0), 16).shape == (16, 16, 3)
    one = np.full((1, 1, 3), (9, 80, 200), np.uint8)
    np.testing.assert_array_equal(portrait(one, Square((0, 0), 8, 0.5), 8), np.tile(one, (8, 8, 1)))


@pytest.mark.parametrize("side", [20, 90.5, 700])
def test_a_mask_of_zeros_is_the_identity(side):
    picture = waves(120, 90)
    square = Square((40, 70), side, 0.4)
    black = np.zeros((64, 64, 3), np.uint8)
    out = paste(picture, black, square, np.zeros((64, 64), np.float32))
    np.testing.assert_array_equal(out, picture)
    assert out is not picture


def test_a_mask_of_ones_shows_the_portrait():
    picture, face = waves(60, 80), np.full((20, 20, 3), (250, 3, 77), np.uint8)
    out = paste(picture, face, Square((29.5, 24.5), 20, 0.0), np.ones((20, 20), np.float32))
    np.testing.assert_array_equal(out[15:35, 20:40], face)
    rest = np.ones((60, 80), bool)
    rest[14:36, 19:41] = False
    np.testing.assert_array_equal(out[rest], picture[rest])


def test_half_a_mask_mixes():
    picture, face = np.full((40, 40, 3), 100, np.uint8), np.full((10, 10, 3), 200, np.uint8)
    out = paste(picture, face, Square((19.5, 19.5), 20, 0.0), np.full((10, 10), 0.5, np.float32))
    assert (out[14:26, 14:26] == 150).all()


@pytest.mark.parametrize(
    ("square", "size"),
    [
        (Square((75.3, 60.7), 64.0, 0.35), 64),
        (Square((75.3, 60.7), 24.0, -0.8), 256),
        (Square((10.0, 110.0), 100.0, 1.2), 128),
        (Square((75.0, 60.0), 110.0, 0.1), 100),
    ],
    ids=["same size", "magnified", "at the border", "shrunk a little"],
)
def test_a_portrait_pasted_back_changes_no_more_than_resampling(square, size):
    picture = waves(120, 150)
    mask = np.zeros((size, size), np.float32)
    mask[size // 8 : -size // 8, size // 8 : -size // 8] = 1
    out = paste(picture, portrait(picture, square, size), square, mask)
    shown = paste(picture * 0, np.full((size, size, 3), 255, np.uint8), square, mask)[..., 0] > 0
    assert shown.any()
    np.testing.assert_array_equal(out[~shown], picture[~shown])
    quality = psnr(out[shown], picture[shown])
    assert quality > ROUND_TRIP_DB, f"{quality:.1f} dB"


def test_what_does_not_belong_together():
    picture = waves(20, 20)
    with pytest.raises(ValueError, match=r"received \(8, 8, 3\) and \(9, 9\)"):
        paste(picture, picture[:8, :8], Square((5, 5), 5, 0.0), np.ones((9, 9), np.float32))
    with pytest.raises(ValueError, match="padding must be greater than -0.5"):
        square_of(upright_face(), -0.5)
    with pytest.raises(ValueError, match="found them in one place"):
        square_of(upright_face(unit=0.0))
