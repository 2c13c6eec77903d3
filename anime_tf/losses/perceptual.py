"""Content, style, color, edge, paired and total variation losses of the generator.

Pictures are float32 (n, height, width, 3) in [-1, 1], RGB; features (n, h, w, c). Every loss is a
float32 scalar.

Reference: Chen, Liu, AnimeGAN, ISICA 2019, section 3.2, and the code of its second version.
"""

from __future__ import annotations

from typing import Any

from keras import ops

from anime_tf.io.color import LUMA_WEIGHTS

RGB_TO_YUV = (
    (0.299, -0.14714119, 0.61497538),
    (0.587, -0.28886916, -0.51496512),
    (0.114, 0.43601035, -0.10001026),
)
"""Rows R, G, B; columns Y, U, V: the matrix of `tf.image.rgb_to_yuv`."""

TONE_EPSILON = 1e-4
"""Added to variances in `match_tone`: a spread of about one level of 255."""

SOBEL_EPSILON = 1e-8
"""Added to the squared slope, since the root has no derivative at 0: 1/100 level."""


def _float32(x: Any) -> Any:
    return ops.cast(x, "float32")


def l1_loss(x: Any, y: Any) -> Any:
    """Mean |x - y|."""
    return ops.mean(ops.abs(_float32(x) - _float32(y)))


def huber_loss(x: Any, y: Any, delta: float = 1.0) -> Any:
    """Mean h(x - y) with h(e) = e^2 / 2 where |e| <= delta, else delta (|e| - delta / 2)."""
    error = ops.abs(_float32(x) - _float32(y))
    quadratic = ops.minimum(error, delta)
    return ops.mean(0.5 * ops.square(quadratic) + delta * (error - quadratic))


def content_loss(photo_features: Any, generated_features: Any) -> Any:
    """L1 distance of VGG features of the photo and of the generated picture (equation 5)."""
    return l1_loss(photo_features, generated_features)


def gram_matrix(features: Any) -> Any:
    """F^T F / (h w c) of each sample with the features as a matrix F (h w, c).

    Returns:
        (n, c, c), float32.
    """
    features = _float32(features)
    _, height, width, channels = ops.shape(features)
    matrix = ops.reshape(features, (-1, height * width, channels))
    size = ops.cast(height * width * channels, "float32")
    return ops.matmul(ops.transpose(matrix, (0, 2, 1)), matrix) / size


def style_loss(anime_features: Any, generated_features: Any) -> Any:
    """L1 distance of the gram matrices of anime and generated features (equation 6)."""
    return l1_loss(gram_matrix(anime_features), gram_matrix(generated_features))


def rgb_to_yuv(picture_01: Any) -> Any:
    """RGB in [0, 1] to Y in [0, 1] and U, V about 0, on the last axis."""
    return ops.matmul(_float32(picture_01), ops.convert_to_tensor(RGB_TO_YUV, "float32"))


def color_loss(photo: Any, generated: Any) -> Any:
    """L1(Y) + Huber(U) + Huber(V) between photo and generated picture (equation 7)."""
    photo_yuv = rgb_to_yuv((_float32(photo) + 1.0) * 0.5)
    generated_yuv = rgb_to_yuv((_float32(generated) + 1.0) * 0.5)
    return (
        l1_loss(photo_yuv[..., 0], generated_yuv[..., 0])
        + huber_loss(photo_yuv[..., 1], generated_yuv[..., 1])
        + huber_loss(photo_yuv[..., 2], generated_yuv[..., 2])
    )


def _differences(picture: Any) -> tuple[Any, Any]:
    """Differences of neighboring pixels, vertical and horizontal, float32."""
    picture = _float32(picture)
    return picture[:, 1:] - picture[:, :-1], picture[:, :, 1:] - picture[:, :, :-1]


def total_variation_loss(picture: Any) -> Any:
    """mean(dh^2) / 2 + mean(dw^2) / 2, dh and dw the differences of neighboring pixels."""
    dh, dw = _differences(picture)
    return 0.5 * ops.mean(ops.square(dh)) + 0.5 * ops.mean(ops.square(dw))


def gradient_difference_loss(x: Any, y: Any) -> Any:
    """L1(dh) + L1(dw), dh and dw the differences of neighboring pixels: edges without tone.

    Reference: Mathieu et al., Deep multi-scale video prediction, ICLR 2016, section 3.3; here with
    signed differences.
    """
    (dh_x, dw_x), (dh_y, dw_y) = _differences(x), _differences(y)
    return l1_loss(dh_x, dh_y) + l1_loss(dw_x, dw_y)


def sobel_magnitude(picture: Any) -> Any:
    """sqrt(gx^2 + gy^2) of the luma, gx and gy by Sobel's operator as slope per pixel.

    Returns:
        (n, height - 2, width - 2), float32: the pixels with all eight neighbors.
    """
    luma = ops.sum(_float32(picture) * ops.convert_to_tensor(LUMA_WEIGHTS, "float32"), -1)
    slope, blur = (-0.5, 0.0, 0.5), (0.25, 0.5, 0.25)
    gy = _correlate(_correlate(luma, 1, slope), 2, blur)
    gx = _correlate(_correlate(luma, 1, blur), 2, slope)
    return ops.sqrt(ops.square(gx) + ops.square(gy) + SOBEL_EPSILON)


def _correlate(x: Any, axis: int, weights: tuple[float, float, float]) -> Any:
    """Correlate (n, h, w) with three weights along an axis, without padding."""
    if axis == 1:
        neighbors = x[:, :-2], x[:, 1:-1], x[:, 2:]
    else:
        neighbors = x[:, :, :-2], x[:, :, 1:-1], x[:, :, 2:]
    return sum(weight * part for weight, part in zip(weights, neighbors, strict=True))


def edge_loss(photo: Any, generated: Any) -> Any:
    """L1 distance of the Sobel magnitudes of photo and generated picture.

    Reference: own design; UE-AnimeGANv2's publication describes its edge loss in one sentence.
    """
    return l1_loss(sobel_magnitude(photo), sobel_magnitude(generated))


def match_tone(picture: Any, reference: Any) -> Any:
    """Shift and scale each picture to the mean and standard deviation of its reference.

    The generators cannot reproduce a photo's contrast: without biases before their norms,
    G(a x) = G(x) for every a > 0. A comparison after this ignores what they cannot learn.
    """
    axes = (1, 2, 3)
    mean, variance = ops.moments(_float32(picture), axes, keepdims=True)
    target_mean, target_variance = ops.moments(_float32(reference), axes, keepdims=True)
    scale = ops.sqrt((target_variance + TONE_EPSILON) / (variance + TONE_EPSILON))
    return (_float32(picture) - mean) * scale + target_mean


def to_gray(picture: Any, weights: tuple[float, float, float] = LUMA_WEIGHTS) -> Any:
    """Luma of an RGB picture in all three channels, same range."""
    luma = ops.sum(_float32(picture) * ops.convert_to_tensor(weights, "float32"), -1, keepdims=True)
    return ops.repeat(luma, 3, axis=-1)
