"""Layers that several networks share: reflect padding, blocks, legacy upsampling, spectral norm.

Written with `keras.ops`, so that they run on every Keras backend.
"""

from __future__ import annotations

import contextlib
import contextvars
from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from anime_tf.models import doubling, gradients, quick
from anime_tf.models.norms import PACKAGE, norm_of, normed

LEAKY_SLOPE = 0.2
"""Negative slope of every leaky ReLU in the AnimeGAN family."""

SPECTRAL_NORM_EPSILON = 1e-12
"""Added to the l2 norms of the power iteration."""


def he_normal(seed: int | None = None) -> keras.initializers.Initializer:
    """The originals' initialiser: truncated normal, variance 2 / fan-in (He et al. 2015)."""
    return keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal", seed=seed)


def initializer_of(kind: str) -> keras.initializers.Initializer:
    """The initialiser of a network with that norm: He's, or Xavier's in the first version."""
    return he_normal() if kind == "layer" else keras.initializers.GlorotUniform()


def leaky_relu(x: Any) -> Any:
    """max(x, 0.2 x), the activation of the AnimeGAN family."""
    if gradients.are_ours():
        return gradients.leaky_relu(x, LEAKY_SLOPE)
    return ops.leaky_relu(x, negative_slope=LEAKY_SLOPE)


def picture_layer(name: str, dtype: Any = None, norm: str = "layer") -> keras.layers.Conv2D:
    """The AnimeGAN generators' last layer, 1x1 convolution to RGB without bias; unbuilt."""
    return keras.layers.Conv2D(
        3, 1, use_bias=False, kernel_initializer=initializer_of(norm), name=name, dtype=dtype
    )


def to_picture(x: Any) -> Any:
    """Tanh in float32 under every policy: bfloat16 has 8 bits, a picture needs all 256 levels."""
    return ops.tanh(ops.cast(x, "float32"))


def reflect_pad(x: Any, kernel_size: int, strides: int) -> Any:
    """Reflect-pads a picture as the AnimeGAN generators do before a convolution.

    Stride 1 is padded by (kernel_size - 1) / 2 on every side; stride 2 by kernel_size - 2 at the
    bottom and on the right only.

    Args:
        x: Tensor (n, height, width, channels); height and width larger than the padding.
        kernel_size: Side of the convolution's kernel, odd.
        strides: 1 or 2.

    Returns:
        The padded tensor, same dtype.
    """
    if strides == 1:
        before = after = (kernel_size - 1) // 2
    else:
        before, after = 0, kernel_size - 2
    if before == after == 0:
        return x
    return reflect(x, before, after)


def reflect(x: Any, before: int, after: int) -> Any:
    """Pads height and width of (n, height, width, channels) by reflection, each side alike."""
    if quick.are_quick():
        return quick.reflect(x, before, after)
    side = [before, after]
    return ops.pad(x, [[0, 0], side, side, [0, 0]], mode="reflect")


def upsample_legacy_bilinear(x: Any) -> Any:
    """Doubles height and width as TensorFlow 1's bilinear resize did.

    With `align_corners` and `half_pixel_centers` both off, on each axis

        out[2 i] = x[i],    out[2 i + 1] = (x[i] + x[min(i + 1, n - 1)]) / 2.

    `tf.image.resize` and PyTorch's `interpolate` place their samples otherwise.

    Args:
        x: Tensor (n, height, width, channels).

    Returns:
        Tensor (n, 2 height, 2 width, channels), same dtype.
    """
    if quick.are_quick():
        return quick.double(x, "legacy")
    if keras.config.backend() == "tensorflow" and gradients.are_plain():
        # Twice as fast, and one operator in a TFLite model where slices and stacks are a dozen; but
        # it rounds otherwise, and a training with it leaves the originals' trajectories.
        import tensorflow as tf

        size = tf.shape(x)[1:3] * 2
        return tf.cast(tf.raw_ops.ResizeBilinear(images=x, size=size), x.dtype)
    if gradients.are_ours():
        return gradients.double_legacy_bilinear(x, _double)
    return _double(x)


