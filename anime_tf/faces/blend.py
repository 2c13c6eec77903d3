"""What of a portrait shows in its picture: a soft mask and its colours."""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.faces.align import Square, beyond_border, square_of
from anime_tf.faces.face import Face, apply
from anime_tf.io import pictures

FOREHEAD = 0.35
"""How far the hull goes beyond the brows, in parts of the way from the chin to them."""

DILATION = 0.03
"""By how much the hull is widened, in parts of the face's unpadded square."""

FEATHER = 0.045
"""Standard deviation of the mask's soft edge, in parts of the face's unpadded square."""

ELLIPSE_CENTRE, ELLIPSE_RADII = (0.0, 0.05), (0.31, 0.36)
"""The mask of faces with 5 landmarks: x and y from the square's middle, in parts of its side.

The median of the outlines of 68 landmarks over the faces that were looked at.
"""

GAIN_RANGE = (0.75, 1.33)
"""Contrast of a portrait is changed by no more than these factors."""


def face_mask(face: Face, square: Square, size: int) -> np.ndarray:
    """How much of each pixel of a portrait shows: the face with its brow, soft at the edge.

    With 68 landmarks their convex hull, raised over the brow; with 5 an ellipse of the same size.

    Args:
        face: The face.
        square: What the portrait shows.
        size: Height and width of the portrait.

    Returns:
        (size, size) float32 in 0..1; zero along its border.
    """
    at = apply(cv2.invertAffineTransform(square.matrix(size)), face.points)
    outline = _outline(at, face, square, size)
    # In sixteenths of a pixel, so that the mask moves as smoothly as the face of a film does.
    fixed = np.rint(outline * 16).astype(np.int32)
    hull_u8 = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(hull_u8, cv2.convexHull(fixed), 255, cv2.LINE_AA, shift=4)
    unit = _unpadded(face, square) * size
    sigma = FEATHER * unit
    radius = max(1, round(DILATION * unit + sigma))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    hull = cv2.dilate(hull_u8, disc).astype(np.float32) / 255
    mask = cv2.GaussianBlur(hull, (0, 0), sigma)
    # A face that a small square cuts off fades out all the same.
    edge = np.minimum(np.arange(size), np.arange(size)[::-1]).astype(np.float32)
    fade = np.clip(edge / max(1.0, 2 * sigma), 0, 1)
    return mask * np.minimum(fade[:, None], fade[None])


def match_colours(portrait_u8: np.ndarray, like_u8: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Gives a portrait the colours of another picture of the same face.

    In CIE L*a*b*, each plane by itself: ``(x - mean(portrait)) * gain + mean(like)``, where the
    gain is the ratio of the standard deviations, within `GAIN_RANGE`.

    Args:
        portrait_u8: (size, size, 3) RGB uint8.
        like_u8: (n, n, 3) RGB uint8, as large or smaller: whose colours it takes.
        weight: (n, n) float32, 0 or more: how much a pixel counts for both.

    Returns:
        (size, size, 3) uint8; the portrait itself where no pixel counts.

    Reference:
        Reinhard et al., Color Transfer between Images, 2001; here in CIE L*a*b*.
    """
    total = float(weight.sum())
    if total <= 0:
        return portrait_u8
    lab, like = _lab(portrait_u8), _lab(like_u8)
    same_size = lab
    if portrait_u8.shape != like_u8.shape:
        same_size = _lab(pictures.resize(portrait_u8, like_u8.shape[:2]))
    part = (weight / np.float32(total))[..., None]

    def statistics(planes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = (planes * part).sum((0, 1))
        return mean, np.sqrt((np.square(planes - mean) * part).sum((0, 1)))

    mean, deviation = statistics(same_size)
    mean_like, deviation_like = statistics(like)
    gain = np.clip((deviation_like + 1e-3) / (deviation + 1e-3), *GAIN_RANGE)
    matched = cv2.cvtColor((lab - mean) * gain + mean_like, cv2.COLOR_Lab2RGB)
    return np.rint(np.clip(matched, 0, 1) * 255).astype(np.uint8)


def _lab(rgb_u8: np.ndarray) -> np.ndarray:
    """CIE L*a*b*, float32: L* in 0..100, a* and b* about -127..127."""
    return cv2.cvtColor(rgb_u8.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def weight_of_colours(mask: np.ndarray, size_hw: tuple[int, int], square: Square) -> np.ndarray:
    """Which pixels of a portrait its colours are taken from: those that show, in the picture.

    Args:
        mask: (size, size) float32, of `face_mask`.
        size_hw: Of the picture.
        square: What the portrait shows.

    Returns:
        (size, size) float32.
    """
    return np.where(beyond_border(size_hw, square, len(mask)) > 0, np.float32(0), mask)


def _unpadded(face: Face, square: Square) -> float:
    """The face's unpadded square in parts of the side of another one."""
    return square_of(face).side / square.side


def _outline(at: np.ndarray, face: Face, square: Square, size: int) -> np.ndarray:
    """Points around the face, in pixels of the portrait."""
    if len(at) == 68:
        brows = at[17:27]
        return np.vstack([at[:17], brows + FOREHEAD * (brows - at[8])])
    unit = _unpadded(face, square) * size
    turn = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ellipse = np.stack([np.cos(turn), np.sin(turn)], 1) * (np.array(ELLIPSE_RADII) * unit)
    return (size - 1) / 2 + np.array(ELLIPSE_CENTRE) * unit + ellipse
