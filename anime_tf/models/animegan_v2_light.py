"""AnimeGANv2 light generator."""

from __future__ import annotations

from typing import Any

import keras

from anime_tf.models.layers import (
    PACKAGE,
    ConvNormLReLU,
    he_normal,
    picture_layer,
    to_picture,
)


@keras.saving.register_keras_serializable(PACKAGE)
class LightResidual(keras.layers.Layer):
    """Residual block of the light generator: CNL(c / 4, 1), CNL(c / 4, 3), 1x1 to c, add.

    Input and output (n, h, w, c).
    """

    def build(self, input_shape: Any) -> None:
        policy, channels = self.dtype_policy, input_shape[-1]
        self.reduce = ConvNormLReLU(channels // 4, 1, name="reduce", dtype=policy)
        self.conv = ConvNormLReLU(channels // 4, 3, name="conv", dtype=policy)
        self.expand = keras.layers.Conv2D(
            channels,
            1,
            use_bias=False,
            kernel_initializer=he_normal(),
            name="expand",
            dtype=policy,
        )
        self.reduce.build(input_shape)
        self.conv.build((None, None, None, channels // 4))
        self.expand.build((None, None, None, channels // 4))

    def call(self, inputs: Any) -> Any:
        return inputs + self.expand(self.conv(self.reduce(inputs)))


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANv2LightGenerator(keras.Model):
    """The light AnimeGANv2 generator, U-shaped: 698,240 parameters at its published width.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB; each side at least `MINIMUM_SIDE` and a
    multiple of `STRIDE`, since what comes up is added to what went down.
    Output: pictures in [-1, 1], float32 under every precision, of the input's size.

        x0 = CNL(32, 7)                         x4 = CNL(64)(CNL(128)(up(res4..1(x3))) + x2)
        x1 = CNL(32, s2), CNL(64)     to 1/2    x5 = CNL(32)(CNL(64)(up(x4)) + x1)
        x2 = CNL(64, s2), CNL(128)    to 1/4    x6 = CNL(32, 7)(CNL(32)(up(x5)) + x0)
        x3 = CNL(64, s2), CNL(128)    to 1/8    out_layer: 1x1 convolution to 3, tanh

    Args:
        width: Channels of the first convolution; all others scale with it. 32 as published.

    Raises:
        ValueError: `width` is less than 1.

    Reference: the light version of AnimeGANv2's code and checkpoints.
    """

    built: bool

    STRIDE = 8
    MINIMUM_SIDE = 16
    REACH = 88

    def __init__(self, width: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width < 1:
            raise ValueError(f"width must be at least 1, received {width}")
        self.width = width
        self.x0 = self._block("x0", 1, kernel_size=7)
        self.down = [
            (self._block(f"x{i}_0", narrow, strides=2), self._block(f"x{i}_1", wide))
            for i, (narrow, wide) in enumerate(((1, 2), (2, 4), (2, 4)), 1)
        ]
        self.residuals = [
            LightResidual(name=f"res{i}", dtype=self.dtype_policy) for i in range(1, 5)
        ]
        self.up = [
            (self._block("x4_0", 4), self._block("x4_1", 2)),
            (self._block("x5_0", 2), self._block("x5_1", 1)),
            (self._block("x6_0", 1), self._block("x6_1", 1, kernel_size=7)),
        ]
        self.out_layer = picture_layer("out_layer", self.dtype_policy)
        self.build((None, None, None, 3))

    def _block(
        self, name: str, multiple: int, kernel_size: int = 3, strides: int = 1
    ) -> ConvNormLReLU:
        return ConvNormLReLU(
            multiple * self.width, kernel_size, strides, name=name, dtype=self.dtype_policy
        )

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        channels = input_shape[-1]
        blocks = [self.x0, *sum(self.down, ()), *self.residuals, *sum(self.up, ())]
        for block in blocks:
            block.build((None, None, None, channels))
            channels = getattr(block, "filters", channels)
        self.out_layer.build((None, None, None, channels))
        self.built = True

    def call(self, inputs: Any) -> Any:
        x = self.x0(inputs)
        skips = []
        for narrow, wide in self.down:
            skips.append(x)
            x = wide(narrow(x))
        for residual in self.residuals:
            x = residual(x)
        for widen, merge in self.up:
            x = merge(widen(x, upsampling="legacy") + skips.pop())
        return to_picture(self.out_layer(x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}
