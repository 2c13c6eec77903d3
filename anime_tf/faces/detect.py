"""Finding faces: dlib's detectors at a bounded size, and landmarks."""

from __future__ import annotations

import dataclasses
import math
import os
from collections.abc import Iterator
from typing import Any

import cv2
import numpy as np

from anime_tf.faces.align import Square, between, portrait, square_of
from anime_tf.faces.config import FaceConfig
from anime_tf.faces.dlib_models import import_dlib, load_model, model_path
from anime_tf.faces.face import POINTS, Box, Face, apply, overlap, resizing

DETECTOR_PIXELS = {"hog": 80, "cnn": 55}
"""How wide the smallest face is that a detector finds."""

TURNS = (0, 60, -60)
"""Degrees by which copies are turned where tilted faces are looked for, too."""

ENLARGED_TO = 0.8
"""Pictures are enlarged to this part of the largest size that is searched, and no further."""

SAME_FACE = 0.3
"""Boxes that overlap by more than this (intersection over union) are one face, found twice."""

FOLLOWED_PIXELS = 200
"""How wide a face is shown to the landmarks when it is followed."""


class FaceFinder:
    """Finds the faces of pictures.

    The picture is searched in one size: enlarged until a face of `min_size` pixels is as large as
    the detector needs, but not beyond four fifths of `search_megapixels`; pictures of more than
    `search_megapixels` are shrunk to that.
    No face is a result like any other. Several threads must not share one finder.

    Args:
        config: Settings; the defaults without one.
        **settings: Settings of the config by name.

    Raises:
        FileNotFoundError: A model file is missing.
        ValueError: dlib is missing, a file is none of its models, or an invalid setting.
    """

    def __init__(self, config: FaceConfig | None = None, **settings: Any) -> None:
        self.config = (config or FaceConfig()).replace(**settings)
        landmarks = self.config.landmarks
        self._dlib = import_dlib()
        self._landmarks = load_model("shape_predictor", model_path(landmarks))
        if self.config.detector == "cnn":
            self._cnn = load_model("cnn_face_detection_model_v1", model_path("cnn"))
        else:
            self._hog = self._dlib.get_frontal_face_detector()
        self._check_landmarks(landmarks)

    def __call__(self, photo_u8: np.ndarray) -> list[Face]:
        """Finds the faces of a picture.

        Args:
            photo_u8: (height, width, 3) RGB uint8; a picture in black and white has three equal
                channels.

        Returns:
            The faces with their landmarks, the surest first; none is an empty list.

        Raises:
            ValueError: Another type or shape.
        """
        if photo_u8.dtype != np.uint8 or photo_u8.ndim != 3 or photo_u8.shape[2] != 3:
            raise ValueError(
                "expected an RGB picture (height, width, 3) of uint8, received "
                f"{photo_u8.dtype} {photo_u8.shape}"
            )
        found: list[Face] = []
        if self.config.detector == "hog":
            # Of colours it would take the steepest plane; luma finds the same in 0.7 of the time.
            photo_u8 = cv2.cvtColor(photo_u8, cv2.COLOR_RGB2GRAY)
        for searched_u8, matrix in self._copies(photo_u8):
            back = cv2.invertAffineTransform(matrix)
            for box, score in self._detect(searched_u8):
                face = Face(box, score, self._points(searched_u8, box))
                found.append(face.moved(back))
        return distinct(found)

    def follow(self, photo_u8: np.ndarray, face: Face) -> Face:
        """Finds the landmarks of a face anew, near to where it was: for the next frame of a film.

        Args:
            photo_u8: (height, width, 3) RGB uint8.
            face: The face as it was, found by this finder.

        Returns:
            The face, its box and landmarks as they are now; its score is the old one.
        """
        # Cut out upright, in the size in which detectors show faces to the landmarks.
        left, top, right, bottom = face.box
        before = square_of(face)
        around = Square(((left + right) / 2, (top + bottom) / 2), 2 * (right - left), before.angle)
        cut_u8 = portrait(photo_u8, around, 2 * FOLLOWED_PIXELS)
        if self.config.detector == "hog":
            cut_u8 = cv2.cvtColor(cut_u8, cv2.COLOR_RGB2GRAY)
        low, high = FOLLOWED_PIXELS / 2, FOLLOWED_PIXELS * 3 / 2
        points = apply(
            around.matrix(2 * FOLLOWED_PIXELS), self._points(cut_u8, (low, low, high, high))
        )
        after = dataclasses.replace(face, points=points)
        box = face.moved(between(before, square_of(after))).box
        return dataclasses.replace(after, box=box)

    def _copies(self, photo_u8: np.ndarray) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        """The picture in the size that is searched, and turned, each with the map to it."""
        height, width = photo_u8.shape[:2]
        to_most = math.sqrt(self.config.search_megapixels * 1e6 / (height * width))
        enlarged = max(1.0, to_most * math.sqrt(ENLARGED_TO))
        scale = min(DETECTOR_PIXELS[self.config.detector] / self.config.min_size, enlarged, to_most)
        size = (max(1, round(width * scale)), max(1, round(height * scale)))
        method = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        upright = np.ascontiguousarray(cv2.resize(photo_u8, size, interpolation=method))
        matrix = resizing((height, width), size[::-1])
        for degrees in TURNS if self.config.tilted else TURNS[:1]:
            if degrees == 0:
                yield upright, matrix
                continue
            turn = cv2.getRotationMatrix2D(((size[0] - 1) / 2, (size[1] - 1) / 2), degrees, 1.0)
            cos, sin = abs(turn[0, 0]), abs(turn[0, 1])
            turned = (
                math.ceil(size[0] * cos + size[1] * sin),
                math.ceil(size[0] * sin + size[1] * cos),
            )
            turn[:, 2] += (np.array(turned) - size) / 2
            both = turn @ np.vstack([matrix, (0, 0, 1)])
            yield cv2.warpAffine(upright, turn, turned, borderMode=cv2.BORDER_REPLICATE), both

    def _detect(self, searched_u8: np.ndarray) -> list[tuple[Box, float]]:
        """Boxes and scores of the faces of a picture, in its own pixels."""
        if self.config.detector == "cnn":
            found = [(hit.rect, hit.confidence) for hit in self._cnn(searched_u8, 0)]
            found = [(rect, score) for rect, score in found if score > self.config.threshold]
        else:
            rects, scores, _ = self._hog.run(searched_u8, 0, self.config.threshold)
            found = list(zip(rects, scores, strict=True))
        return [
            ((float(r.left()), float(r.top()), float(r.right()), float(r.bottom())), float(score))
            for r, score in found
        ]

    def _points(self, picture_u8: np.ndarray, box: Box) -> np.ndarray:
        """Landmarks (n, 2) of the face in a box."""
        rectangle = self._dlib.rectangle(*(round(side) for side in box))
        shape: Any = self._landmarks(picture_u8, rectangle)
        return np.array([(point.x, point.y) for point in shape.parts()], np.float32)

    def _check_landmarks(self, landmarks: str | os.PathLike[str]) -> None:
        count = len(self._points(np.zeros((8, 8, 3), np.uint8), (0, 0, 7, 7)))
        if count not in POINTS:
            raise ValueError(
                f"{os.fspath(landmarks)}: expected a model of 68 or of 5 landmarks, found one of "
                f"{count}; name another file"
            )


def distinct(faces: list[Face]) -> list[Face]:
    """Leaves of every face that was found more than once the surest.

    Args:
        faces: Faces in any order.

    Returns:
        The surest first; none overlaps a surer one by more than `SAME_FACE`.
    """
    kept: list[Face] = []
    for face in sorted(faces, key=lambda face: -face.score):
        if all(overlap(face.box, other.box) <= SAME_FACE for other in kept):
            kept.append(face)
    return kept
