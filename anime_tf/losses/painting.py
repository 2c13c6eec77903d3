"""Distances between a generated picture and the painting of the same photo.

Pictures are float32 (n, height, width, 3) in [-1, 1], RGB. Every function returns a float32 scalar.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from keras import ops

from anime_tf.io.color import LUMA_WEIGHTS
from anime_tf.losses.perceptual import l1_loss, rgb_to_yuv

# Added to a squared gradient: the root has no derivative at 0.
_EPSILON = 1e-8


def yuv_loss(generated: Any, target: Any, chroma_weight: float = 1.0) -> Any:
    """L1 distance in YUV of [-1, 1]: L1(Y) + chroma_weight (L1(U) + L1(V)).

    Color is half of a painted look; an L1 distance in RGB gives it a fifth.
    """
    # YUV is linear in RGB.
    difference = ops.cast(generated, "float32") - ops.cast(target, "float32")
    difference = ops.abs(rgb_to_yuv(difference))
    weights = ops.convert_to_tensor((1.0, chroma_weight, chroma_weight), "float32")
    return ops.mean(ops.sum(difference * weights, axis=-1))


def multi_scale_gradient_loss(generated: Any, target: Any, scales: int = 3) -> Any:
    """L1 distance of signed differences of neighbors, at full, half, quarter size and so on.

    The mean over the scales of `perceptual.gradient_difference_loss`.

    Args:
        generated: Pictures; each side at least 2^scales.
        target: Pictures of the same shape.
        scales: Number of resolutions, 1 for the pictures alone.
    """
    # Differences and means are linear: those of the error are the errors of those.
    error = ops.cast(generated, "float32") - ops.cast(target, "float32")
    total = 0.0
    for scale in range(scales):
        if scale:
            error = ops.average_pool(error, 2, 2, "valid")
        for axis in (0, 1):
            total += ops.mean(ops.abs(_differences(error, axis)))
    return total / scales


def _differences(x: Any, axis: int) -> Any:
    """Subtract neighbors along height (0) or width (1), by the fastest operation for it."""
    shape = (2, 1, 1, 1) if axis == 0 else (1, 2, 1, 1)
    kernel = ops.reshape(ops.convert_to_tensor((-1.0, 1.0), "float32"), shape)
    return ops.depthwise_conv(x, ops.tile(kernel, (1, 1, x.shape[-1], 1)), padding="valid")


def luma_gradient(pictures: Any) -> Any:
    """Compute sqrt(dh^2 + dw^2) of the luma, forward differences, (n, h - 1, w - 1, 1)."""
    weights = ops.reshape(ops.convert_to_tensor(LUMA_WEIGHTS, "float32"), (3, 1))
    luma = ops.matmul(ops.cast(pictures, "float32"), weights)
    dh, dw = _differences(luma, 0)[:, :, :-1], _differences(luma, 1)[:, :-1]
    return ops.sqrt(ops.square(dh) + ops.square(dw) + _EPSILON)


def flat_area_loss(generated: Any, target: Any, threshold: float = 0.02) -> Any:
    """Mean gradient where the target's is below the threshold: paint leaves no texture there.

    Reference: after the L0 prior of Xu et al., "Image Smoothing via L0 Gradient Minimization",
    SIGGRAPH Asia 2011.
    """
    is_flat = ops.cast(luma_gradient(target) < threshold, "float32")
    return ops.mean(is_flat * luma_gradient(generated))


def gradient_magnitude_loss(generated: Any, target: Any) -> Any:
    """Mean | |grad generated| - |grad target| |: as much contrast, wherever it points."""
    return l1_loss(luma_gradient(generated), luma_gradient(target))


def feature_loss(generated_features: Sequence[Any], target_features: Sequence[Any]) -> Any:
    """Mean over the layers of the L1 distance of features, each relative to the target's mean.

    Args:
        generated_features: Tensors (n, h, w, c), one a layer.
        target_features: Tensors of the same shapes.
    """
    total = 0.0
    for generated, target in zip(generated_features, target_features, strict=True):
        size = ops.mean(ops.abs(ops.cast(target, "float32")))
        total += l1_loss(generated, target) / (ops.stop_gradient(size) + 1e-3)
    return total / len(target_features)


def shift_consistency_loss(generated: Any, generated_of_shifted: Any, dy: int, dx: int) -> Any:
    """L1 distance of a generated picture, shifted, and the one generated of the shifted photo.

    Args:
        generated: Generated of windows.
        generated_of_shifted: Generated of the windows that begin `dy` rows and `dx` columns later.
        dy: At least 0.
        dx: At least 0.
    """
    height, width = generated.shape[1:3]
    return l1_loss(generated[:, dy:, dx:], generated_of_shifted[:, : height - dy, : width - dx])
