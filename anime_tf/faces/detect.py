"""Face detection by dlib at a bounded resolution, with landmarks."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from anime_tf.faces.align import OrientedSquare, crop_portrait, similarity_transform
from anime_tf.faces.config import FaceConfig
from anime_tf.faces.dlib_models import import_dlib, load_model, model_path
from anime_tf.faces.face import LANDMARK_COUNTS, Box, Face, iou, resize_transform, transform_points

DETECTOR_PIXELS = {"hog": 80, "cnn": 55}  # width of the smallest face that each detector finds
ROTATIONS = (0, 60, -60)  # rotations in degrees that the search for tilted faces tries

ENLARGEMENT_LIMIT = 0.8
"""Pictures are enlarged to at most this fraction of the largest searched size."""

MAX_IOU = 0.3  # boxes with a larger intersection over union are the same face
SURE_SCORE = 0.5  # detections from this score on need no plausible landmarks

# Median and tolerance over our test faces, upright and rotated: distance between the eyes over the
# width of the box, distance from the eyes to the mouth over that between the eyes, and the cosine
# of the angle between both. With 5 landmarks the nose stands for the mouth, and moves more.
_PROPORTIONS, _TOLERANCES = np.array([0.43, 1.06, 0.0]), np.array([0.035, 0.1, 0.05])
_NOSE_TOLERANCES = np.array([0.035, 0.1, 0.1])
_MAX_DEVIATION = 12.0  # sum of squares

FOLLOW_PIXELS = 200  # width of a face in the crop whose landmarks are predicted when it is followed


class FaceFinder:
    """Finds the faces in pictures.

    A picture is searched at one resolution: enlarged until a face of `min_size` pixels is large
    enough for the detector, at most to four fifths of `search_megapixels`; shrunk if it has more.
    A picture without faces gives an empty list. Threads must not share a finder.

    Args:
        config: Settings; the defaults without one.
        **settings: Settings of the config by name.

    Raises:
        FileNotFoundError: A model file is missing.
        ValueError: dlib is missing, a file is not one of its models, or an invalid setting.
    """

    def __init__(self, config: FaceConfig | None = None, **settings: Any) -> None:
        self.config = (config or FaceConfig()).replace(**settings)
        landmarks = self.config.landmarks
        self._dlib = import_dlib()
        self._predictor = load_model("shape_predictor", model_path(landmarks))
        if self.config.detector == "cnn":
            self._cnn = load_model("cnn_face_detection_model_v1", model_path("cnn"))
        else:
            self._hog = self._dlib.get_frontal_face_detector()
        count = len(self._predict(np.zeros((8, 8, 3), np.uint8), (0, 0, 7, 7)))
        if count not in LANDMARK_COUNTS:
            raise ValueError(
                f"{os.fspath(landmarks)}: expected a model of 68 or 5 landmarks, got one of {count}"
            )

    def __call__(self, photo_u8: np.ndarray) -> list[Face]:
        """Find the faces in a picture.

        Args:
            photo_u8: (height, width, 3) RGB uint8.

        Returns:
            The faces with their landmarks, highest score first.

        Raises:
            ValueError: Another dtype or shape.
        """
        if photo_u8.dtype != np.uint8 or photo_u8.ndim != 3 or photo_u8.shape[2] != 3:
            raise ValueError(
                "expected an RGB picture (height, width, 3) of uint8, got "
                f"{photo_u8.dtype} {photo_u8.shape}"
            )
        faces: list[Face] = []
        if self.config.detector == "hog":
            # HOG on colors uses the steepest channel; luma finds the same faces in 0.7 of the time.
            photo_u8 = cv2.cvtColor(photo_u8, cv2.COLOR_RGB2GRAY)
        for copy_u8, matrix in self._search_copies(photo_u8):
            inverse = cv2.invertAffineTransform(matrix)
            for box, score in self._detect(copy_u8):
                face = Face(box, score, self._predict(copy_u8, box))
                if score >= SURE_SCORE or is_plausible(face):
                    faces.append(face.transformed(inverse))
        return non_max_suppression(faces)

    def follow(self, photo_u8: np.ndarray, face: Face) -> Face:
        """Predict the landmarks of a known face in the next frame (height, width, 3), RGB uint8.

        `face` is the one in the previous frame, found by this finder. Returns it with its new box
        and landmarks, and its old score.
        """
        # An upright crop at the scale at which detectors show faces to the landmark model.
        left, top, right, bottom = face.box
        before = OrientedSquare.from_face(face)
        center = ((left + right) / 2, (top + bottom) / 2)
        around = OrientedSquare(center, 2 * (right - left), before.angle)
        crop_u8 = crop_portrait(photo_u8, around, 2 * FOLLOW_PIXELS)
        if self.config.detector == "hog":
            crop_u8 = cv2.cvtColor(crop_u8, cv2.COLOR_RGB2GRAY)
        low, high = FOLLOW_PIXELS / 2, FOLLOW_PIXELS * 3 / 2
        landmarks = transform_points(
            around.matrix(2 * FOLLOW_PIXELS), self._predict(crop_u8, (low, low, high, high))
        )
        after = dataclasses.replace(face, landmarks=landmarks)
        moved = face.transformed(similarity_transform(before, OrientedSquare.from_face(after)))
        return dataclasses.replace(after, box=moved.box)

    def _search_copies(self, photo_u8: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """Yield the resized and rotated copies to search, each with the map to it."""
        height, width = photo_u8.shape[:2]
        largest = math.sqrt(self.config.search_megapixels * 1e6 / (height * width))
        enlarged = max(1.0, largest * math.sqrt(ENLARGEMENT_LIMIT))
        scale = min(DETECTOR_PIXELS[self.config.detector] / self.config.min_size, enlarged, largest)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        upright = np.ascontiguousarray(cv2.resize(photo_u8, size, interpolation=method))
        matrix = resize_transform((height, width), size[::-1])
        for degrees in ROTATIONS if self.config.tilted else ROTATIONS[:1]:
            if degrees == 0:
                yield upright, matrix
                continue
            rotation = cv2.getRotationMatrix2D(((size[0] - 1) / 2, (size[1] - 1) / 2), degrees, 1.0)
            cos, sin = abs(rotation[0, 0]), abs(rotation[0, 1])
            rotated = (
                math.ceil(size[0] * cos + size[1] * sin),
                math.ceil(size[0] * sin + size[1] * cos),
            )
            rotation[:, 2] += (np.array(rotated) - size) / 2
            combined = rotation @ np.vstack([matrix, (0, 0, 1)])
            copy = cv2.warpAffine(upright, rotation, rotated, borderMode=cv2.BORDER_REPLICATE)
            yield copy, combined

    def _detect(self, copy_u8: np.ndarray) -> list[tuple[Box, float]]:
        """Return boxes and scores in the pixels of a copy."""
        if self.config.detector == "cnn":
            hits = [(hit.rect, hit.confidence) for hit in self._cnn(copy_u8, 0)]
            hits = [(rect, score) for rect, score in hits if score > self.config.threshold]
        else:
            rects, scores, _ = self._hog.run(copy_u8, 0, self.config.threshold)
            hits = list(zip(rects, scores, strict=True))
        return [
            ((float(r.left()), float(r.top()), float(r.right()), float(r.bottom())), float(score))
            for r, score in hits
        ]

    def _predict(self, picture_u8: np.ndarray, box: Box) -> np.ndarray:
        """Return the landmarks (n, 2) of the face in a box."""
        rectangle = self._dlib.rectangle(*(round(side) for side in box))
        shape: Any = self._predictor(picture_u8, rectangle)
        return np.array([(point.x, point.y) for point in shape.parts()], np.float32)


def is_plausible(face: Face) -> bool:
    """Tell whether landmarks have the proportions of a face in the box of a detector."""
    left, right = face.eyes.astype(np.float64)
    across, down = right - left, face.mouth - (left + right) / 2
    apart, tall = math.hypot(*across), math.hypot(*down)
    if apart == 0 or tall == 0:
        return False
    width = face.box[2] - face.box[0]
    found = [apart / width, tall / apart, abs(across @ down) / (apart * tall)]
    tolerances = _TOLERANCES if len(face.landmarks) == 68 else _NOSE_TOLERANCES
    return float(np.sum(((found - _PROPORTIONS) / tolerances) ** 2)) <= _MAX_DEVIATION


def non_max_suppression(faces: list[Face]) -> list[Face]:
    """Keep the best of detections whose boxes overlap by more than `MAX_IOU`; best first."""
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(iou(face.box, other.box) <= MAX_IOU for other in kept):
            kept.append(face)
    return kept
