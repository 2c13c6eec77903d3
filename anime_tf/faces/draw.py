"""Faces drawn into their picture, for looking at what was found."""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.faces.align import square_of
from anime_tf.faces.face import Face, apply

BOX_COLOUR = (255, 200, 0)
POINT_COLOUR = (0, 255, 80)
SQUARE_COLOUR = (60, 140, 255)


def draw_faces(photo_u8: np.ndarray, faces: list[Face], padding: float = 0.0) -> np.ndarray:
    """Draws boxes with scores, squares, and landmarks.

    Args:
        photo_u8: (height, width, 3) RGB uint8.
        faces: What to draw.
        padding: Of the squares, as `square_of` takes it.

    Returns:
        A new picture: boxes yellow, the squares in which faces are stylised blue, landmarks green.
    """
    out = np.ascontiguousarray(photo_u8).copy()
    line = max(1, round(max(out.shape[:2]) / 600))
    for face in faces:
        ends = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
        corners = np.rint(apply(square_of(face, padding).matrix(1), ends)).astype(np.int32)
        cv2.polylines(out, [corners], True, SQUARE_COLOUR, line, cv2.LINE_AA)
        left, top, right, bottom = (round(side) for side in face.box)
        cv2.rectangle(out, (left, top), (right, bottom), BOX_COLOUR, line)
        label = f"{face.score:.2f}" if face.identity is None else f"#{face.identity}"
        cv2.putText(
            out,
            label,
            (left, top - 3 * line),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4 * line,
            BOX_COLOUR,
            line,
            cv2.LINE_AA,
        )
        radius = round(16 * max(0.6, (right - left) / 120))  # sixteenths of a pixel
        for x, y in np.rint(face.points * 16).astype(int).tolist():
            cv2.circle(out, (x, y), radius, POINT_COLOUR, -1, cv2.LINE_AA, shift=4)
    return out
