"""AnimeGANv2 generator."""

from __future__ import annotations

from typing import Any

import keras

from anime_tf.models.layers import (
    PACKAGE,
    UPSAMPLINGS,
    ConvNormLReLU,
    InvertedResidual,
    picture_layer,
    to_picture,
)
from anime_tf.models.norms import LAYER_NORM_EPSILON


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANv2Generator(keras.Model):
    """The AnimeGANv2 generator: 2,143,552 parameters at its published width.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB; each side at least `MINIMUM_SIDE`.
    Output: pictures in [-1, 1], float32 under every precision, of the input's size rounded down
    to a multiple of `STRIDE` (so the same size where both sides are multiples of it).

    Stages, with CNL(c, k, s) = reflect pad, convolution, layer norm, leaky ReLU:

        A  CNL(32, 7), CNL(64, 3, s2), CNL(64)          to 1/2
        B  CNL(128, 3, s2), CNL(128)                    to 1/4
        C  CNL(128), r1..r4 to 256, CNL(128)
        D  up, CNL(128), CNL(128)                       to 1/2
        E  up, CNL(64), CNL(64), CNL(32, 7)             to 1
        out_layer  1x1 convolution to 3 without bias, tanh

    Args:
        width: Channels of the first convolution; all others scale with it. 32 as published.
        resize: Where the upsampling places its samples, a key of `layers.UPSAMPLINGS`: "legacy" in
            the original; "align_corners" or "half_pixel" in its port to PyTorch.
        epsilon: Of the layer norms: 1e-12 in the original, 1e-5 in its port to PyTorch.

    Raises:
        ValueError: `width` is less than 1, or there is no such `resize`.

    Reference: Chen, Liu, AnimeGAN, ISICA 2019, and its second version's code and checkpoints.
    """

    built: bool

    STRIDE = 4
    MINIMUM_SIDE = 16
    REACH = 56

    def __init__(
        self,
        width: int = 32,
        resize: str = "legacy",
        epsilon: float = LAYER_NORM_EPSILON,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if width < 1:
            raise ValueError(f"width must be at least 1, received {width}")
        if resize not in UPSAMPLINGS:
            raise ValueError(f"resize must be one of {', '.join(UPSAMPLINGS)}, received {resize!r}")
        self.width = width
        self.resize = resize
        self.epsilon = epsilon
        self.A = self._stage("A", (1, 7, 1), (2, 3, 2), (2, 3, 1))
        self.B = self._stage("B", (4, 3, 2), (4, 3, 1))
        self.C = [
            *self._stage("C", (4, 3, 1)),
            *(
                InvertedResidual(8 * width, epsilon=epsilon, name=f"r{i}", dtype=self.dtype_policy)
                for i in range(1, 5)
            ),
            *self._stage("C", (4, 3, 1), first=1),
        ]
        self.D = self._stage("D", (4, 3, 1), (4, 3, 1))
        self.E = self._stage("E", (2, 3, 1), (2, 3, 1), (1, 7, 1))
        self.out_layer = picture_layer("out_layer", self.dtype_policy)
        self.build((None, None, None, 3))

    def _stage(
        self, letter: str, *blocks: tuple[int, int, int], first: int = 0
    ) -> list[keras.layers.Layer]:
        """CNL blocks `<letter>_<i>` from (multiple of the width, kernel size, stride)."""
        return [
            ConvNormLReLU(
                multiple * self.width,
                kernel_size,
                strides,
                epsilon=self.epsilon,
                name=f"{letter}_{i}",
                dtype=self.dtype_policy,
            )
            for i, (multiple, kernel_size, strides) in enumerate(blocks, first)
        ]

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        channels = input_shape[-1]
        for block in (*self.A, *self.B, *self.C, *self.D, *self.E):
            block.build((None, None, None, channels))
            channels = block.filters
        self.out_layer.build((None, None, None, channels))
        self.built = True

    def call(self, inputs: Any) -> Any:
        x = inputs
        for stage in (self.A, self.B, self.C):
            for block in stage:
                x = block(x)
        for first, *others in (self.D, self.E):
            x = first(x, upsampling=self.resize)
            for block in others:
                x = block(x)
        return to_picture(self.out_layer(x))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "resize": self.resize,
            "epsilon": self.epsilon,
        }
