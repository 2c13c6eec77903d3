"""Faces whose landmarks are written down, and photo-like pictures to find them in."""

from __future__ import annotations

import numpy as np

from anime_tf.faces.face import Face


def upright_face(centre=(100.0, 100.0), unit=10.0) -> Face:
    """A face with eyes 2 units left and right, 1 above the centre, and a mouth 3 below it."""
    points = np.zeros((68, 2))
    turn = np.linspace(np.pi, 0, 17)
    points[:17] = np.stack([4.5 * np.cos(turn), 6 * np.sin(turn) - 1], 1)  # jaw, chin at (0, 5)
    points[17:22] = [(x, -2.5) for x in np.linspace(-3.5, -0.5, 5)]
    points[22:27] = [(x, -2.5) for x in np.linspace(0.5, 3.5, 5)]
    points[27:31] = [(0, y) for y in np.linspace(-1, 1, 4)]
    points[31:36] = [(x, 1.5) for x in np.linspace(-1, 1, 5)]
    corners = [(-0.5, 0), (-0.2, -0.2), (0.2, -0.2), (0.5, 0), (0.2, 0.2), (-0.2, 0.2)]
    points[36:42] = np.array(corners) + (-2, -1)
    points[42:48] = np.array(corners) + (2, -1)
    around = np.linspace(np.pi, -np.pi, 20, endpoint=False)
    points[48:68] = np.stack([1.5 * np.cos(around), 0.5 * np.sin(around) + 3], 1)
    points[48], points[54] = (-1.5, 3), (1.5, 3)
    points = points * unit + np.array(centre)
    x, y = centre
    box = (x - 4 * unit, y - 3 * unit, x + 4 * unit, y + 5 * unit)
    return Face(box, 1.0, points)


def five(face: Face) -> Face:
    """The same face with dlib's 5 landmarks."""
    order = [45, 42, 36, 39, 33]
    return Face(face.box, face.score, face.points[order])


def turning(degrees: float, centre=(100.0, 100.0)) -> np.ndarray:
    """The map that turns clockwise about a point."""
    angle = np.deg2rad(degrees)
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    return np.hstack([turn, (np.array(centre) - turn @ centre)[:, None]])


def waves(height: int, width: int, shortest: float = 12.0, seed: int = 0) -> np.ndarray:
    """A smooth picture in colour; no wave of it is shorter than so many pixels."""
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
