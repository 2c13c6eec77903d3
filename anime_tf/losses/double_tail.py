"""Losses and picture operations of AnimeGANv3 (DTGAN).

Pictures are float32 (n, height, width, 3) in [-1, 1], RGB; features (n, h, w, c). Every loss is a
float32 scalar.

Reference: Liu, Chen, Gao, A Novel Double-Tail GAN for Fast Photo Animation, IEICE 2024, and its
code.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from anime_tf.losses import perceptual
from anime_tf.models.guided_filter import guided_filter

STYLES = ("g/style_2_2", "g/style_3_3", "g/style_4_4")
"""Names of the style terms in the order of the perceptual network's pyramid."""

GRAY_WEIGHTS = (0.2989, 0.5870, 0.1140)  # of `tf.image.rgb_to_grayscale`; their sum is 0.9999

BOX_RADIUS, GUIDED_EPSILON = 2, 0.01

RGB_TO_XYZ = (
    (0.412453, 0.212671, 0.019334),
    (0.357580, 0.715160, 0.119193),
    (0.180423, 0.072169, 0.950227),
)
"""Rows R, G, B; columns X, Y, Z."""

WHITE_XYZ = (0.95047, 1.0, 1.08883)  # D65, 2 degrees


def to_gray(picture: Any) -> Any:
    """Luma in all three channels, same range, not rounded."""
    return perceptual.to_gray(picture, GRAY_WEIGHTS)


def smooth_guided(picture: Any) -> Any:
    """Smooth a picture by a guided filter with itself as the guide, in [0, 1], and clip it."""
    x = ops.clip((ops.cast(picture, "float32") + 1.0) * 0.5, 0.0, 1.0)
    return ops.clip(2.0 * guided_filter(x, x, BOX_RADIUS, GUIDED_EPSILON) - 1.0, -1.0, 1.0)


def lab_loss(photo: Any, generated: Any) -> Any:
    """2 L1(L / 100) + L1((a + 128) / 255) + L1((b + 128) / 255) in CIE Lab."""
    photo, generated = to_lab(photo), to_lab(generated)
    lightness, a, b = (perceptual.l1_loss(photo[..., i], generated[..., i]) for i in range(3))
    return 2.0 * lightness / 100.0 + (a + b) / 255.0


def to_lab(picture: Any) -> Any:
    """Convert sRGB to CIE Lab, L in [0, 100]; the gradient is finite at black, too."""
    srgb = (ops.cast(picture, "float32") + 1.0) * 0.5
    curved = srgb > 0.04045
    # The branch that is not taken gets a safe value: 0 times its infinite derivative is NaN.
    power = ((ops.where(curved, srgb, 1.0) + 0.055) / 1.055) ** 2.4
    linear = ops.where(curved, power, srgb / 12.92)
    xyz = ops.matmul(linear, ops.convert_to_tensor(RGB_TO_XYZ, "float32"))
    xyz = xyz / ops.convert_to_tensor(WHITE_XYZ, "float32")
    curved = xyz > 0.008856
    root = ops.where(curved, xyz, 1.0) ** (1.0 / 3.0)
    f = ops.where(curved, root, 7.787 * xyz + 16.0 / 116.0)
    fx, fy, fz = f[..., 0], f[..., 1], f[..., 2]
    return ops.stack([116.0 * fy - 16.0, 500.0 * (fx - fy), 200.0 * (fy - fz)], axis=-1)


def feature_distance(x: Any, y: Any) -> Any:
    """L1 distance of features divided by the number of channels."""
    return perceptual.l1_loss(x, y) / x.shape[-1]


def decentralized_style_loss(anime_features: Any, generated_features: Any) -> Any:
    """L1 distance of gram matrices of features without their means, divided by the channels.

    The mean of each channel of each picture, which holds tone rather than texture, is removed.
    """
    anime, generated = (
        x - ops.mean(x, axis=(1, 2), keepdims=True) for x in (anime_features, generated_features)
    )
    return perceptual.style_loss(anime, generated) / anime_features.shape[-1]