def _double(x: Any) -> Any:
    for axis in (1, 2):
        x = _interleave(x, (x + _neighbour(x, axis, 1)) * 0.5, axis)
    return x


def upsample_half_pixel(x: Any) -> Any:
    """Doubles height and width bilinearly with half-pixel centres.

    As PyTorch's `interpolate` with align_corners=False and TensorFlow 2's resize, on each axis

        out[2 i] = (x[max(i - 1, 0)] + 3 x[i]) / 4,
        out[2 i + 1] = (3 x[i] + x[min(i + 1, n - 1)]) / 4.

    Args:
        x: Tensor (n, height, width, channels).

    Returns:
        Tensor (n, 2 height, 2 width, channels), same dtype.
    """
    if quick.are_quick():
        return quick.double(x, "half_pixel")
    for axis in (1, 2):
        before, after = _neighbour(x, axis, -1), _neighbour(x, axis, 1)
        x = _interleave(x * 0.75 + before * 0.25, x * 0.75 + after * 0.25, axis)
    return x


_PLACED = contextvars.ContextVar[Any]("placed", default=None)


@contextlib.contextmanager
def placed(origin_yx: Any, whole_hw: Any, tile_hw: Any) -> Iterator[None]:
    """Within it a network's input is a tile of a picture, for resizes that go by the whole picture.

    Args:
        origin_yx: The tile's first row and column, whole numbers as all of these.
        whole_hw: Height and width of the picture.
        tile_hw: Height and width of the tile.
    """
    token = _PLACED.set((origin_yx, whole_hw, tile_hw))
    try:
        yield
    finally:
        _PLACED.reset(token)


