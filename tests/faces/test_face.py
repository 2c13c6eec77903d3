"""Faces, and their landmarks under affine maps."""

import numpy as np
import pytest
from face_pictures import five, turning, upright_face

from anime_tf.faces.face import Face, iou, resize_transform, transform_points

HUNDREDTH = 0.01  # of a pixel; landmarks are float32


def test_eyes_and_mouth():
    face = upright_face()
    np.testing.assert_allclose(face.eyes, [(80, 90), (120, 90)], atol=HUNDREDTH)
    np.testing.assert_allclose(face.mouth, (100, 130), atol=HUNDREDTH)


def test_five_landmarks_have_the_same_eyes_and_an_estimated_mouth():
    face = five(upright_face())
    np.testing.assert_allclose(face.eyes, [(80, 90), (120, 90)], atol=HUNDREDTH)
    # The nose ends at (100, 115), 25 below the eyes: 1.36 times that.
    np.testing.assert_allclose(face.mouth, (100, 124), atol=HUNDREDTH)


def test_transformed():
    face = Face((90, 80, 110, 120), 1.5, np.full((5, 2), (110, 100)), identity=3)
    moved = face.transformed(2 * turning(90))  # (x, y) -> 2 * (200 - y, x)
    np.testing.assert_allclose(moved.landmarks[0], (200, 220), atol=HUNDREDTH)
    # Center (100, 100) goes to (200, 200); 20 x 40 pixels become 40 x 80, still upright.
    np.testing.assert_allclose(moved.box, (180, 160, 220, 240), atol=HUNDREDTH)
    assert (moved.score, moved.identity) == (1.5, 3)


def test_resize_transform_keeps_the_corners():
    matrix = resize_transform((10, 40), (5, 80))
    # The corner of the picture lies half a pixel before the center of its first pixel.
    corners = transform_points(matrix, np.array([(-0.5, -0.5), (39.5, 9.5), (0, 0)]))
    np.testing.assert_allclose(corners, [(-0.5, -0.5), (79.5, 4.5), (0.5, -0.25)])


def test_iou():
    assert iou((0, 0, 2, 2), (0, 0, 2, 2)) == 1
    assert iou((0, 0, 2, 2), (1, 1, 3, 3)) == pytest.approx(1 / 7)
    assert iou((0, 0, 2, 2), (2, 0, 4, 2)) == 0


def test_wrong_landmarks():
    with pytest.raises(ValueError, match=r"\(68, 2\) or \(5, 2\), got shape \(4, 2\)"):
        Face((0, 0, 1, 1), 0.0, np.zeros((4, 2)))
