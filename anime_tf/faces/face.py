"""`Face`, what all steps pass on: where a face is, and its landmarks."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass

import numpy as np

Box = tuple[float, float, float, float]
"""Left, top, right and bottom of a face, in pixels."""

POINTS = (68, 5)
"""How many landmarks a face may have: the 68 of iBUG 300-W, or dlib's 5."""

NOSE_TO_MOUTH = 1.36
"""How many times as far from the eyes as the base of the nose the mouth lies.

For the 5 landmarks, which leave the mouth out: the median over the faces that were looked at, as
measured with the 68 landmarks.
"""


@dataclass(frozen=True, eq=False)
class Face:
    """A face of a picture.

    Positions are (x, y) in pixels of the picture, where (0, 0) is the centre of its first pixel;
    they may lie outside of the picture.

    Attributes:
        box: What the detector found: left, top, right, bottom.
        score: How sure the detector is; 0 is its own threshold.
        points: Landmarks, (68, 2) or (5, 2) float32. The 68 are in the order of iBUG 300-W: jaw
            0..16, brows 17..26, nose 27..35, eyes 36..47, mouth 48..67, each from the left of the
            picture to its right. The 5 are dlib's: corners of the eye on the right of the picture
            (outer, inner), of that on the left (outer, inner), base of the nose.
        identity: Number of the person in a film, None in a picture.

    Raises:
        ValueError: Points of another shape.
    """

    box: Box
    score: float
    points: np.ndarray
    identity: int | None = None

    def __post_init__(self) -> None:
        """Checks the shape, so that wrong landmarks fail where they are made."""
        shape = np.shape(self.points)
        if shape not in ((68, 2), (5, 2)):
            raise ValueError(f"points must be landmarks (68, 2) or (5, 2), got shape {shape}")
        object.__setattr__(self, "points", np.asarray(self.points, np.float32))

    @property
    def eyes(self) -> np.ndarray:
        """Centres of the eyes, (2, 2) float32: that on the left of an upright face first."""
        if len(self.points) == 68:
            return np.stack([self.points[36:42].mean(0), self.points[42:48].mean(0)])
        return np.stack([self.points[2:4].mean(0), self.points[0:2].mean(0)])

    @property
    def mouth(self) -> np.ndarray:
        """Middle of the corners of the mouth, (2,) float32; estimated where there are 5 points."""
        if len(self.points) == 68:
            return (self.points[48] + self.points[54]) / 2
        between = self.eyes.mean(0)
        return between + NOSE_TO_MOUTH * (self.points[4] - between)

    def moved(self, matrix: np.ndarray) -> Face:
        """The face of a picture that was moved, turned or scaled.

        Args:
            matrix: (2, 3): maps (x, y, 1) of this picture to (x, y) of the other.

        Returns:
            The face there; its box is moved and scaled, but stays upright.
        """
        left, top, right, bottom = self.box
        ((x, y),) = apply(matrix, np.array([((left + right) / 2, (top + bottom) / 2)]))
        scale = math.sqrt(abs(np.linalg.det(matrix[:, :2])))
        across, down = (right - left) / 2 * scale, (bottom - top) / 2 * scale
        return dataclasses.replace(
            self,
            box=(float(x - across), float(y - down), float(x + across), float(y + down)),
            points=apply(matrix, self.points),
        )


def apply(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Maps points by an affine matrix.

    Args:
        matrix: (2, 3).
        points: (n, 2), x and y.

    Returns:
        (n, 2) float64.
    """
    return np.asarray(points, np.float64) @ matrix[:, :2].T + matrix[:, 2]


def resizing(before_hw: tuple[int, int], after_hw: tuple[int, int]) -> np.ndarray:
    """The map from the pixels of a picture to those of its resized copy.

    Args:
        before_hw: Height and width of the picture.
        after_hw: Of the copy.

    Returns:
        (2, 3) float64: from (x, y, 1) to (x, y).
    """
    down, across = after_hw[0] / before_hw[0], after_hw[1] / before_hw[1]
    # The first pixel's centre lies at 0, its corner at -0.5.
    return np.array([[across, 0, (across - 1) / 2], [0, down, (down - 1) / 2]])


def overlap(one: Box, other: Box) -> float:
    """Intersection of two boxes over their union.

    Args:
        one: A box.
        other: Another.

    Returns:
        0 where they do not touch, 1 where they are the same.
    """
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    both = width * height
    return both / (_area(one) + _area(other) - both)


def _area(box: Box) -> float:
    return (box[2] - box[0]) * (box[3] - box[1])
