"""MobileNetV2 up to block_6_expand, the light perceptual network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE
from anime_tf.models.tree import ChainModel

ALPHA = 1.3  # width multiplier; the channels below are the paper's times this, in multiples of 8
STEM = 40  # channels of Conv1
# (channels, stride) of expanded_conv and of block_1 to block_5
BLOCKS = ((24, 1), (32, 2), (32, 1), (40, 2), (40, 1), (40, 1))

EXPANSION = 6  # channels inside a block per input channel; 1 in expanded_conv
NORM_EPSILON = 1e-3  # epsilon of the batch norms


def _names() -> Iterator[str]:
    yield from ("Conv1", "expanded_conv_depthwise", "expanded_conv_project")
    for number in range(1, len(BLOCKS)):
        yield from (f"block_{number}_{part}" for part in ("expand", "depthwise", "project"))
    yield "block_6_expand"


# Keras' names of the convolutions in order; a batch norm follows each but the last
NAMES = tuple(_names())


@keras.saving.register_keras_serializable(PACKAGE)
class MobileNetV2Features(ChainModel):
    """MobileNetV2's block_6_expand at width 1.3: the convolution, before its batch norm.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB, as in its training. Output: features,
    float32, (n, height / 8, width / 8, 240), sizes rounded up. Zero padding, ReLU6. The weights are
    not trainable; batch norms are fused into the convolutions before them.

    `keras.applications` has the same network, but it draws from Python's global random generator,
    uses the global dtype policy, and pads odd sides differently when the size is unknown.

    Args:
        seed: Seed of the random initial kernels.

    Reference: Sandler et al., MobileNetV2, CVPR 2018, table 2.
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed
        self.stem = self._conv("Conv1", STEM, 3, strides=2)
        self.blocks: list[list[keras.layers.Layer]] = []
        for number, (channels, strides) in enumerate(BLOCKS):
            name = f"block_{number}" if number else "expanded_conv"
            block = [self._depthwise(f"{name}_depthwise", strides)]
            if number:
                inside = EXPANSION * BLOCKS[number - 1][0]
                block.insert(0, self._conv(f"{name}_expand", inside))
            self.blocks.append([*block, self._conv(f"{name}_project", channels, gain=2.0)])
        self.expand = self._conv("block_6_expand", EXPANSION * BLOCKS[-1][0], use_bias=False)
        self.trainable = False
        self.build((None, None, None, 3))

    def _conv(
        self, name: str, filters: int, kernel_size: int = 1, gain: float = 1.0, **options: Any
    ) -> keras.layers.Conv2D:
        return keras.layers.Conv2D(
            filters,
            kernel_size,
            padding="same",
            kernel_initializer=self._initializer(name, gain, "fan_in"),
            name=name,
            dtype=self.dtype_policy,
            **options,
        )

    def _depthwise(self, name: str, strides: int) -> keras.layers.DepthwiseConv2D:
        # Each output sums 9 values, which is Keras' fan-out of a depthwise kernel; its fan-in
        # counts all channels.
        return keras.layers.DepthwiseConv2D(
            3,
            strides,
            padding="same",
            depthwise_initializer=self._initializer(name, 2.0, "fan_out"),
            name=name,
            dtype=self.dtype_policy,
        )

    def _initializer(self, name: str, gain: float, mode: str) -> keras.initializers.Initializer:
        # Gain 2 after a ReLU6 and 1 elsewhere keep the variance (He et al. 2015); 2 throughout
        # would drive every ReLU6 to its upper bound.
        seed = self.seed + 100 * NAMES.index(name)
        return keras.initializers.VarianceScaling(gain, mode, "truncated_normal", seed=seed)

    @property
    def convolutions(self) -> list[keras.layers.Layer]:
        """List Conv1 to block_6_expand in order."""
        return [self.stem, *(conv for block in self.blocks for conv in block), self.expand]

    def call(self, inputs: Any) -> Any:
        x = ops.relu6(self.stem(inputs))
        for (channels, strides), (*convs, project) in zip(BLOCKS, self.blocks, strict=True):
            before = x
            for conv in convs:
                x = ops.relu6(conv(x))
            x = project(x)
            if strides == 1 and before.shape[-1] == channels:
                x = before + x
        return ops.cast(self.expand(x), "float32")

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "seed": self.seed}
