"""`FilmFaces`: films whose faces are stylised apart, the same face in the same way."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anime_tf.faces.face_stylizer import FaceStylizer
from anime_tf.faces.track import FaceTracker
from anime_tf.metrics.cuts import CutDetector


class FilmFaces:
    """A film's frames through what draws them, and their faces apart.

        draw = FilmFaces(draw_frame, face_stylizer, FaceTracker(FaceFinder()))
        for seconds, photo_u8 in frames:
            anime_u8 = draw(photo_u8, seconds)

    A cut begins anew: nobody is followed across it. The frames of one film go to one object.

    Args:
        draw_frame: Stylises a frame: ``(rgb_u8, seconds) -> rgb_u8``.
        face_stylizer: Stylises and pastes the faces.
        tracker: Finds them.
    """

    def __init__(
        self,
        draw_frame: Callable[[np.ndarray, float], np.ndarray],
        face_stylizer: FaceStylizer,
        tracker: FaceTracker,
    ) -> None:
        self._draw_frame = draw_frame
        self._face_stylizer = face_stylizer
        self._tracker = tracker
        self._cuts = CutDetector()

    def __call__(self, rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Stylises the next frame.

        Args:
            rgb_u8: (height, width, 3) RGB uint8.
            seconds: When it is shown.

        Returns:
            What `draw_frame` makes of it, with its faces stylised apart.
        """
        if self._cuts.begins_shot(rgb_u8, seconds):
            self._tracker.reset()
        anime_u8 = self._draw_frame(rgb_u8, seconds)
        return self._face_stylizer.blend(rgb_u8, anime_u8, self._tracker(rgb_u8, seconds))
