"""White-box Cartoonization generator."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE
from anime_tf.models.generator import Generator
from anime_tf.models.guided_filter import guided_filter
from anime_tf.models.layers import make_leaky_relu
from anime_tf.models.upsampling import Upsample2x

FILTER_RADIUS, FILTER_EPSILON = 1, 0.005  # of the published test program; training has 0.01


@keras.saving.register_keras_serializable(PACKAGE)
class WhiteboxGenerator(Generator):
    """The White-box Cartoonization generator: 1,467,075 parameters at its width of 32.

    With C(c, k) = convolution with bias and zero padding, followed by leaky ReLU:

        x0 = C(32, 7)
        x1 = C(32, s2), C(64)                                    to 1/2
        x2 = C(64, s2), C(128), block_0..3, C(64)                to 1/4
        x3 = up + x1, C(64), C(32)                               to 1/2
        x4 = up + x0, C(32), 7x7 convolution to 3                to 1
        guided filter of x4 by the photo, clamped

    A block adds C(128) and a convolution to its input, without an activation after the sum. The
    filter is part of the model: without it the result has a checkerboard pattern and double
    outlines. There are no norms, so tiles are exact and videos do not flicker from statistics.

    Reference: Wang, Yu, Learning to Cartoonize Using White-Box Cartoon Representations, CVPR 2020.
    """

    STRIDE = 4
    MINIMUM_SIDE = 4
    RECEPTIVE_FIELD_RADIUS = 64

    def __init__(self, width: int = 32, **kwargs: Any) -> None:
        super().__init__(width, autocast=False, **kwargs)  # the filter needs a float32 photo
        policy = self.dtype_policy

        def conv(name: str, filters: int, kernel_size: int = 3, strides: int = 1) -> Any:
            return keras.layers.Conv2D(
                filters, kernel_size, strides, padding="same", name=name, dtype=policy
            )

        w = width
        self.activation = make_leaky_relu(policy)
        self.upsample = Upsample2x("legacy", name="up", dtype=policy)
        self.x0 = conv("x0", w, 7)
        self.x1 = [conv("x1_0", w, strides=2), conv("x1_1", 2 * w)]
        self.x2 = [conv("x2_0", 2 * w, strides=2), conv("x2_1", 4 * w)]
        self.blocks = [
            [conv(f"block_{i}_conv1", 4 * w), conv(f"block_{i}_conv2", 4 * w)] for i in range(4)
        ]
        self.x2_up = conv("x2_up", 2 * w)
        self.x3 = [conv("x3_0", 2 * w), conv("x3_1", w)]
        self.x4 = [conv("x4_0", w), conv("x4_1", 3, 7)]
        self.build((None, None, None, 3))

    def raw(self, inputs: Any) -> Any:
        """Return the network's output before the guided filter, unclamped, float32."""

        def chain(convs: list[Any], x: Any) -> Any:
            for one in convs:
                x = self.activation(one(x))
            return x

        x0 = self.activation(self.x0(inputs))
        x1 = chain(self.x1, x0)
        x = chain(self.x2, x1)
        for first, second in self.blocks:
            x = x + second(self.activation(first(x)))
        x = self.upsample(self.activation(self.x2_up(x))) + x1
        x = self.upsample(chain(self.x3, x)) + x0
        first, last = self.x4
        return ops.cast(last(self.activation(first(x))), "float32")

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Stylize pictures; `training` leaves the output unclamped, for the gradients."""
        x = guided_filter(inputs, self.raw(inputs), FILTER_RADIUS, FILTER_EPSILON)
        return x if training else ops.clip(x, -1.0, 1.0)
