"""Drawing of detected faces into their picture, for inspection."""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.faces.align import OrientedSquare
from anime_tf.faces.face import Face, transform_points

BOX_COLOR = (255, 200, 0)
LANDMARK_COLOR = (0, 255, 80)
SQUARE_COLOR = (60, 140, 255)


def draw_faces(photo_u8: np.ndarray, faces: list[Face], padding: float = 0.0) -> np.ndarray:
    """Draw boxes (yellow) with scores or numbers, aligned squares (blue) and landmarks (green).

    Takes (height, width, 3) RGB uint8, and `padding` as of `OrientedSquare.from_face`; returns a
    new picture.
    """
    out = np.ascontiguousarray(photo_u8).copy()
    line = max(1, round(max(out.shape[:2]) / 600))
    unit_square = np.array([(-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5)])
    for face in faces:
        matrix = OrientedSquare.from_face(face, padding).matrix(1)
        corners = np.rint(transform_points(matrix, unit_square)).astype(np.int32)
        cv2.polylines(out, [corners], True, SQUARE_COLOR, line, cv2.LINE_AA)
        left, top, right, bottom = (round(side) for side in face.box)
        cv2.rectangle(out, (left, top), (right, bottom), BOX_COLOR, line)
        label = f"{face.score:.2f}" if face.identity is None else f"#{face.identity}"
        cv2.putText(
            out,
            label,
            (left, top - 3 * line),
            cv2.FONT_HERSHEY_SIMPLEX,
            0.4 * line,
            BOX_COLOR,
            line,
            cv2.LINE_AA,
        )
        radius = round(16 * max(0.6, (right - left) / 120))  # sixteenths of a pixel
        for x, y in np.rint(face.landmarks * 16).astype(int).tolist():
            cv2.circle(out, (x, y), radius, LANDMARK_COLOR, -1, cv2.LINE_AA, shift=4)
    return out
