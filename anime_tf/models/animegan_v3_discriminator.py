"""AnimeGANv3's two discriminators, one for each tail."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE
from anime_tf.models.layers import ReflectPad, make_leaky_relu
from anime_tf.models.norms import lade
from anime_tf.models.spectral_norm import SpectralNormConv2D
from anime_tf.models.tree import ChainModel, sublayers


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANv3Discriminator(ChainModel):
    """Patch discriminator: 693,088 parameters at its published width.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB or gray. Output: logits, float32,
    (n, height / 8, width / 8, 1) for `depth` 3. Reflect padding as in the generator, no biases,
    spectral norm on every kernel, LADE's too.

        conv_0 7x7 32, lrelu; for i = 0, 1, 2 with c = 32, 64, 128: conv_s2_i (stride 2) c, LADE,
        lrelu, conv_s1_i 2c, LADE, lrelu; D_logit 1x1.

    Args:
        width: Twice the channels of the first convolution.
        depth: Number of stages, each of which halves the picture.
        spectral_norm: Whether to divide every kernel by its spectral norm.

    Reference: Liu, Chen, Gao, IEICE 2024, and its code.
    """

    def __init__(
        self, width: int = 64, depth: int = 3, spectral_norm: bool = True, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.width, self.depth, self.spectral_norm = width, depth, spectral_norm
        policy = self.dtype_policy
        channels = width // 2
        self.blocks: list[Any] = [*self._conv("conv_0", channels, 7), make_leaky_relu(policy)]
        for i in range(depth):
            for name, filters, strides in (
                (f"conv_s2_{i}", channels, 2),
                (f"conv_s1_{i}", 2 * channels, 1),
            ):
                norm = lade(f"{name}_norm", policy, spectral_norm=spectral_norm)
                self.blocks += [*self._conv(name, filters, 3, strides), norm]
                self.blocks.append(make_leaky_relu(policy))
            channels *= 2
        self.blocks += self._conv("D_logit", 1, 1)
        self.build((None, None, None, 3))

    def _conv(self, name: str, filters: int, size: int, strides: int = 1) -> list[Any]:
        policy = self.dtype_policy
        pad = ReflectPad.for_conv(size, strides, policy, top_left=True)
        kind = SpectralNormConv2D if self.spectral_norm else keras.layers.Conv2D
        options = {"use_bias": False, "name": name, "dtype": policy}
        return [pad, kind(filters, size, strides, "valid", **options)]

    def call(self, inputs: Any) -> Any:
        x = inputs
        for block in sublayers(self):
            x = block(x)
        return ops.cast(x, "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "spectral_norm": self.spectral_norm,
        }


@keras.saving.register_keras_serializable(PACKAGE)
class DoubleDiscriminator(keras.Model):
    """The discriminators of the support tail and of the main tail.

    Training calls each by itself; the model as a whole returns the mean of their logits. Arguments
    as of `AnimeGANv3Discriminator`; there is no dropout.
    """

    def __init__(
        self,
        width: int = 64,
        depth: int = 3,
        spectral_norm: bool = True,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if dropout:
            raise ValueError(f"expected no dropout in AnimeGANv3's discriminators, got {dropout}")
        self.width, self.depth, self.spectral_norm = width, depth, spectral_norm
        options = {"spectral_norm": spectral_norm, "dtype": self.dtype_policy}
        self.support = AnimeGANv3Discriminator(width, depth, name="discriminator", **options)
        self.main = AnimeGANv3Discriminator(width, depth, name="discriminator_main", **options)
        self.built = True

    def call(self, inputs: Any) -> Any:
        return 0.5 * (self.support(inputs) + self.main(inputs))

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "spectral_norm": self.spectral_norm,
        }
