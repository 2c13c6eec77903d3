"""The guided filter: smoothing that keeps the edges of a guide."""

from __future__ import annotations

from typing import Any

from keras import ops


def guided_filter(guide: Any, picture: Any, radius: int, epsilon: float) -> Any:
    """Filter a picture by a guide, each channel by itself, in float32.

    With m(t) the mean of t over the part of a window of 2 `radius` + 1 that lies in the picture,

        A = (m(guide picture) - m(guide) m(picture)) / (m(guide^2) - m(guide)^2 + epsilon)
        b = m(picture) - A m(guide)
        result = m(A) guide + m(b).

    Args:
        guide: (n, height, width, c); the picture itself for an edge-preserving blur.
        picture: The same shape.
        radius: Pixels of the window on each side of its center.
        epsilon: Variance of the guide below which the result is smooth.

    Reference: He, Sun, Tang, Guided Image Filtering, TPAMI 2013, section 3.
    """
    x, y = ops.cast(guide, "float32"), ops.cast(picture, "float32")

    def mean(t: Any) -> Any:  # padding does not count in it
        return ops.average_pool(t, 2 * radius + 1, strides=1, padding="same")

    mean_x, mean_y = mean(x), mean(y)
    a = (mean(x * y) - mean_x * mean_y) / (mean(x * x) - mean_x * mean_x + epsilon)
    b = mean_y - a * mean_x
    return mean(a) * x + mean(b)
