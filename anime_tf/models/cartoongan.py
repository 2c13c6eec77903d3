"""CartoonGAN generator."""

from __future__ import annotations

from collections.abc import Iterable
from functools import partial
from typing import Any

import keras

from anime_tf.models import PACKAGE
from anime_tf.models.generator import Generator, to_picture
from anime_tf.models.layers import ReflectPad
from anime_tf.models.norms import instance_norm

EPSILON = 1e-9  # epsilon of the published weights' instance norm: 1e-5 visibly changes the result


@keras.saving.register_keras_serializable(PACKAGE)
class CartoonGANGenerator(Generator):
    """The CartoonGAN generator: 11,129,667 parameters at its published width of 64.

    Sides that are not multiples of `STRIDE` are rounded up.

    Reflect padding on every side, also before strided convolutions; biases; instance norm; ReLU.
    The layers have the names of the published weights:

        conv01_1 64 7x7, in01_1, relu
        conv02_1 128 s2, conv02_2 128, in02_1, relu                            to 1/2
        conv03_1 256 s2, conv03_2 256, in03_1, relu                            to 1/4
        conv04..conv11: x + (conv_1, in_1, relu, conv_2, in_2)(x)
        deconv01_1 128 transposed s2, deconv01_2 128, in12_1, relu             to 1/2
        deconv02_1 64 transposed s2, deconv02_2 64, in13_1, relu               to 1
        deconv03_1 3 7x7, tanh

    Reference: Chen, Lai, Liu, CartoonGAN, CVPR 2018, figure 2, and the published weights.
    """

    STRIDE = 4
    MINIMUM_SIDE = 8
    RECEPTIVE_FIELD_RADIUS = 88
    BYTES_PER_PIXEL = 1250

    def __init__(self, width: int = 64, **kwargs: Any) -> None:
        super().__init__(width, **kwargs)
        policy = self.dtype_policy

        def conv(
            name: str, filters: int, kernel_size: int = 3, strides: int = 1
        ) -> tuple[ReflectPad, keras.layers.Conv2D]:
            half = kernel_size // 2
            return (
                ReflectPad(half, half, dtype=policy),
                keras.layers.Conv2D(filters, kernel_size, strides, name=name, dtype=policy),
            )

        def transposed(name: str, filters: int) -> tuple[keras.layers.Layer, ...]:
            # The first row and column of the 2 n + 1 are cropped.
            return (
                keras.layers.Conv2DTranspose(filters, 3, 2, name=name, dtype=policy),
                keras.layers.Cropping2D(((1, 0), (1, 0)), dtype=policy),
            )

        norm = partial(instance_norm, dtype=policy, epsilon=EPSILON)
        relu = partial(keras.layers.ReLU, dtype=policy)
        one, two, four = width, 2 * width, 4 * width
        self.first = (*conv("conv01_1", one, 7), norm("in01_1"), relu())
        self.down = [
            (*conv(f"conv0{i}_1", c, strides=2), *conv(f"conv0{i}_2", c), norm(f"in0{i}_1"), relu())
            for i, c in ((2, two), (3, four))
        ]
        self.residuals = [
            (
                *conv(f"conv{i:02}_1", four),
                norm(f"in{i:02}_1"),
                relu(),
                *conv(f"conv{i:02}_2", four),
                norm(f"in{i:02}_2"),
            )
            for i in range(4, 12)
        ]
        self.up = [
            (
                *transposed(f"deconv0{i}_1", c),
                *conv(f"deconv0{i}_2", c),
                norm(f"in{11 + i}_1"),
                relu(),
            )
            for i, c in ((1, two), (2, one))
        ]
        self.last_pad, self.last = conv("deconv03_1", 3, 7)
        self.build((None, None, None, 3))

    def call(self, inputs: Any) -> Any:
        x = _chain((self.first, *self.down), inputs)
        for residual in self.residuals:
            x = x + _chain((residual,), x)
        x = _chain(self.up, x)
        return to_picture(self.last(self.last_pad(x)))


def _chain(stages: Iterable[Iterable[keras.layers.Layer]], x: Any) -> Any:
    for stage in stages:
        for layer in stage:
            x = layer(x)
    return x