def upsample_align_corners(x: Any) -> Any:
    """Doubles height and width bilinearly with the corners in place.

    As PyTorch's `interpolate` with align_corners=True: on each axis out[i] lies at
    i (n - 1) / (2 n - 1). Within `placed` n is the side of the whole picture; what the tile lacks
    of it is then its own border.

    Args:
        x: Tensor (n, height, width, channels).

    Returns:
        Tensor (n, 2 height, 2 width, channels), same dtype.
    """
    whole = _PLACED.get()
    if whole is None and quick.are_quick():
        return quick.double(x, "align_corners")
    for axis in (1, 2):
        side = ops.shape(x)[axis]
        begin, total = 0, side
        if whole is not None:
            begin, total = (value[axis - 1] * side // whole[2][axis - 1] for value in whole[:2])
        # In whole numbers: the place between two values is exact for every size.
        place = (ops.arange(2 * side, dtype="int32") + 2 * begin) * (total - 1)
        place = place - begin * (2 * total - 1)
        lower = ops.floor_divide(place, 2 * total - 1)
        part = ops.cast(place - lower * (2 * total - 1), "float32")
        part = part / ops.cast(2 * total - 1, "float32")
        upper = ops.minimum(lower + 1, side - 1)
        lower = ops.maximum(lower, 0)
        part = ops.cast(ops.reshape(part, (-1, 1, 1) if axis == 1 else (-1, 1)), x.dtype)
        below = ops.take(x, lower, axis=axis)
        x = below + (ops.take(x, upper, axis=axis) - below) * part
    return x


def _neighbour(x: Any, axis: int, step: int) -> Any:
    """x[i + 1] or x[i - 1] on an axis, the last value again beyond the border."""
    if axis == 1:
        parts = [x[:, 1:], x[:, -1:]] if step > 0 else [x[:, :1], x[:, :-1]]
    else:
        parts = [x[:, :, 1:], x[:, :, -1:]] if step > 0 else [x[:, :, :1], x[:, :, :-1]]
    return ops.concatenate(parts, axis=axis)


def _interleave(even: Any, odd: Any, axis: int) -> Any:
    """Values of two tensors in turn along an axis."""
    shape = list(ops.shape(even))
    shape[axis] = shape[axis] * 2
    return ops.reshape(ops.stack([even, odd], axis=axis + 1), shape)


UPSAMPLINGS = {
    "legacy": upsample_legacy_bilinear,
    "half_pixel": upsample_half_pixel,
    "align_corners": upsample_align_corners,
}
"""Where bilinear upsampling places its samples: TensorFlow 1, TensorFlow 2 and PyTorch, PyTorch."""


@keras.saving.register_keras_serializable(PACKAGE)
class ConvNormLReLU(keras.layers.Layer):
    """`CNL`: reflect pad, convolution without bias, norm, leaky ReLU 0.2.

    Input (n, h, w, c), output (n, h / strides, w / strides, filters). Weights: `conv/kernel`,
    `norm/gamma`, `norm/beta`. Called with `upsampling`, a key of `UPSAMPLINGS`, it doubles its
    input so before all else.

    Args:
        filters: Channels of the output.
        kernel_size: Side of the kernel, odd.
        strides: 1 or 2.
        norm: "layer", or "instance" as in the first version, with its initialiser.
        epsilon: Of the norm; None for its own.

    Reference: AnimeGANv2, `Conv2DNormLReLU`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 1,
        norm: str = "layer",
        epsilon: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.norm_kind = norm
        self.epsilon = epsilon
        self.conv = keras.layers.Conv2D(
            filters,
            kernel_size,
            strides,
            "valid",
            use_bias=False,
            kernel_initializer=initializer_of(norm),
            name="conv",
            dtype=self.dtype_policy,
        )
        self.norm = norm_of(norm, "norm", self.dtype_policy, epsilon)

    def build(self, input_shape: Any) -> None:
        self.conv.build(input_shape)
        self.norm.build((None, None, None, self.filters))

    def call(self, inputs: Any, upsampling: str | None = None) -> Any:
        x = inputs
        if upsampling is not None:
            if doubling.is_one(upsampling, self.kernel_size):
                return normed(self.conv, self.norm, x, leaky_relu, doubled=True)
            x = UPSAMPLINGS[upsampling](x)
        x = reflect_pad(x, self.kernel_size, self.strides)
        return normed(self.conv, self.norm, x, leaky_relu)

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "norm": self.norm_kind,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(PACKAGE)
class InvertedResidual(keras.layers.Layer):
    """Inverted residual block: expand 1x1, depthwise 3x3, project 1x1, add.

    Input (n, h, w, c), output (n, h, w, filters); the input is added where c equals `filters`.

        x -> CNL(round(expansion c), 1) -> reflect pad, depthwise 3x3 -> norm 1 -> lrelu
          -> 1x1 convolution without bias -> norm 2 (-> + x)

    The depthwise convolution has a bias with layer norm, and none with instance norm.

    Args:
        filters: Channels of the output.
        expansion: The bottleneck has round(expansion x input channels) channels.
        norm: "layer", or "instance" as in the first version, with its initialiser.
        epsilon: Of the norms; None for their own.

    Reference: AnimeGANv2, `InvertedRes_block`; MobileNetV2 (Sandler et al. 2018), section 3.
    """

    def __init__(
        self,
        filters: int,
        expansion: float = 2.0,
        norm: str = "layer",
        epsilon: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.expansion = expansion
        self.norm_kind = norm
        self.epsilon = epsilon

    def build(self, input_shape: Any) -> None:
        policy, kind, epsilon = self.dtype_policy, self.norm_kind, self.epsilon
        channels = input_shape[-1]
        bottleneck = round(self.expansion * channels)
        self.adds_input = channels == self.filters
        self.expand = ConvNormLReLU(
            bottleneck, 1, norm=kind, epsilon=epsilon, name="expand", dtype=policy
        )
        self.depthwise = keras.layers.DepthwiseConv2D(
            3,
            padding="valid",
            use_bias=kind == "layer",
            depthwise_initializer=initializer_of(kind),
            name="depthwise",
            dtype=policy,
        )
        self.norm_1 = norm_of(kind, "norm_1", policy, epsilon)
        self.project = keras.layers.Conv2D(
            self.filters,
            1,
            use_bias=False,
            kernel_initializer=initializer_of(kind),
            name="project",
            dtype=policy,
        )
        self.norm_2 = norm_of(kind, "norm_2", policy, epsilon)
        inner = (None, None, None, bottleneck)
        self.expand.build(input_shape)
        self.depthwise.build(inner)
        self.norm_1.build(inner)
        self.project.build(inner)
        self.norm_2.build((None, None, None, self.filters))

    def call(self, inputs: Any) -> Any:
        x = reflect_pad(self.expand(inputs), 3, 1)
        x = normed(self.depthwise, self.norm_1, x, leaky_relu)
        x = normed(self.project, self.norm_2, x)
        return inputs + x if self.adds_input else x

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "expansion": self.expansion,
            "norm": self.norm_kind,
            "epsilon": self.epsilon,
        }


@keras.saving.register_keras_serializable(PACKAGE)
class SpectralNormConv2D(keras.layers.Layer):
    """Convolution whose kernel is divided by its largest singular value, estimated.

    With W the kernel as a matrix (kh kw c_in, filters) and u the stored left vector (1, filters):

        v = l2norm(u W^T),   u' = l2norm(v W),   sigma = v W u'^T,   y = conv(x, W / sigma).

    In training u becomes u' at every call; the kernel itself is never overwritten, and gradients
    pass through sigma, u' and v, as in the original. `keras.layers.SpectralNormalization` gives the
    same forward numbers, but overwrites its kernel at each training call and differentiates at the
    normalised kernel, so it trains differently.

    Args:
        filters: Channels of the output.
        kernel_size: Side of the kernel.
        strides: Stride on both axes.
        padding: "same" or "valid".
        power_iterations: Power iterations a call, at least 1.
        kernel_initializer: Initialiser of the kernel.
        use_bias: Whether a bias is added.

    Raises:
        ValueError: `power_iterations` is less than 1.

    Reference: Miyato et al., Spectral Normalization for GANs, ICLR 2018, algorithm 1.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int,
        strides: int = 1,
        padding: str = "same",
        power_iterations: int = 1,
        kernel_initializer: Any = "glorot_uniform",
        use_bias: bool = False,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if power_iterations < 1:
            raise ValueError(f"power_iterations must be at least 1, received {power_iterations}")
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.padding = padding
        self.power_iterations = power_iterations
        self.kernel_initializer = keras.initializers.get(kernel_initializer)
        self.use_bias = use_bias

    def build(self, input_shape: Any) -> None:
        # autocast=False: sigma is computed from the float32 kernel under every policy.
        self.kernel = self.add_weight(
            name="kernel",
            shape=(self.kernel_size, self.kernel_size, input_shape[-1], self.filters),
            initializer=self.kernel_initializer,
            autocast=False,
        )
        self.u = self.add_weight(
            name="u",
            shape=(1, self.filters),
            initializer=keras.initializers.RandomNormal(stddev=1.0),
            trainable=False,
            autocast=False,
            # All replicas of a distributed run compute the same.
            aggregation="only_first_replica",
        )
        self.bias = (
            self.add_weight(name="bias", shape=(self.filters,), initializer="zeros")
            if self.use_bias
            else None
        )

    def normalized_kernel(self) -> tuple[Any, Any]:
        """The kernel divided by sigma, and u', both float32 and differentiable."""
        kernel = ops.cast(self.kernel, "float32")
        matrix = ops.reshape(kernel, (-1, self.filters))
        u = ops.cast(self.u, "float32")
        for _ in range(self.power_iterations):
            v = _l2_normalize(ops.matmul(u, ops.transpose(matrix)))
            u = _l2_normalize(ops.matmul(v, matrix))
        sigma = ops.matmul(ops.matmul(v, matrix), ops.transpose(u))
        return kernel / ops.reshape(sigma, ()), u

    def call(self, inputs: Any, training: bool | None = None) -> Any:
        kernel, u = self.normalized_kernel()
        if training:
            self.u.assign(ops.stop_gradient(u))
        kernel = ops.cast(kernel, inputs.dtype)
        y = ops.conv(inputs, kernel, strides=self.strides, padding=self.padding)
        return y if self.bias is None else y + self.bias

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "padding": self.padding,
            "power_iterations": self.power_iterations,
            "kernel_initializer": keras.initializers.serialize(self.kernel_initializer),
            "use_bias": self.use_bias,
        }


def _l2_normalize(x: Any) -> Any:
    return x / (ops.sqrt(ops.sum(ops.square(x))) + SPECTRAL_NORM_EPSILON)
