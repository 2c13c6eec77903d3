"""CartoonGAN generator."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from anime_tf.models.layers import PACKAGE, reflect, to_picture
from anime_tf.models.norms import PictureNorm, instance_norm, normed

EPSILON = 1e-9
"""Of the published weights' instance norm: 1e-5 is visibly another network."""

RESIDUAL_BLOCKS = 8


@keras.saving.register_keras_serializable(PACKAGE)
class CartoonGANGenerator(keras.Model):
    """The CartoonGAN generator: 11,129,667 parameters at its published width.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB; each side at least `MINIMUM_SIDE`.
    Output: pictures in [-1, 1], float32 under every precision, of the input's size rounded up to a
    multiple of `STRIDE`.

    Reflect padding on every side, also before strided convolutions; biases; instance norm; ReLU.
    The blocks have the names of the published weights:

        conv01_1 64 7x7, in01_1, relu
        conv02_1 128 s2, conv02_2 128, in02_1, relu                            to 1/2
        conv03_1 256 s2, conv03_2 256, in03_1, relu                            to 1/4
        conv04..conv11: x + (conv_1, in_1, relu, conv_2, in_2)(x)
        deconv01_1 128 transposed s2, deconv01_2 128, in12_1, relu             to 1/2
        deconv02_1 64 transposed s2, deconv02_2 64, in13_1, relu               to 1
        deconv03_1 3 7x7, tanh

    Args:
        width: Channels of the first convolution; all others scale with it. 64 as published.

    Raises:
        ValueError: `width` is less than 1.

    Reference: Chen, Lai, Liu, CartoonGAN, CVPR 2018, figure 2, and the published weights.
    """

    built: bool

    STRIDE = 4
    MINIMUM_SIDE = 8
    REACH = 88

    def __init__(self, width: int = 64, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if width < 1:
            raise ValueError(f"width must be at least 1, received {width}")
        self.width = width
        self.first = (self._conv("conv01_1", 1, kernel_size=7), self._norm("in01_1"))
        self.down = [
            (
                self._conv(f"conv0{i}_1", multiple, strides=2),
                self._conv(f"conv0{i}_2", multiple),
                self._norm(f"in0{i}_1"),
            )
            for i, multiple in ((2, 2), (3, 4))
        ]
        self.residuals = [
            tuple(
                part
                for j in (1, 2)
                for part in (self._conv(f"conv{i:02}_{j}", 4), self._norm(f"in{i:02}_{j}"))
            )
            for i in range(4, 4 + RESIDUAL_BLOCKS)
        ]
        self.up = [
            (
                self._transposed(f"deconv0{i}_1", multiple),
                self._conv(f"deconv0{i}_2", multiple),
                self._norm(f"in{11 + i}_1"),
            )
            for i, multiple in ((1, 2), (2, 1))
        ]
        self.last = self._conv("deconv03_1", None, kernel_size=7)
        self.build((None, None, None, 3))

    def _conv(
        self, name: str, multiple: int | None, kernel_size: int = 3, strides: int = 1
    ) -> keras.layers.Conv2D:
        filters = 3 if multiple is None else multiple * self.width
        return keras.layers.Conv2D(
            filters, kernel_size, strides, "valid", name=name, dtype=self.dtype_policy
        )

    def _transposed(self, name: str, multiple: int) -> keras.layers.Conv2DTranspose:
        return keras.layers.Conv2DTranspose(
            multiple * self.width, 3, 2, "valid", name=name, dtype=self.dtype_policy
        )

    def _norm(self, name: str) -> PictureNorm:
        return instance_norm(name, self.dtype_policy, EPSILON)

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        channels = input_shape[-1]
        for block in (self.first, *self.down, *self.residuals, *self.up, (self.last,)):
            for layer in block:
                layer.build((None, None, None, channels))
                channels = getattr(layer, "filters", channels)
        self.built = True

    def call(self, inputs: Any) -> Any:
        conv, norm = self.first
        x = ops.relu(_padded(conv, inputs, norm))
        for strided, conv, norm in self.down:
            x = ops.relu(_padded(conv, _padded(strided, x), norm))
        for conv_1, norm_1, conv_2, norm_2 in self.residuals:
            y = ops.relu(_padded(conv_1, x, norm_1))
            x = x + _padded(conv_2, y, norm_2)
        for transposed, conv, norm in self.up:
            # The first row and column of the 2 n + 1 are left out.
            x = ops.relu(_padded(conv, transposed(x)[:, 1:, 1:], norm))
        return to_picture(_padded(self.last, x))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


def _padded(conv: keras.layers.Conv2D, x: Any, norm: PictureNorm | None = None) -> Any:
    """A convolution after reflect padding by half its kernel on every side, whatever its stride.

    And its norm, if it has one.
    """
    side = conv.kernel_size[0] // 2
    x = reflect(x, side, side)
    return conv(x) if norm is None else normed(conv, norm, x)
