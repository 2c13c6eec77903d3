"""`VideoFaceStylizer`: videos whose faces are stylized on their own, consistently over time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from anime_tf.faces.face_stylizer import FaceStylizer
from anime_tf.faces.track import FaceTracker
from anime_tf.metrics.cuts import CutDetector


class VideoFaceStylizer:
    """Stylizes the frames of one video, and their faces on their own; cuts reset the tracker.

        stylize = VideoFaceStylizer(stylize_frame, face_stylizer, FaceTracker(FaceFinder()))
        for seconds, photo_u8 in frames:
            anime_u8 = stylize(photo_u8, seconds)

    Args:
        stylize_frame: Stylizes a frame: ``(rgb_u8, seconds) -> rgb_u8``.
        face_stylizer: Stylizes and pastes the faces.
        tracker: Finds them.
    """

    def __init__(
        self,
        stylize_frame: Callable[[np.ndarray, float], np.ndarray],
        face_stylizer: FaceStylizer,
        tracker: FaceTracker,
    ) -> None:
        self._stylize_frame = stylize_frame
        self._face_stylizer = face_stylizer
        self._tracker = tracker
        self._cuts = CutDetector()

    def __call__(self, rgb_u8: np.ndarray, seconds: float) -> np.ndarray:
        """Stylize the next frame, (height, width, 3) RGB uint8, at a time in seconds."""
        if self._cuts.begins_shot(rgb_u8, seconds):
            self._tracker.reset()
        anime_u8 = self._stylize_frame(rgb_u8, seconds)
        return self._face_stylizer.blend(rgb_u8, anime_u8, self._tracker(rgb_u8, seconds))
