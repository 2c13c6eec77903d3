"""Faces with known landmarks, and pictures of them."""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.faces.face import Face


def upright_face(center=(100.0, 100.0), unit=10.0) -> Face:
    """Make a face with eyes 2 units left and right and 1 above the center, and a mouth 3 below."""
    points = np.zeros((68, 2))
    turn = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([4.5 * np.cos(turn), 6 * np.sin(turn) - 1], 1)  # jaw, chin at (0, 5)
    points[17:22] = [(x, -2.5) for x in np.linspace(-3.5, -0.5, 5)]
    points[22:27] = [(x, -2.5) for x in np.linspace(0.5, 3.5, 5)]
    points[27:31] = [(0, y) for y in np.linspace(-1, 1, 4)]
    points[31:36] = [(x, 1.5) for x in np.linspace(-1, 1, 5)]
    corners = [(-0.5, 0), (-0.2, -0.2), (0.2, -0.2), (0.5, 0), (0.2, 0.2), (-0.2, 0.2)]
    points[36:42] = np.add(corners, (-2, -1))
    points[42:48] = np.add(corners, (2, -1))
    around = np.linspace(np.pi, -np.pi, 20, endpoint=False)
    points[48:68] = np.stack([1.5 * np.cos(around), 0.5 * np.sin(around) + 3], 1)
    points[48], points[54] = (-1.5, 3), (1.5, 3)
    points = points * unit + np.array(center)
    x, y = center
    box = (x - 4 * unit, y - 3 * unit, x + 4 * unit, y + 5 * unit)
    return Face(box, 1.0, points)


def drawn_face(size: int = 512) -> np.ndarray:
    """Draw a head with a face half as wide as the picture.

    Eyes at (0.412, 0.461) and (0.588, 0.461) of the size, mouth at (0.5, 0.666): dlib
    detects it with a score above 1.
    """
    picture = np.full((512, 512, 3), (150, 170, 190), np.uint8)

    def spot(x: float, y: float, across: float, down: float, color: tuple[int, ...]) -> None:
        centre = (round(256 + 100 * x), round(256 + 100 * y))
        axes = (round(100 * across), round(100 * down))
        cv2.ellipse(picture, centre, axes, 0, 0, 360, color, -1, cv2.LINE_AA)

    spot(0, -0.15, 1.25, 1.65, (60, 40, 30))  # hair
    cv2.rectangle(picture, (206, 376), (306, 476), (190, 150, 125), -1)  # neck
    spot(0, 0.1, 1.05, 1.45, (225, 185, 160))
    for side in (-1, 1):
        spot(0.45 * side, -0.22, 0.27, 0.17, (200, 155, 130))
        spot(0.45 * side, -0.2, 0.22, 0.1, (245, 245, 240))
        spot(0.45 * side, -0.2, 0.1, 0.1, (50, 35, 30))
        spot(0.45 * side, -0.45, 0.3, 0.06, (70, 45, 35))  # brow
        spot(0.14 * side, 0.42, 0.07, 0.05, (140, 95, 80))  # nostril
    spot(0, 0.38, 0.2, 0.06, (190, 140, 115))
    spot(0, 0.1, 0.05, 0.3, (240, 205, 180))
    spot(0, 0.85, 0.38, 0.09, (180, 90, 90))
    spot(0, 0.84, 0.36, 0.02, (90, 40, 40))
    spot(0, 1.05, 0.25, 0.05, (200, 155, 130))
    picture = cv2.GaussianBlur(picture, (0, 0), 4)
    return cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA)


def with_faces(height: int, width: int, *faces: tuple[int, int, int]) -> np.ndarray:
    """Draw heads into a plain picture, each at (left, top, size)."""
    picture = np.full((height, width, 3), (150, 170, 190), np.uint8)
    for left, top, size in faces:
        rows, columns = slice(max(top, 0), top + size), slice(max(left, 0), left + size)
        shown = picture[rows, columns]
        drawn = drawn_face(size)[max(-top, 0) :, max(-left, 0) :]
        shown[:] = drawn[: shown.shape[0], : shown.shape[1]]
    return picture


def five(face: Face) -> Face:
    """Return the same face with dlib's 5 landmarks."""
    order = [45, 42, 36, 39, 33]
    return Face(face.box, face.score, face.landmarks[order])


def turning(degrees: float, center=(100.0, 100.0)) -> np.ndarray:
    """Return the clockwise rotation about a point."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([turn, (np.array(center) - turn @ center)[:, None]])


def waves(height: int, width: int, shortest: float = 12.0, seed: int = 0) -> np.ndarray:
    """Make a smooth color picture of waves of at least `shortest` pixels."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    channels = []
    for _ in range(3):
        turn = random.uniform(0, 2 * np.pi, 4)
        step = 2 * np.pi / random.uniform(shortest, 4 * shortest, 4)
        channels.append(
            sum(
                np.sin(s * (np.cos(t) * x + np.sin(t) * y) + t)
                for s, t in zip(step, turn, strict=True)
            )
        )
    return np.rint(np.stack(channels, -1) * 28 + 125).astype(np.uint8)


def psnr(one: np.ndarray, other: np.ndarray) -> float:
    error = np.square(one.astype(np.float64) - other).mean()
    return float("inf") if error == 0 else float(10 * np.log10(255**2 / error))
