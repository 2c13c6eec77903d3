"""Layers that several networks share: reflect padding and the AnimeGAN family's blocks."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE
from anime_tf.models.norms import make_norm
from anime_tf.models.tree import build_in_order
from anime_tf.models.upsampling import Upsample2x

LEAKY_SLOPE = 0.2  # negative slope of every leaky ReLU in the AnimeGAN family


def he_normal(seed: int | None = None) -> keras.initializers.Initializer:
    """Make the originals' initializer: truncated normal, variance 2 / fan-in (He et al. 2015)."""
    return keras.initializers.VarianceScaling(2.0, "fan_in", "truncated_normal", seed=seed)


def make_initializer(norm: str) -> keras.initializers.Initializer:
    """Make the initializer that goes with a norm: He with layer norm, else Xavier."""
    return he_normal() if norm == "layer" else keras.initializers.GlorotUniform()


def make_leaky_relu(dtype: Any) -> keras.layers.LeakyReLU:
    """Make the activation of the AnimeGAN family, max(x, 0.2 x)."""
    return keras.layers.LeakyReLU(LEAKY_SLOPE, name="activation", dtype=dtype)


def make_conv(
    filters: int, kernel_size: int, name: str, dtype: Any, norm: str = "layer", strides: int = 1
) -> keras.layers.Conv2D:
    """Make a convolution without bias or padding, initialized for a norm."""
    options = {"kernel_initializer": make_initializer(norm), "name": name, "dtype": dtype}
    return keras.layers.Conv2D(filters, kernel_size, strides, use_bias=False, **options)


def make_depthwise(
    dtype: Any, norm: str, strides: int = 1, use_bias: bool = False
) -> keras.layers.DepthwiseConv2D:
    """Make the depthwise 3x3 convolution of a block, without padding."""
    options = {"depthwise_initializer": make_initializer(norm), "name": "depthwise", "dtype": dtype}
    return keras.layers.DepthwiseConv2D(3, strides, use_bias=use_bias, **options)


def make_out_layer(dtype: Any = None, norm: str = "layer") -> keras.layers.Conv2D:
    """Make the AnimeGAN generators' `out_layer`, a 1x1 convolution to RGB without bias."""
    return make_conv(3, 1, "out_layer", dtype, norm)


@keras.saving.register_keras_serializable(PACKAGE)
class ReflectPad(keras.layers.Layer):
    """Reflect padding of height and width of (n, h, w, c), both sides larger than the padding.

    `before` counts rows at the top and columns on the left, `after` those at the bottom and right.
    """

    def __init__(self, before: int, after: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.before = before
        self.after = after

    @classmethod
    def for_conv(
        cls, kernel_size: int, strides: int, dtype: Any, *, top_left: bool = False
    ) -> ReflectPad:
        """Make the AnimeGAN generators' padding before a convolution.

        Stride 1 pads every side by (kernel_size - 1) / 2; stride 2 pads only the bottom and the
        right, by kernel_size - 2, or with `top_left` only the top and the left.
        """
        half = (kernel_size - 1) // 2
        before, after = (half, half) if strides == 1 else (0, kernel_size - 2)
        if top_left:
            before, after = after, before
        return cls(before, after, name="pad", dtype=dtype)

    def call(self, inputs: Any) -> Any:
        if self.before == self.after == 0:
            return inputs
        side = [self.before, self.after]
        return ops.pad(inputs, [[0, 0], side, side, [0, 0]], mode="reflect")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "before": self.before, "after": self.after}


@keras.saving.register_keras_serializable(PACKAGE)
class ConvNormLReLU(keras.layers.Layer):
    """`CNL`: (upsample,) reflect pad, convolution without bias, norm, leaky ReLU 0.2.

    Input (n, h, w, c), output (n, h / strides, w / strides, filters), twice that with upsampling.
    Weights: `conv/kernel` and those of the norm.

    Args:
        filters: Channels of the output.
        kernel_size: Side of the kernel, odd.
        strides: 1 or 2.
        norm: "layer"; "instance" as in the first version; or "lade" as in the third, whose stride
            2 pads the top and the left. Each has its initializer.
        epsilon: Epsilon of the norm; None for its default.
        upsampling: Upsample the input by 2 first, with these sample positions; a key of
            `upsampling.UPSAMPLINGS`.

    Reference: AnimeGANv2, `Conv2DNormLReLU`.
    """

    def __init__(
        self,
        filters: int,
        kernel_size: int = 3,
        strides: int = 1,
        norm: str = "layer",
        epsilon: float | None = None,
        upsampling: str | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.kernel_size = kernel_size
        self.strides = strides
        self.norm_kind = norm
        self.epsilon = epsilon
        self.upsampling = upsampling
        policy = self.dtype_policy
        self.upsample = Upsample2x(upsampling, name="up", dtype=policy) if upsampling else None
        self.pad = ReflectPad.for_conv(kernel_size, strides, policy, top_left=norm == "lade")
        self.conv = make_conv(filters, kernel_size, "conv", policy, norm, strides)
        self.norm = make_norm(norm, "norm", policy, epsilon)
        self.activation = make_leaky_relu(policy)

    def build(self, input_shape: Any) -> None:
        build_in_order(self, input_shape)

    def call(self, inputs: Any) -> Any:
        x = inputs if self.upsample is None else self.upsample(inputs)
        return self.activation(self.norm(self.conv(self.pad(x))))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "kernel_size": self.kernel_size,
            "strides": self.strides,
            "norm": self.norm_kind,
            "epsilon": self.epsilon,
            "upsampling": self.upsampling,
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
        norm: "layer", or "instance" as in the first version, with its initializer.
        epsilon: Epsilon of the norms; None for their default.

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
        self.pad = ReflectPad.for_conv(3, 1, policy)
        self.depthwise = make_depthwise(policy, kind, use_bias=kind == "layer")
        self.norm_1 = make_norm(kind, "norm_1", policy, epsilon)
        self.activation = make_leaky_relu(policy)
        self.project = make_conv(self.filters, 1, "project", policy, kind)
        self.norm_2 = make_norm(kind, "norm_2", policy, epsilon)
        build_in_order(self, input_shape)

    def call(self, inputs: Any) -> Any:
        x = self.expand(inputs)
        x = self.activation(self.norm_1(self.depthwise(self.pad(x))))
        x = self.norm_2(self.project(x))
        return inputs + x if self.adds_input else x

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "filters": self.filters,
            "expansion": self.expansion,
            "norm": self.norm_kind,
            "epsilon": self.epsilon,
        }
