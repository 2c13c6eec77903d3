"""Alignment, cropping and pasting, against numbers computed by hand."""

import cv2
import numpy as np
import pytest
from face_pictures import psnr, turning, upright_face, waves

from anime_tf.faces.align import (
    OrientedSquare,
    crop_portrait,
    distance_outside,
    paste_portrait,
    similarity_transform,
)
from anime_tf.faces.face import transform_points

HUNDREDTH = 0.01  # of a pixel; landmarks are float32
ROUND_TRIP_DB = 48.0  # cubic interpolation twice, of waves no shorter than 12 pixels: 50 to 55 dB


def test_square_from_an_upright_face():
    # Eyes 40 apart at y = 90, mouth at y = 130: 4 * 40 = 160, 3.6 * 40 = 144; a tenth of 40 down.
    square = OrientedSquare.from_face(upright_face())
    np.testing.assert_allclose(square.center, (100, 94), atol=HUNDREDTH)
    assert square.side == pytest.approx(160, abs=HUNDREDTH)
    assert square.angle == pytest.approx(0, abs=1e-4)
    padded = OrientedSquare.from_face(upright_face(), 0.25)
    assert padded.side == pytest.approx(240, abs=HUNDREDTH)
    assert padded.center == square.center


def test_square_of_a_narrow_face_depends_on_the_height():
    # Seen from the side: everything across is half as wide; 3.6 * 40 = 144 > 4 * 20.
    narrow = upright_face().transformed(np.array([[0.5, 0, 50], [0, 1, 0]]))
    assert OrientedSquare.from_face(narrow).side == pytest.approx(144, abs=HUNDREDTH)


@pytest.mark.parametrize("degrees", [30, -75, 160])
def test_square_turns_with_the_face(degrees):
    square = OrientedSquare.from_face(upright_face().transformed(turning(degrees)))
    assert np.rad2deg(square.angle) == pytest.approx(degrees, abs=0.01)
    assert square.side == pytest.approx(160, abs=HUNDREDTH)
    angle = np.deg2rad(degrees)  # (100, 94) lies 6 above the point that it turns about
    expected = (100 + 6 * np.sin(angle), 100 - 6 * np.cos(angle))
    np.testing.assert_allclose(square.center, expected, atol=HUNDREDTH)


def test_matrix_maps_from_portrait_to_picture():
    upright = OrientedSquare((100, 94), 160, 0.0).matrix(80)  # 2 pixels of the picture for one
    # The portrait's corner (-0.5, -0.5) is the square's: (100 - 80, 94 - 80).
    points = transform_points(upright, np.array([(-0.5, -0.5), (79.5, 79.5), (39.5, 39.5)]))
    np.testing.assert_allclose(points, [(20, 14), (180, 174), (100, 94)])
    # A quarter turn clockwise: the portrait's upper left is the upper right of the square.
    turned = OrientedSquare((100, 94), 160, np.pi / 2).matrix(80)
    np.testing.assert_allclose(transform_points(turned, np.array([(-0.5, -0.5)])), [(180, 14)])


def test_similarity_transform():
    one, other = OrientedSquare((10, 20), 4, 0.0), OrientedSquare((30, 5), 8, np.pi / 2)
    # Centre to centre; 1 to the right becomes 2 down.
    points = transform_points(similarity_transform(one, other), np.array([(10, 20), (11, 20)]))
    np.testing.assert_allclose(points, [(30, 5), (30, 7)], atol=1e-9)


def test_aligned_eyes_and_mouth_have_fixed_positions():
    for degrees, scale in ((0, 1), (50, 0.3), (-120, 4)):
        face = upright_face().transformed(scale * turning(degrees))
        inverse = cv2.invertAffineTransform(OrientedSquare.from_face(face).matrix(256))
        # In the unturned square: (x - 100) * 1.6 + 127.5, (y - 94) * 1.6 + 127.5.
        np.testing.assert_allclose(
            transform_points(inverse, face.eyes), [(95.5, 121.1), (159.5, 121.1)], atol=0.05
        )
        np.testing.assert_allclose(
            transform_points(inverse, face.mouth[None]), [(127.5, 185.1)], atol=0.05
        )


def test_portrait_of_whole_pixels_is_a_slice():
    picture = waves(60, 80)
    cut = crop_portrait(
        picture, OrientedSquare((29.5, 24.5), 20, 0.0), 20
    )  # rows 15..34, columns 20..39
    np.testing.assert_array_equal(cut, picture[15:35, 20:40])
    turned = crop_portrait(picture, OrientedSquare((29.5, 24.5), 20, np.pi / 2), 20)
    np.testing.assert_array_equal(turned, np.rot90(picture[15:35, 20:40]))


def test_shrinking_averages_pixels():
    # A board of single pixels is gray from afar; without averaging it would stay black or white.
    board = np.where(np.indices((256, 256)).sum(0) % 2, 255, 0).astype(np.uint8)
    cut = crop_portrait(np.dstack([board] * 3), OrientedSquare((128, 128), 200, 0.3), 40)
    assert np.abs(cut.astype(int) - 127.5).max() < 10


