"""UE-AnimeGANv2 generator: AnimeGANv2's blocks in a U-shape."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from anime_tf.models import PACKAGE
from anime_tf.models.generator import Generator, to_picture
from anime_tf.models.layers import ConvNormLReLU, InvertedResidual, make_out_layer


@keras.saving.register_keras_serializable(PACKAGE)
class UEAnimeGANv2Generator(Generator):
    """AnimeGANv2's generator with additive skips: 1,964,160 parameters at its width of 32.

    This is this project's own design. One sentence is known of UE-AnimeGANv2: AnimeGANv2 with a
    U-Net generator and an edge loss, which keep the colors of the background and the details of
    faces. Layers, edge operator and loss weight were not published. Each size on the way down is
    added to the same size on the way up, so that detail need not pass the bottleneck.

    With CNL(c, k, s) = reflect pad, convolution, layer norm, leaky ReLU:

        x0 = CNL(32, 7)
        x1 = CNL(64, s2), CNL(64)                                to 1/2
        x2 = CNL(128, s2), CNL(128)                              to 1/4
        C  = CNL(128), r1..r4 to 256, CNL(128), + x2
        D  = up, CNL(128), CNL(64), + x1                         to 1/2
        E  = up, CNL(64), CNL(32), + x0, CNL(32, 7)              to 1
        out_layer  1x1 convolution to 3 without bias, tanh

    Reference: Chen, Liu, AnimeGAN, ISICA 2019, and its second version's code, for the blocks;
    Ronneberger et al., U-Net, MICCAI 2015, for the shape.
    """

    STRIDE = 4
    MINIMUM_SIDE = 8
    RECEPTIVE_FIELD_RADIUS = 52

    def __init__(self, width: int = 32, **kwargs: Any) -> None:
        super().__init__(width, **kwargs)
        cnl = partial(ConvNormLReLU, dtype=self.dtype_policy)
        residual = partial(InvertedResidual, dtype=self.dtype_policy)
        w, up = width, "legacy"
        self.A = [cnl(w, 7, name="A_0")]
        self.B = [
            [cnl(2 * w, strides=2, name="B_0"), cnl(2 * w, name="B_1")],
            [cnl(4 * w, strides=2, name="B_2"), cnl(4 * w, name="B_3")],
        ]
        self.C: list[Any] = [
            cnl(4 * w, name="C_0"),
            *(residual(8 * w, name=f"r{i}") for i in range(1, 5)),
            cnl(4 * w, name="C_1"),
        ]
        self.D = [cnl(4 * w, upsampling=up, name="D_0"), cnl(2 * w, name="D_1")]
        self.E = [cnl(2 * w, upsampling=up, name="E_0"), cnl(w, name="E_1")]
        self.last = cnl(w, 7, name="E_2")
        self.out_layer = make_out_layer(self.dtype_policy)
        self.build((None, None, None, 3))

    def call(self, inputs: Any) -> Any:
        x = inputs
        skips = []
        for stage in (self.A, *self.B):
            for block in stage:
                x = block(x)
            skips.append(x)
        for stage in (self.C, self.D, self.E):
            for block in stage:
                x = block(x)
            x = x + skips.pop()
        return to_picture(self.out_layer(self.last(x)))
