"""AnimeGAN generator, the first version."""

from __future__ import annotations

from typing import Any

import keras

from anime_tf.models.layers import (
    PACKAGE,
    ConvNormLReLU,
    InvertedResidual,
    initializer_of,
    leaky_relu,
    picture_layer,
    reflect_pad,
    to_picture,
    upsample_legacy_bilinear,
)
from anime_tf.models.norms import instance_norm, normed

SEPARABLE_EPSILON = 1e-6
"""Of the norm in separable convolutions alone; elsewhere it is 1e-5."""

RESIDUAL_BLOCKS = 8


@keras.saving.register_keras_serializable(PACKAGE)
class SeparableNormLReLU(keras.layers.Layer):
    """Reflect pad, depthwise 3x3, pointwise 1x1, both without bias, instance norm, leaky ReLU 0.2.

    Input (n, h, w, c), output (n, h / strides, w / strides, filters).

    Args:
        filters: Channels of the output.
        strides: 1 or 2.
    """

    def __init__(self, filters: int, strides: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides

    def build(self, input_shape: Any) -> None:
        policy = self.dtype_policy
        self.depthwise = keras.layers.DepthwiseConv2D(
            3,
            self.strides,
            "valid",
            use_bias=False,
            depthwise_initializer=initializer_of("instance"),
            name="depthwise",
            dtype=policy,
        )
        self.pointwise = keras.layers.Conv2D(
            self.filters,
            1,
            use_bias=False,
            kernel_initializer=initializer_of("instance"),
            name="pointwise",
            dtype=policy,
        )
        self.norm = instance_norm("norm", policy, SEPARABLE_EPSILON)
        self.depthwise.build(input_shape)
        self.pointwise.build((None, None, None, input_shape[-1]))
        self.norm.build((None, None, None, self.filters))

    def call(self, inputs: Any) -> Any:
        x = self.depthwise(reflect_pad(inputs, 3, self.strides))
        return normed(self.pointwise, self.norm, x, leaky_relu)

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "strides": self.strides}


@keras.saving.register_keras_serializable(PACKAGE)
class Downsample(keras.layers.Layer):
    """Halves a picture in two ways and adds them: by a stride, and by leaving out every second.

    Input (n, h, w, c), output (n, h / 2, w / 2, filters); h and w even. The second way is the
    original's bilinear resize, which on even sides takes every second value as it is.

    Args:
        filters: Channels of the output.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters

    def build(self, input_shape: Any) -> None:
        policy = self.dtype_policy
        self.strided = SeparableNormLReLU(self.filters, 2, name="strided", dtype=policy)
        self.resized = SeparableNormLReLU(self.filters, name="resized", dtype=policy)
        self.strided.build(input_shape)
        self.resized.build(input_shape)

    def call(self, inputs: Any) -> Any:
        return self.strided(inputs) + self.resized(inputs[:, ::2, ::2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANv1Generator(keras.Model):
    """The AnimeGAN generator: 3,956,096 parameters at its published width.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB; each side at least `MINIMUM_SIDE` and a
    multiple of `STRIDE`. Output: pictures in [-1, 1], float32 under every precision, same size.

    With Conv(c) = reflect pad, 3x3 convolution, instance norm, leaky ReLU, and Sep(c) the same with
    a separable convolution:

        b1  Conv 64, Conv 64, Downsample 128            to 1/2
        b2  Conv 128, Sep 128, Downsample 256           to 1/4
        m   Conv 256, r1..r8, Conv 256
        u2  up, Sep 128, Sep 128, Conv 128              to 1/2
        u1  up, Sep 128, Conv 64, Conv 64               to 1
        out_layer  1x1 convolution to 3 without bias, tanh

    Args:
        width: Channels of the first convolution; all others scale with it. 64 as published.

    Raises:
        ValueError: `width` is less than 1.

    Reference: Chen, Liu, AnimeGAN, ISICA 2019, figure 2, and the published graph (whose u1 begins
        with 128 channels, where the figure says 64).
    """

    built: bool

    STRIDE = 4
    MINIMUM_SIDE = 8
    REACH = 64

    def __init__(self, width: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width < 1:
            raise ValueError(f"width must be at least 1, received {width}")
        self.width = width
        self.b1: list[Any] = [
            self._conv("b1_0", 1),
            self._conv("b1_1", 1),
            self._down("b1_down", 2),
        ]
        self.b2: list[Any] = [self._conv("b2_0", 2), self._sep("b2_1", 2), self._down("b2_down", 4)]
        self.m: list[Any] = [
            self._conv("m_0", 4),
            *(
                InvertedResidual(4 * width, norm="instance", name=f"r{i}", dtype=self.dtype_policy)
                for i in range(1, 1 + RESIDUAL_BLOCKS)
            ),
            self._conv("m_1", 4),
        ]
        self.u2: list[Any] = [self._sep("u2_0", 2), self._sep("u2_1", 2), self._conv("u2_2", 2)]
        self.u1: list[Any] = [self._sep("u1_0", 2), self._conv("u1_1", 1), self._conv("u1_2", 1)]
        self.out_layer = picture_layer("out_layer", self.dtype_policy, norm="instance")
        self.build((None, None, None, 3))

    def _conv(self, name: str, multiple: int) -> ConvNormLReLU:
        return ConvNormLReLU(
            multiple * self.width, norm="instance", name=name, dtype=self.dtype_policy
        )

    def _sep(self, name: str, multiple: int) -> SeparableNormLReLU:
        return SeparableNormLReLU(multiple * self.width, name=name, dtype=self.dtype_policy)

    def _down(self, name: str, multiple: int) -> Downsample:
        return Downsample(multiple * self.width, name=name, dtype=self.dtype_policy)

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        channels = input_shape[-1]
        for block in (*self.b1, *self.b2, *self.m, *self.u2, *self.u1):
            block.build((None, None, None, channels))
            channels = block.filters
        self.out_layer.build((None, None, None, channels))
        self.built = True

    def call(self, inputs: Any) -> Any:
        x = inputs
        for block in (*self.b1, *self.b2, *self.m):
            x = block(x)
        for stage in (self.u2, self.u1):
            x = upsample_legacy_bilinear(x)
            for block in stage:
                x = block(x)
        return to_picture(self.out_layer(x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}
