"""MobileNetV1 up to conv_pw_5: a perceptual network with features at three depths."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE
from anime_tf.models.tree import ChainModel

STEM = 32  # channels of conv1
# (channels, stride) of conv_dw_i and conv_pw_i, i from 1
BLOCKS = ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1))

TAPS = (1, 3, 5)  # blocks whose pointwise convolutions are the pyramid's features
NORM_EPSILON = 1e-3  # epsilon of the batch norms
# Keras' names of the convolutions in order; a batch norm NAME_bn follows each
NAMES = ("conv1", *(f"conv_{kind}_{i + 1}" for i in range(len(BLOCKS)) for kind in ("dw", "pw")))


@keras.saving.register_keras_serializable(PACKAGE)
class MobileNetV1Features(ChainModel):
    """MobileNetV1's conv_pw_5 at width 1, before its ReLU6; `pyramid` has shallower features too.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB, which is what the network was trained on.
    Output: features, float32 (n, height / 8, width / 8, 256), sizes rounded up. The weights are not
    trainable. Each batch norm is fused into the convolution before it.

    Args:
        seed: Seed of the normal values that the kernels have until others are loaded.

    Reference: Howard et al., "MobileNets", 2017, table 1.
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.convolutions: list[keras.layers.Layer] = []
        for number, name in enumerate(NAMES):
            initializer = keras.initializers.VarianceScaling(
                2.0, "fan_out" if "dw" in name else "fan_in", seed=seed + 100 * number
            )
            options: dict[str, Any] = {"padding": "same", "name": name, "dtype": self.dtype_policy}
            if "dw" in name:
                strides = BLOCKS[(number - 1) // 2][1]
                conv: keras.layers.Layer = keras.layers.DepthwiseConv2D(
                    3, strides, depthwise_initializer=initializer, **options
                )
            elif number:
                filters = BLOCKS[(number - 1) // 2][0]
                conv = keras.layers.Conv2D(filters, 1, kernel_initializer=initializer, **options)
            else:
                conv = keras.layers.Conv2D(STEM, 3, 2, kernel_initializer=initializer, **options)
            self.convolutions.append(conv)
        self.trainable = False
        self.build((None, None, None, 3))

    def call(self, inputs: Any) -> Any:
        return self.pyramid(inputs)[-1]

    def pyramid(self, inputs: Any) -> list[Any]:
        """Compute conv_pw_1, conv_pw_3 and conv_pw_5, at 1/2, 1/4 and 1/8 of the size."""
        x = ops.cast(inputs, self.compute_dtype)
        features = []
        for conv in self.convolutions:
            x = conv(x)
            if conv.name in {f"conv_pw_{tap}" for tap in TAPS}:
                features.append(ops.cast(x, "float32"))
            x = ops.relu6(x)
        return features

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
