"""`Face`, the result of detection, and affine maps between pictures."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]  # left, top, right and bottom in pixels

LANDMARK_COUNTS = (68, 5)  # landmarks of iBUG 300-W, or of dlib's small model

NOSE_TO_MOUTH = 1.36
"""Distance from the eyes to the mouth over that from the eyes to the base of the nose.

The 5 landmarks have no mouth. Median over our test faces, measured with the 68 landmarks.
"""


@dataclass(frozen=True, eq=False)
class Face:
    """A face in a picture.

    Positions are (x, y) in pixels, where (0, 0) is the center of the first pixel. They may lie
    outside the picture.

    Attributes:
        box: Box of the detector.
        score: Confidence of the detector; 0 is its own threshold.
        landmarks: (68, 2) or (5, 2) float32. The 68 have the order of iBUG 300-W: jaw 0..16, brows
            17..26, nose 27..35, eyes 36..47, mouth 48..67, each from left to right in the picture.
            The 5 are dlib's: corners of the right eye in the picture (outer, inner), of the left
            one (outer, inner), base of the nose.
        identity: Number of the person in a video; None in a picture.

    Raises:
        ValueError: Landmarks of another shape.
    """

    box: Box
    score: float
    landmarks: np.ndarray
    identity: int | None = None

    def __post_init__(self) -> None:
        shape = np.shape(self.landmarks)
        if shape not in [(count, 2) for count in LANDMARK_COUNTS]:
            raise ValueError(f"expected landmarks (68, 2) or (5, 2), got shape {shape}")
        object.__setattr__(self, "landmarks", np.asarray(self.landmarks, np.float32))

    @property
    def eyes(self) -> np.ndarray:
        """Centers of the eyes, (2, 2) float32; the left one in an upright picture first."""
        points = self.landmarks
        left, right = (
            (points[36:42], points[42:48]) if len(points) == 68 else (points[2:4], points[0:2])
        )
        return np.stack([left.mean(0), right.mean(0)])

    @property
    def mouth(self) -> np.ndarray:
        """Midpoint between the corners of the mouth, (2,) float32; estimated from 5 landmarks."""
        if len(self.landmarks) == 68:
            return (self.landmarks[48] + self.landmarks[54]) / 2
        eyes = self.eyes.mean(0)
        return eyes + NOSE_TO_MOUTH * (self.landmarks[4] - eyes)

    def transformed(self, matrix: np.ndarray) -> Face:
        """Return the face in a transformed picture; its box is moved and scaled, not rotated.

        Args:
            matrix: (2, 3), maps (x, y, 1) in this picture to (x, y) in the other.
        """
        left, top, right, bottom = self.box
        center = np.array([((left + right) / 2, (top + bottom) / 2)])
        ((x, y),) = transform_points(matrix, center)
        scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
        dx, dy = (right - left) / 2 * scale, (bottom - top) / 2 * scale
        return dataclasses.replace(
            self,
            box=(float(x - dx), float(y - dy), float(x + dx), float(y + dy)),
            landmarks=transform_points(matrix, self.landmarks),
        )


def transform_points(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Map points (n, 2) by an affine matrix (2, 3); returns float64."""
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def resize_transform(source_hw: tuple[int, int], target_hw: tuple[int, int]) -> np.ndarray:
    """Return the map from the pixels of a picture to those of its resized copy, (2, 3) float64."""
    sy, sx = target_hw[0] / source_hw[0], target_hw[1] / source_hw[1]
    # The center of the first pixel lies at 0, its corner at -0.5.
    return np.array([[sx, 0, (sx - 1) / 2], [0, sy, (sy - 1) / 2]])


def iou(first: Box, second: Box) -> float:
    """Return the intersection over union of two boxes, 0 to 1."""
    width = min(first[2], second[2]) - max(first[0], second[0])
    height = min(first[3], second[3]) - max(first[1], second[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / (_area(first) + _area(second) - shared)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
