"""AnimeGANv2 light generator."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from anime_tf.models import PACKAGE
from anime_tf.models.generator import Generator, to_picture
from anime_tf.models.layers import ConvNormLReLU, make_conv, make_out_layer
from anime_tf.models.tree import build_in_order


@keras.saving.register_keras_serializable(PACKAGE)
class LightResidual(keras.layers.Layer):
    """Residual block of the light generator: CNL(c / 4, 1), CNL(c / 4, 3), 1x1 to c, add.

    Input and output (n, h, w, c).
    """

    def build(self, input_shape: Any) -> None:
        policy, channels = self.dtype_policy, input_shape[-1]
        self.reduce = ConvNormLReLU(channels // 4, 1, name="reduce", dtype=policy)
        self.conv = ConvNormLReLU(channels // 4, 3, name="conv", dtype=policy)
        self.expand = make_conv(channels, 1, "expand", policy)
        build_in_order(self, input_shape)

    def call(self, inputs: Any) -> Any:
        return inputs + self.expand(self.conv(self.reduce(inputs)))


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANv2LightGenerator(Generator):
    """The light AnimeGANv2 generator, U-shaped: 698,240 parameters at its published width of 32.

        x0 = CNL(32, 7)                         x4 = CNL(64)(CNL(128)(up(res4..1(x3))) + x2)
        x1 = CNL(32, s2), CNL(64)     to 1/2    x5 = CNL(32)(CNL(64)(up(x4)) + x1)
        x2 = CNL(64, s2), CNL(128)    to 1/4    x6 = CNL(32, 7)(CNL(32)(up(x5)) + x0)
        x3 = CNL(64, s2), CNL(128)    to 1/8    out_layer: 1x1 convolution to 3, tanh

    Reference: the light version of AnimeGANv2's code and checkpoints.
    """

    STRIDE = 8
    MINIMUM_SIDE = 16
    RECEPTIVE_FIELD_RADIUS = 88

    def __init__(self, width: int = 32, **kwargs: Any) -> None:
        super().__init__(width, **kwargs)
        cnl = partial(ConvNormLReLU, dtype=self.dtype_policy)
        w, up = width, "legacy"
        self.x0 = cnl(w, 7, name="x0")
        self.down = [
            (cnl(w, strides=2, name="x1_0"), cnl(2 * w, name="x1_1")),
            (cnl(2 * w, strides=2, name="x2_0"), cnl(4 * w, name="x2_1")),
            (cnl(2 * w, strides=2, name="x3_0"), cnl(4 * w, name="x3_1")),
        ]
        self.residuals = [
            LightResidual(name=f"res{i}", dtype=self.dtype_policy) for i in range(1, 5)
        ]
        self.up = [
            (cnl(4 * w, upsampling=up, name="x4_0"), cnl(2 * w, name="x4_1")),
            (cnl(2 * w, upsampling=up, name="x5_0"), cnl(w, name="x5_1")),
            (cnl(w, upsampling=up, name="x6_0"), cnl(w, 7, name="x6_1")),
        ]
        self.out_layer = make_out_layer(self.dtype_policy)
        self.build((None, None, None, 3))

    def call(self, inputs: Any) -> Any:
        x = self.x0(inputs)
        skips = []
        for strided, conv in self.down:
            skips.append(x)
            x = conv(strided(x))
        for residual in self.residuals:
            x = residual(x)
        for upsampled, conv in self.up:
            x = conv(upsampled(x) + skips.pop())
        return to_picture(self.out_layer(x))
