"""AnimeGANv2 generator."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras

from anime_tf.models import PACKAGE
from anime_tf.models.generator import Generator
from anime_tf.models.layers import ConvNormLReLU, InvertedResidual, make_out_layer
from anime_tf.models.norms import LAYER_NORM_EPSILON


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANv2Generator(Generator):
    """The AnimeGANv2 generator: 2,143,552 parameters at its published width of 32.

    Sides that are not multiples of `STRIDE` are rounded down, as in the original.

    Stages, with CNL(c, k, s) = reflect pad, convolution, layer norm, leaky ReLU:

        A  CNL(32, 7), CNL(64, 3, s2), CNL(64)          to 1/2
        B  CNL(128, 3, s2), CNL(128)                    to 1/4
        C  CNL(128), r1..r4 to 256, CNL(128)
        D  up, CNL(128), CNL(128)                       to 1/2
        E  up, CNL(64), CNL(64), CNL(32, 7)             to 1
        out_layer  1x1 convolution to 3 without bias, tanh

    Args:
        width: Channels of the first convolution; all others scale with it.
        upsampling: Sample positions of the upsampling, a key of `upsampling.UPSAMPLINGS`: "legacy"
            in the original; "align_corners" or "half_pixel" in its port to PyTorch.
        epsilon: Epsilon of the layer norms: 1e-12 in the original, 1e-5 in its port to PyTorch.

    Raises:
        ValueError: `width` is less than 1, or `upsampling` is unknown.

    Reference: Chen, Liu, AnimeGAN, ISICA 2019, and its second version's code and checkpoints.
    """

    STRIDE = 4
    MINIMUM_SIDE = 16
    RECEPTIVE_FIELD_RADIUS = 56

    def __init__(
        self,
        width: int = 32,
        upsampling: str = "legacy",
        epsilon: float = LAYER_NORM_EPSILON,
        **kwargs: Any,
    ) -> None:
        super().__init__(width, **kwargs)
        self.upsampling = upsampling
        self.epsilon = epsilon
        cnl = partial(ConvNormLReLU, epsilon=epsilon, dtype=self.dtype_policy)
        residual = partial(InvertedResidual, epsilon=epsilon, dtype=self.dtype_policy)
        w, up = width, upsampling
        self.A = [cnl(w, 7, name="A_0"), cnl(2 * w, strides=2, name="A_1"), cnl(2 * w, name="A_2")]
        self.B = [cnl(4 * w, strides=2, name="B_0"), cnl(4 * w, name="B_1")]
        self.C = [
            cnl(4 * w, name="C_0"),
            *(residual(8 * w, name=f"r{i}") for i in range(1, 5)),
            cnl(4 * w, name="C_1"),
        ]
        self.D = [cnl(4 * w, upsampling=up, name="D_0"), cnl(4 * w, name="D_1")]
        self.E = [
            cnl(2 * w, upsampling=up, name="E_0"),
            cnl(2 * w, name="E_1"),
            cnl(w, 7, name="E_2"),
        ]
        self.out_layer = make_out_layer(self.dtype_policy)
        self.build((None, None, None, 3))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "upsampling": self.upsampling, "epsilon": self.epsilon}
