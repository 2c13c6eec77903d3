"""Soft masks and color matching."""

import cv2
import numpy as np
import pytest
from face_pictures import five, turning, upright_face, waves

from anime_tf.faces.align import OrientedSquare
from anime_tf.faces.blend import color_weight, face_mask, match_colors

LAB_ROUNDING = 1.0  # gray levels; uint8 to L*a*b* and back


def masked(face, padding=0.0, size=256):
    square = OrientedSquare.from_face(face, padding)
    return face_mask(face, square, size), square


@pytest.mark.parametrize("points", [68, 5])
def test_mask_covers_the_face_with_a_soft_edge(points):
    face = upright_face() if points == 68 else five(upright_face())
    mask, _ = masked(face)
    assert mask.dtype == np.float32
    assert mask.shape == (256, 256)
    assert mask.min() == 0 and mask.max() <= 1
    # Eyes and mouth of an aligned face: see test_align.
    for x, y in ((95, 121), (159, 121), (127, 185), (127, 150)):
        assert mask[y, x] > 0.98
    for side in (mask[0], mask[-1], mask[:, 0], mask[:, -1]):
        assert not side.any()
    # Falls from 1 to 0 over at least a twentieth of the side: no visible seam.
    assert np.abs(np.diff(mask, axis=1)).max() < 1 / 13
    assert np.abs(np.diff(mask, axis=0)).max() < 1 / 13


def test_hull_by_hand():
    """The jaw extends 45 pixels to each side, 72 in the portrait, plus the dilation."""
    mask, _ = masked(upright_face())
    row = mask[118]  # of the eyes, where the jaw begins
    inside = np.flatnonzero(row > 0.5)
    widened = 0.03 * 256 + 0.045 * 256  # the dilation and, by its own width, the blur
    assert abs(inside[0] - (127.5 - 72 - widened)) < 3
    assert abs(inside[-1] - (127.5 + 72 + widened)) < 3


@pytest.mark.parametrize("degrees", [40, -110])
def test_mask_does_not_depend_on_rotation(degrees):
    mask, _ = masked(upright_face())
    turned, _ = masked(upright_face().transformed(3 * turning(degrees)))
    assert np.abs(mask - turned).max() < 0.05


def test_mask_fades_out_in_a_square_smaller_than_the_face():
    mask, _ = masked(upright_face(), padding=-0.25)
    assert not mask[-1].any() and not mask[:, 0].any()
    assert mask[128, 128] > 0.999


def test_colors_by_hand():
    """A uniform gray portrait takes the color of the reference."""
    gray, like = np.full((8, 8, 3), 100, np.uint8), np.full((8, 8, 3), (200, 120, 60), np.uint8)
    out = match_colors(gray, like, np.ones((8, 8), np.float32))
    np.testing.assert_allclose(out.astype(int), like.astype(int), atol=LAB_ROUNDING)


def test_mean_and_contrast_of_weighted_pixels_match():
    portrait, weight = waves(64, 64), np.zeros((64, 64), np.float32)
    weight[16:48, 16:48] = 1
    like = np.rint((waves(64, 64, seed=1) - 128.0) * 0.9 + 120).astype(np.uint8)
    out = match_colors(portrait, like, weight)

    def statistics(rgb):
        lab = cv2.cvtColor(rgb[16:48, 16:48].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        return np.r_[lab.mean((0, 1)), lab.std((0, 1))]

    # L*a*b* reaches 100; some of these saturated colors leave the range of RGB.
    np.testing.assert_allclose(statistics(out)[:3], statistics(like)[:3], atol=1.5)
    gain = statistics(out)[3:] / statistics(portrait)[3:]
    wanted = np.clip(statistics(like)[3:] / statistics(portrait)[3:], 0.75, 1.33)
    np.testing.assert_allclose(gain, wanted, rtol=0.05)


def test_identical_picture_keeps_its_colors():
    picture = waves(40, 40)
    out = match_colors(picture, picture, np.ones((40, 40), np.float32))
    np.testing.assert_allclose(out.astype(int), picture.astype(int), atol=LAB_ROUNDING)
    assert match_colors(picture, picture * 0, np.zeros((40, 40), np.float32)) is picture


def test_pixels_outside_the_picture_have_no_weight():
    square = OrientedSquare((-0.5, 31.5), 64, 0.0)
    weight = color_weight(np.ones((64, 64), np.float32), (64, 64), square)
    assert not weight[:, :32].any()
    assert weight[:, 32:].all()
