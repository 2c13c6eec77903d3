"""The soft mask of a face, and its colours."""

import cv2
import numpy as np
import pytest
from face_pictures import five, turning, upright_face, waves

from anime_tf.faces.align import Square, square_of
from anime_tf.faces.blend import face_mask, match_colours, weight_of_colours

LAB_ROUNDING = 1.0  # grey levels; uint8 to L*a*b* and back


def masked(face, padding=0.0, size=256):
    square = square_of(face, padding)
    return face_mask(face, square, size), square


@pytest.mark.parametrize("points", [68, 5])
def test_the_mask_shows_the_face_and_is_soft_at_its_edge(points):
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
    # From full to nothing on no less than a twentieth of the side: no seam.
    assert np.abs(np.diff(mask, axis=1)).max() < 1 / 13
    assert np.abs(np.diff(mask, axis=0)).max() < 1 / 13


def test_the_hull_by_hand():
    """Jaw 45 pixels either side of the middle, 1.6 pixels of the portrait each: 72, and 8 more."""
    mask, _ = masked(upright_face())
    row = mask[118]  # of the eyes, where the jaw begins
    inside = np.flatnonzero(row > 0.5)
    widened = 0.03 * 256 + 0.045 * 256  # the dilation and, by its own width, the blur
    assert abs(inside[0] - (127.5 - 72 - widened)) < 3
    assert abs(inside[-1] - (127.5 + 72 + widened)) < 3


@pytest.mark.parametrize("degrees", [40, -110])
def test_the_mask_is_the_same_however_the_face_is_turned(degrees):
    mask, _ = masked(upright_face())
    turned, _ = masked(upright_face().moved(3 * turning(degrees)))
    assert np.abs(mask - turned).max() < 0.05


def test_the_mask_fades_out_in_a_square_that_cuts_the_face_off():
    mask, _ = masked(upright_face(), padding=-0.25)
    assert not mask[-1].any() and not mask[:, 0].any()
    assert mask[128, 128] > 0.999


def test_colours_by_hand():
    """A gray portrait of one tone takes the tone that it shall have."""
    gray, like = np.full((8, 8, 3), 100, np.uint8), np.full((8, 8, 3), (200, 120, 60), np.uint8)
    out = match_colours(gray, like, np.ones((8, 8), np.float32))
    np.testing.assert_allclose(out.astype(int), like.astype(int), atol=LAB_ROUNDING)


def test_mean_and_contrast_are_those_of_what_counts():
    portrait, weight = waves(64, 64), np.zeros((64, 64), np.float32)
    weight[16:48, 16:48] = 1
    like = np.rint((waves(64, 64, seed=1) - 128.0) * 0.9 + 120).astype(np.uint8)
    out = match_colours(portrait, like, weight)

    def statistics(rgb):
        lab = cv2.cvtColor(rgb[16:48, 16:48].astype(np.float32) / 255, cv2.COLOR_RGB2Lab)
        return np.r_[lab.mean((0, 1)), lab.std((0, 1))]

    # L*a*b* reaches 100; a colour or two of these loud ones leaves the range of RGB.
    np.testing.assert_allclose(statistics(out)[:3], statistics(like)[:3], atol=1.5)
    gain = statistics(out)[3:] / statistics(portrait)[3:]
    wanted = np.clip(statistics(like)[3:] / statistics(portrait)[3:], 0.75, 1.33)
    np.testing.assert_allclose(gain, wanted, rtol=0.05)


def test_the_same_picture_keeps_its_colours():
    picture = waves(40, 40)
    out = match_colours(picture, picture, np.ones((40, 40), np.float32))
    np.testing.assert_allclose(out.astype(int), picture.astype(int), atol=LAB_ROUNDING)
    assert match_colours(picture, picture * 0, np.zeros((40, 40), np.float32)) is picture


def test_what_lies_beyond_the_border_does_not_count():
    square = Square((-0.5, 31.5), 64, 0.0)
    weight = weight_of_colours(np.ones((64, 64), np.float32), (64, 64), square)
    assert not weight[:, :32].any()
    assert weight[:, 32:].all()