def test_picture_is_reflected_and_blurred_outside_its_border():
    picture = waves(64, 64)
    square = OrientedSquare((-0.5, 31.5), 64, 0.0)  # its left half lies beyond the border
    cut = crop_portrait(picture, square, 64)
    np.testing.assert_array_equal(cut[:, 32:], picture[:, :32])
    # The first pixel beyond is the second one of the picture, all but unblurred.
    np.testing.assert_allclose(cut[:, 31].astype(int), picture[:, 1].astype(int), atol=6)
    edges = np.abs(np.diff(waves(64, 64, shortest=3).astype(int), axis=1)).mean()
    sharp = crop_portrait(waves(64, 64, shortest=3), square, 64)
    blurred = np.abs(np.diff(sharp[:, :24].astype(int), axis=1)).mean()
    assert blurred < 0.75 * edges
    far = distance_outside((64, 64), square, 64)
    assert (far[:, 32:] == 0).all()
    np.testing.assert_allclose(far[5, :2], (32 / 64, 31 / 64))


@pytest.mark.parametrize(("centre", "mirrored"), [(-20.5, 20.5), (83.5, 42.5), (-146.5, 20.5)])
def test_portrait_wholly_outside_is_the_mirrored_picture(centre, mirrored):
    # A slope of 3 a column, 0 to 63: mirrored at 0 and at 63; no blur changes a slope.
    slope = np.tile((np.arange(64) * 3).astype(np.uint8)[None, :, None], (40, 1, 3))
    cut = crop_portrait(slope, OrientedSquare((centre, 19.5), 16, 0.0), 16)
    inside = crop_portrait(slope, OrientedSquare((mirrored, 19.5), 16, 0.0), 16)[:, ::-1]
    np.testing.assert_allclose(cut[:, 3:-3].astype(int), inside[:, 3:-3].astype(int), atol=1)


def test_square_far_outside_and_picture_of_one_pixel():
    assert crop_portrait(waves(20, 30), OrientedSquare((500, -400), 50, 1.0), 16).shape == (
        16,
        16,
        3,
    )
    one = np.full((1, 1, 3), (9, 80, 200), np.uint8)
    np.testing.assert_array_equal(
        crop_portrait(one, OrientedSquare((0, 0), 8, 0.5), 8), np.tile(one, (8, 8, 1))
    )


@pytest.mark.parametrize("side", [20, 90.5, 700])
def test_mask_of_zeros_changes_nothing(side):
    picture = waves(120, 90)
    square = OrientedSquare((40, 70), side, 0.4)
    black = np.zeros((64, 64, 3), np.uint8)
    out = paste_portrait(picture, black, square, np.zeros((64, 64), np.float32))
    np.testing.assert_array_equal(out, picture)
    assert out is not picture


def test_mask_of_ones_shows_the_portrait():
    picture, face = waves(60, 80), np.full((20, 20, 3), (250, 3, 77), np.uint8)
    out = paste_portrait(
        picture, face, OrientedSquare((29.5, 24.5), 20, 0.0), np.ones((20, 20), np.float32)
    )
    np.testing.assert_array_equal(out[15:35, 20:40], face)
    rest = np.ones((60, 80), bool)
    rest[14:36, 19:41] = False
    np.testing.assert_array_equal(out[rest], picture[rest])


def test_mask_of_one_half_mixes():
    picture, face = np.full((40, 40, 3), 100, np.uint8), np.full((10, 10, 3), 200, np.uint8)
    out = paste_portrait(
        picture, face, OrientedSquare((19.5, 19.5), 20, 0.0), np.full((10, 10), 0.5, np.float32)
    )
    assert (out[14:26, 14:26] == 150).all()


@pytest.mark.parametrize(
    ("square", "size"),
    [
        (OrientedSquare((75.3, 60.7), 64.0, 0.35), 64),
        (OrientedSquare((75.3, 60.7), 24.0, -0.8), 256),
        (OrientedSquare((10.0, 110.0), 100.0, 1.2), 128),
        (OrientedSquare((75.0, 60.0), 110.0, 0.1), 100),
    ],
    ids=["same size", "magnified", "at the border", "shrunk a little"],
)
def test_pasting_back_changes_no_more_than_resampling(square, size):
    picture = waves(120, 150)
    mask = np.zeros((size, size), np.float32)
    mask[size // 8 : -size // 8, size // 8 : -size // 8] = 1
    out = paste_portrait(picture, crop_portrait(picture, square, size), square, mask)
    shown = (
        paste_portrait(picture * 0, np.full((size, size, 3), 255, np.uint8), square, mask)[..., 0]
        > 0
    )
    assert shown.any()
    np.testing.assert_array_equal(out[~shown], picture[~shown])
    quality = psnr(out[shown], picture[shown])
    assert quality > ROUND_TRIP_DB, f"{quality:.1f} dB"


def test_errors():
    picture = waves(20, 20)
    with pytest.raises(ValueError, match=r"got \(8, 8, 3\) and \(9, 9\)"):
        paste_portrait(
            picture, picture[:8, :8], OrientedSquare((5, 5), 5, 0.0), np.ones((9, 9), np.float32)
        )
    with pytest.raises(ValueError, match="expected padding greater than -0.5, got -0.5"):
        OrientedSquare.from_face(upright_face(), -0.5)
    with pytest.raises(ValueError, match="got them in one point"):
        OrientedSquare.from_face(upright_face(unit=0.0))
