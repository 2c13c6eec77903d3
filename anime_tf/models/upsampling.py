"""Bilinear upsampling by 2, with the three sample positions that published networks use."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE


def upsample_legacy(x: Any) -> Any:
    """Double height and width of (n, h, w, c) as TensorFlow 1's bilinear resize does.

    With `align_corners` and `half_pixel_centers` both off, on each axis

        out[2 i] = x[i],    out[2 i + 1] = (x[i] + x[min(i + 1, n - 1)]) / 2.
    """
    for axis in (1, 2):
        x = _interleave(x, (x + _neighbor(x, axis, 1)) * 0.5, axis)
    return x


def upsample_half_pixel(x: Any) -> Any:
    """Double height and width of (n, h, w, c) bilinearly with half-pixel centers.

    As TensorFlow 2's resize and PyTorch's `interpolate(align_corners=False)`, on each axis

        out[2 i] = (x[max(i - 1, 0)] + 3 x[i]) / 4,
        out[2 i + 1] = (3 x[i] + x[min(i + 1, n - 1)]) / 4.
    """
    for axis in (1, 2):
        before, after = _neighbor(x, axis, -1), _neighbor(x, axis, 1)
        x = _interleave(x * 0.75 + before * 0.25, x * 0.75 + after * 0.25, axis)
    return x


def upsample_align_corners(x: Any) -> Any:
    """Double height and width of (n, h, w, c) bilinearly with aligned corners.

    As PyTorch's `interpolate(align_corners=True)`: out[i] lies at i (n - 1) / (2 n - 1).
    """
    for axis in (1, 2):
        x = align_corners_axis(x, axis, 0, ops.shape(x)[axis])
    return x


def align_corners_axis(x: Any, axis: int, begin: Any, total: Any) -> Any:
    """Double one axis of a part of a picture with the corners of the picture aligned.

    The part (n, h, w, c) begins at `begin` of `total` on axis 1 or 2 of the picture; beyond its
    ends its border values are repeated.
    """
    side = ops.shape(x)[axis]
    # In integers: the position between two values is exact for every size.
    place = (ops.arange(2 * side, dtype="int32") + 2 * begin) * (total - 1)
    place = place - begin * (2 * total - 1)
    lower = ops.floor_divide(place, 2 * total - 1)
    part = ops.cast(place - lower * (2 * total - 1), "float32")
    part = part / ops.cast(2 * total - 1, "float32")
    upper = ops.minimum(lower + 1, side - 1)
    lower = ops.maximum(lower, 0)
    part = ops.cast(ops.reshape(part, (-1, 1, 1) if axis == 1 else (-1, 1)), x.dtype)
    below = ops.take(x, lower, axis=axis)
    return below + (ops.take(x, upper, axis=axis) - below) * part


def _neighbor(x: Any, axis: int, step: int) -> Any:
    """x[i + 1] or x[i - 1] on an axis; the border value is repeated."""
    if axis == 1:
        parts = [x[:, 1:], x[:, -1:]] if step > 0 else [x[:, :1], x[:, :-1]]
    else:
        parts = [x[:, :, 1:], x[:, :, -1:]] if step > 0 else [x[:, :, :1], x[:, :, :-1]]
    return ops.concatenate(parts, axis=axis)


def _interleave(even: Any, odd: Any, axis: int) -> Any:
    """Alternate the values of two tensors along an axis."""
    shape = list(ops.shape(even))
    shape[axis] = shape[axis] * 2
    return ops.reshape(ops.stack([even, odd], axis=axis + 1), shape)


# sample positions: TensorFlow 1; TensorFlow 2 and PyTorch; PyTorch with aligned corners
UPSAMPLINGS = {
    "legacy": upsample_legacy,
    "half_pixel": upsample_half_pixel,
    "align_corners": upsample_align_corners,
}


@keras.saving.register_keras_serializable(PACKAGE)
class Upsample2x(keras.layers.Layer):
    """Bilinear upsampling of (n, h, w, c) to (n, 2 h, 2 w, c); `mode` is a key of `UPSAMPLINGS`."""

    def __init__(self, mode: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in UPSAMPLINGS:
            raise ValueError(f"expected upsampling of {', '.join(UPSAMPLINGS)}, got {mode!r}")
        self.mode = mode

    def call(self, inputs: Any) -> Any:
        return UPSAMPLINGS[self.mode](inputs)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "mode": self.mode}
