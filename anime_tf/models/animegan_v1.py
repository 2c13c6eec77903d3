"""AnimeGAN generator, the first version."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from anime_tf.models import PACKAGE
from anime_tf.models.generator import Generator
from anime_tf.models.layers import (
    ConvNormLReLU,
    InvertedResidual,
    ReflectPad,
    make_conv,
    make_depthwise,
    make_leaky_relu,
    make_out_layer,
)
from anime_tf.models.norms import instance_norm
from anime_tf.models.tree import build_in_order
from anime_tf.models.upsampling import Upsample2x

SEPARABLE_EPSILON = 1e-6  # epsilon of the norm in separable convolutions; it is 1e-5 elsewhere
RESIDUAL_BLOCKS = 8


@keras.saving.register_keras_serializable(PACKAGE)
class SeparableNormLReLU(keras.layers.Layer):
    """Reflect pad, depthwise 3x3, pointwise 1x1, both without bias, instance norm, leaky ReLU 0.2.

    Input (n, h, w, c), output (n, h / strides, w / strides, filters); `strides` is 1 or 2.
    """

    def __init__(self, filters: int, strides: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        self.strides = strides
        policy = self.dtype_policy
        self.pad = ReflectPad.for_conv(3, strides, policy)
        self.depthwise = make_depthwise(policy, "instance", strides)
        self.pointwise = make_conv(filters, 1, "pointwise", policy, "instance")
        self.norm = instance_norm("norm", policy, SEPARABLE_EPSILON)
        self.activation = make_leaky_relu(policy)

    def build(self, input_shape: Any) -> None:
        build_in_order(self, input_shape)

    def call(self, inputs: Any) -> Any:
        x = self.pointwise(self.depthwise(self.pad(inputs)))
        return self.activation(self.norm(x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters, "strides": self.strides}


@keras.saving.register_keras_serializable(PACKAGE)
class Downsample(keras.layers.Layer):
    """Halve a picture in two ways and add the results: by a stride, and by a resize.

    Input (n, h, w, c), output (n, h / 2, w / 2, filters); h and w even. On even sides the
    original's bilinear resize takes every second value.
    """

    def __init__(self, filters: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.filters = filters
        policy = self.dtype_policy
        self.strided = SeparableNormLReLU(filters, 2, name="strided", dtype=policy)
        self.resized = SeparableNormLReLU(filters, name="resized", dtype=policy)

    def build(self, input_shape: Any) -> None:
        self.strided.build(input_shape)
        self.resized.build(input_shape)

    def call(self, inputs: Any) -> Any:
        return self.strided(inputs) + self.resized(inputs[:, ::2, ::2])

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "filters": self.filters}


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANv1Generator(Generator):
    """The AnimeGAN generator: 3,956,096 parameters at its published width of 64.

    With Conv(c) = reflect pad, 3x3 convolution, instance norm, leaky ReLU, and Sep(c) the same with
    a separable convolution:

        b1  Conv 64, Conv 64, Downsample 128            to 1/2
        b2  Conv 128, Sep 128, Downsample 256           to 1/4
        m   Conv 256, r1..r8, Conv 256
        u2  up, Sep 128, Sep 128, Conv 128              to 1/2
        u1  up, Sep 128, Conv 64, Conv 64               to 1
        out_layer  1x1 convolution to 3 without bias, tanh

    Reference: Chen, Liu, AnimeGAN, ISICA 2019, figure 2, and the published graph (whose u1 begins
        with 128 channels, where the figure says 64).
    """

    STRIDE = 4
    MINIMUM_SIDE = 8
    RECEPTIVE_FIELD_RADIUS = 64
    BYTES_PER_PIXEL = 2800

    def __init__(self, width: int = 64, **kwargs: Any) -> None:
        super().__init__(width, **kwargs)
        policy = self.dtype_policy
        conv = partial(ConvNormLReLU, norm="instance", dtype=policy)
        sep = partial(SeparableNormLReLU, dtype=policy)
        down = partial(Downsample, dtype=policy)
        residual = partial(InvertedResidual, norm="instance", dtype=policy)
        up = partial(Upsample2x, "legacy", dtype=policy)
        w = width
        self.b1 = [conv(w, name="b1_0"), conv(w, name="b1_1"), down(2 * w, name="b1_down")]
        self.b2 = [conv(2 * w, name="b2_0"), sep(2 * w, name="b2_1"), down(4 * w, name="b2_down")]
        self.m = [
            conv(4 * w, name="m_0"),
            *(residual(4 * w, name=f"r{i}") for i in range(1, 1 + RESIDUAL_BLOCKS)),
            conv(4 * w, name="m_1"),
        ]
        self.u2 = [
            up(name="u2_up"),
            sep(2 * w, name="u2_0"),
            sep(2 * w, name="u2_1"),
            conv(2 * w, name="u2_2"),
        ]
        self.u1 = [
            up(name="u1_up"),
            sep(2 * w, name="u1_0"),
            conv(w, name="u1_1"),
            conv(w, name="u1_2"),
        ]
        self.out_layer = make_out_layer(policy, norm="instance")
        self.build((None, None, None, 3))
