"""UE-AnimeGANv2 generator: AnimeGANv2's blocks in a U-shape."""

from __future__ import annotations

from typing import Any

import keras

from anime_tf.models.layers import (
    PACKAGE,
    ConvNormLReLU,
    InvertedResidual,
    picture_layer,
    to_picture,
)


@keras.saving.register_keras_serializable(PACKAGE)
class UEAnimeGANv2Generator(keras.Model):
    """AnimeGANv2's generator with additive skips: 1,964,160 parameters at its own width.

    This is this project's own design. Of UE-AnimeGANv2 one sentence is known: AnimeGANv2 with a
    U-Net generator and an edge loss, so that the background's colours and a face's details
    survive; layers, operator and weight were not published. What goes down is added to what comes
    up at each size, so that detail need not pass the bottleneck.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB; each side at least `MINIMUM_SIDE` and a
    multiple of `STRIDE`. Output: pictures in [-1, 1], float32 under every precision, same size.

    With CNL(c, k, s) = reflect pad, convolution, layer norm, leaky ReLU:

        x0 = CNL(32, 7)
        x1 = CNL(64, s2), CNL(64)                                to 1/2
        x2 = CNL(128, s2), CNL(128)                              to 1/4
        C  = CNL(128), r1..r4 to 256, CNL(128), + x2
        D  = up, CNL(128), CNL(64), + x1                         to 1/2
        E  = up, CNL(64), CNL(32), + x0, CNL(32, 7)              to 1
        out_layer  1x1 convolution to 3 without bias, tanh

    Args:
        width: Channels of the first convolution; all others scale with it.

    Raises:
        ValueError: `width` is less than 1.

    Reference: Chen, Liu, AnimeGAN, ISICA 2019, and its second version's code, for the blocks;
    Ronneberger et al., U-Net, MICCAI 2015, for the shape.
    """

    built: bool

    STRIDE = 4
    MINIMUM_SIDE = 8
    REACH = 52

    def __init__(self, width: int = 32, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width < 1:
            raise ValueError(f"width must be at least 1, received {width}")
        self.width = width
        self.A: list[Any] = [self._block("A_0", 1, kernel_size=7)]
        self.B = [
            [self._block("B_0", 2, strides=2), self._block("B_1", 2)],
            [self._block("B_2", 4, strides=2), self._block("B_3", 4)],
        ]
        self.C: list[Any] = [
            self._block("C_0", 4),
            *(
                InvertedResidual(8 * width, name=f"r{i}", dtype=self.dtype_policy)
                for i in range(1, 5)
            ),
            self._block("C_1", 4),
        ]
        self.D = [self._block("D_0", 4), self._block("D_1", 2)]
        self.E = [self._block("E_0", 2), self._block("E_1", 1)]
        self.last = self._block("E_2", 1, kernel_size=7)
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
        down: list[Any] = [block for stage in self.B for block in stage]
        for block in (*self.A, *down, *self.C, *self.D, *self.E, self.last):
            block.build((None, None, None, channels))
            channels = block.filters
        self.out_layer.build((None, None, None, channels))
        self.built = True

    def call(self, inputs: Any) -> Any:
        x = inputs
        skips = []
        for stage in (self.A, *self.B):
            for block in stage:
                x = block(x)
            skips.append(x)
        for block in self.C:
            x = block(x)
        x = x + skips.pop()
        for first, *others in (self.D, self.E):
            x = first(x, upsampling="legacy")
            for block in others:
                x = block(x)
            x = x + skips.pop()
        return to_picture(self.out_layer(self.last(x)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}
