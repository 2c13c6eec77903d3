"""VGG-19 up to conv4_4, the perceptual network."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE
from anime_tf.models.layers import he_normal
from anime_tf.models.tree import ChainModel

# (convolutions, channels) of the blocks up to conv4_4; 2x2 max pooling between blocks
BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512))

TAPS = ("conv2_2", "conv3_3", "conv4_4")  # convolutions whose features `pyramid` returns

# means of ImageNet, blue, green, red, subtracted from VGG's inputs
MEAN_BGR = (103.939, 116.779, 123.68)


@keras.saving.register_keras_serializable(PACKAGE)
class VGG19Features(ChainModel):
    """VGG-19's conv4_4 before its activation.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB. Output: features, float32,
    (n, height / 8, width / 8, 512). The network sees (x + 1) / 2 * 255, BGR, minus `MEAN_BGR`,
    computed in float32. Zero padding, ReLU, 2x2 max pooling. The weights are not trainable.

    Args:
        seed: Seed of the random initial weights, He normal.

    Reference: Simonyan, Zisserman, ICLR 2015, configuration E.
    """

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        # autocast=False: preprocessing needs all 8 bits of a pixel, which bfloat16 does not hold.
        super().__init__(autocast=False, **kwargs)
        self.seed = seed
        self.blocks = [
            [
                keras.layers.Conv2D(
                    channels,
                    3,
                    padding="same",
                    kernel_initializer=he_normal(seed + 100 * block + i),
                    name=f"conv{block}_{i}",
                    dtype=self.dtype_policy,
                )
                for i in range(1, count + 1)
            ]
            for block, (count, channels) in enumerate(BLOCKS, 1)
        ]
        self.trainable = False
        self.build((None, None, None, 3))

    @property
    def convolutions(self) -> list[keras.layers.Conv2D]:
        """List conv1_1 to conv4_4 in order."""
        return [conv for block in self.blocks for conv in block]

    def call(self, inputs: Any) -> Any:
        return self.pyramid(inputs)[-1]

    def pyramid(self, inputs: Any) -> list[Any]:
        """Compute conv2_2, conv3_3 and conv4_4 before activation, at 1/2, 1/4 and 1/8."""
        bgr_255 = (ops.flip(ops.cast(inputs, "float32"), axis=-1) + 1.0) * 127.5
        x = ops.cast(bgr_255 - ops.convert_to_tensor(MEAN_BGR, "float32"), self.compute_dtype)
        features = []
        for number, block in enumerate(self.blocks):
            if number:
                x = ops.max_pool(x, 2, 2, padding="valid")
            for conv in block:
                x = conv(x)
                if conv.name in TAPS:
                    features.append(ops.cast(x, "float32"))
                x = ops.relu(x)
        return features

    def get_config(self) -> dict[str, Any]:
        config = super().get_config()
        config.pop("autocast", None)
        return {**config, "seed": self.seed}
