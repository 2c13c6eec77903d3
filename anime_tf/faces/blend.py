"""Blending: a soft mask of the face, and colors that match the picture."""

from __future__ import annotations

import cv2
import numpy as np

from anime_tf.faces.align import OrientedSquare, distance_outside
from anime_tf.faces.face import Face, transform_points
from anime_tf.io.geometry import resize

FOREHEAD = 0.35
"""Extension of the hull above the brows, as a fraction of the distance from chin to brows."""

DILATION = 0.03  # dilation of the hull, as a fraction of the side of the face's unpadded square

FEATHER = 0.045
"""Standard deviation of the soft edge, as a fraction of the side of the unpadded square."""

ELLIPSE_CENTER, ELLIPSE_RADII = (0.0, 0.05), (0.31, 0.36)
"""Mask of faces with 5 landmarks, as fractions of the side, from the middle of the square.

The median of the outlines of 68 landmarks over our test faces.
"""

GAIN_RANGE = (0.75, 1.33)  # limits of the change of a portrait's contrast


def face_mask(face: Face, square: OrientedSquare, size: int) -> np.ndarray:
    """Return the opacity of each pixel of a portrait: the face with its forehead, soft-edged.

    It is the convex hull of 68 landmarks, raised above the brows, or an ellipse for 5 landmarks:
    (size, size) float32 in 0..1, zero along its border.
    """
    points = transform_points(cv2.invertAffineTransform(square.matrix(size)), face.landmarks)
    unit = OrientedSquare.from_face(face).side / square.side * size
    # Sixteenths of a pixel let the mask move as smoothly as the face in a video.
    outline = np.rint(_outline(points, unit, size) * 16).astype(np.int32)
    hull_u8 = np.zeros((size, size), np.uint8)
    cv2.fillConvexPoly(hull_u8, cv2.convexHull(outline), 255, cv2.LINE_AA, shift=4)
    sigma = FEATHER * unit
    radius = max(1, round(DILATION * unit + sigma))
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * radius + 1, 2 * radius + 1))
    hull = cv2.dilate(hull_u8, disc).astype(np.float32) / 255
    mask = cv2.GaussianBlur(hull, (0, 0), sigma)
    # Fades out at the border even if the square is smaller than the face.
    edge = np.minimum(np.arange(size), np.arange(size)[::-1]).astype(np.float32)
    fade = np.clip(edge / max(1.0, 2 * sigma), 0, 1)
    return mask * np.minimum(fade[:, None], fade[None])


def match_colors(
    portrait_u8: np.ndarray, reference_u8: np.ndarray, weight: np.ndarray
) -> np.ndarray:
    """Give a portrait the colors of another picture of the same face.

    Each channel of CIE L*a*b* becomes ``(x - mean(portrait)) * gain + mean(reference)``. The gain
    is the ratio of the standard deviations, within `GAIN_RANGE`. The reference has the same size or
    a smaller one, that of `weight`, the weights of the pixels in both statistics.

    Returns (size, size, 3) uint8; the portrait itself if all weights are zero.

    Reference:
        Reinhard et al., Color Transfer between Images, 2001; here in CIE L*a*b*.
    """
    total = float(weight.sum())
    if total <= 0:
        return portrait_u8
    lab, reference = _to_lab(portrait_u8), _to_lab(reference_u8)
    small = lab
    if portrait_u8.shape != reference_u8.shape:
        small = _to_lab(resize(portrait_u8, reference_u8.shape[:2]))
    share = (weight / np.float32(total))[..., None]

    def statistics(channels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        mean = (channels * share).sum((0, 1))
        return mean, np.sqrt((np.square(channels - mean) * share).sum((0, 1)))

    mean, deviation = statistics(small)
    reference_mean, reference_deviation = statistics(reference)
    gain = np.clip((reference_deviation + 1e-3) / (deviation + 1e-3), *GAIN_RANGE)
    matched = cv2.cvtColor((lab - mean) * gain + reference_mean, cv2.COLOR_Lab2RGB)
    return np.rint(np.clip(matched, 0, 1) * 255).astype(np.uint8)


def color_weight(mask: np.ndarray, size_hw: tuple[int, int], square: OrientedSquare) -> np.ndarray:
    """Return the weights for `match_colors`: a mask without the pixels outside the picture."""
    return np.where(distance_outside(size_hw, square, len(mask)) > 0, np.float32(0), mask)


def _to_lab(rgb_u8: np.ndarray) -> np.ndarray:
    """Convert to CIE L*a*b*, float32: L* in 0..100, a* and b* about -127..127."""
    return cv2.cvtColor(rgb_u8.astype(np.float32) / 255, cv2.COLOR_RGB2Lab)


def _outline(points: np.ndarray, unit: float, size: int) -> np.ndarray:
    """Return points around the face, in pixels of the portrait."""
    if len(points) == 68:
        brows = points[17:27]
        return np.vstack([points[:17], brows + FOREHEAD * (brows - points[8])])
    angle = np.linspace(0, 2 * np.pi, 64, endpoint=False)
    ellipse = np.stack([np.cos(angle), np.sin(angle)], 1) * (np.array(ELLIPSE_RADII) * unit)
    return (size - 1) / 2 + np.array(ELLIPSE_CENTER) * unit + ellipse
