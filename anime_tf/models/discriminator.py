"""Discriminators: AnimeGAN's, of both versions, and CartoonGAN's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from anime_tf.models.layers import PACKAGE, SpectralNormConv2D, leaky_relu
from anime_tf.models.norms import norm_of


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANDiscriminator(keras.Model):
    """Patch discriminator: 1,128,800 parameters at its published width.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB. Output: logits, float32,
    (n, height / 4, width / 4, 1) for `depth` 3.

    Zero padding, N(0, 0.02) initialiser, leaky ReLU 0.2.
    Stride 2 pads top and left by one, bottom and right by none.

        conv_0 32, lrelu; for i = 1, 2: conv_s2_i (stride 2), lrelu, conv_s1_i, norm, lrelu;
        last_conv 256, norm, lrelu; D_logit 1.

    Args:
        width: Channels that the first convolution has twice (`ch` of the originals); 64.
        depth: `n_dis` of the originals: depth - 1 halvings; 3.
        spectral_norm: Whether every kernel is divided by its spectral norm.
        norm: "layer", over each sample, as the second version has it, or "instance", as the first.
        use_bias: Whether the convolutions have biases; the originals' have none.
        dropout: Part of the values after each normalised block's activation that is set to 0 in
            training, the others being divided by 1 - dropout; the originals have none.

    Raises:
        ValueError: `dropout` does not lie in 0..1, 1 excluded.

    Reference: AnimeGAN, ISICA 2019, figure 3, and the code of its second version.
    """

    built: bool

    def __init__(
        self,
        width: int = 64,
        depth: int = 3,
        spectral_norm: bool = True,
        norm: str = "layer",
        use_bias: bool = False,
        dropout: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not 0 <= dropout < 1:
            raise ValueError(f"dropout must lie in 0..1, 1 excluded, received {dropout}")
        self.width = width
        self.depth = depth
        self.spectral_norm = spectral_norm
        self.norm_kind = norm
        self.use_bias = use_bias
        self.dropout = dropout
        channels = width // 2
        self.conv_0 = self._conv("conv_0", channels)
        self.convs_s2, self.convs_s1, self.norms = [], [], []
        for i in range(1, depth):
            self.convs_s2.append(self._conv(f"conv_s2_{i}", channels * 2, strides=2))
            self.convs_s1.append(self._conv(f"conv_s1_{i}", channels * 4))
            self.norms.append(norm_of(norm, f"1_norm_{i}", self.dtype_policy))
            channels *= 2
        self.last_conv = self._conv("last_conv", channels * 2)
        self.last_norm = norm_of(norm, "2_ins_norm", self.dtype_policy)
        self.D_logit = self._conv("D_logit", 1)
        self.build((None, None, None, 3))

    def _conv(self, name: str, filters: int, strides: int = 1) -> keras.layers.Layer:
        options = {
            "strides": strides,
            "padding": "same" if strides == 1 else "valid",
            "kernel_initializer": keras.initializers.RandomNormal(stddev=0.02),
            "use_bias": self.use_bias,
            "name": name,
            "dtype": self.dtype_policy,
        }
        if self.spectral_norm:
            return SpectralNormConv2D(filters, 3, **options)
        return keras.layers.Conv2D(filters, 3, **options)

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        channels = input_shape[-1]
        for conv, norm in self._convs_and_norms():
            conv.build((None, None, None, channels))
            channels = conv.filters
            if norm is not None:
                norm.build((None, None, None, channels))
        self.built = True

    def _convs_and_norms(self) -> list[tuple[keras.layers.Layer, keras.layers.Layer | None]]:
        """Every convolution in the order of the forward pass, with the norm that follows it."""
        pairs = [(self.conv_0, None)]
        for conv_s2, conv_s1, norm in zip(self.convs_s2, self.convs_s1, self.norms, strict=True):
            pairs += [(conv_s2, None), (conv_s1, norm)]
        return [*pairs, (self.last_conv, self.last_norm), (self.D_logit, None)]

    def call(
        self,
        inputs: Any,
        training: bool | None = None,
        noise: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Judges pictures.

        Args:
            inputs: Pictures.
            training: Whether spectral norm's vectors move and values are dropped.
            noise: Shape (n, h, w, c) -> float32 values, uniform in [0, 1), by which values are
                dropped. It is given, not drawn here, so that a run's choices follow from its seed
                and step, on however many devices.

        Returns:
            Logits.

        Raises:
            ValueError: Values are to be dropped, and there is no noise.
        """
        drops = bool(training and self.dropout)
        if drops and noise is None:
            raise ValueError(f"noise is needed in training, since dropout is {self.dropout}")
        x = inputs
        for conv, norm in self._convs_and_norms():
            if conv.strides in (2, (2, 2)):
                x = ops.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]])
            x = conv(x, training=training) if self.spectral_norm else conv(x)
            if norm is not None:
                x = norm(x)
            if conv is not self.D_logit:
                x = leaky_relu(x)
            if drops and norm is not None and noise is not None:
                kept = ops.cast(noise(ops.shape(x)) >= self.dropout, x.dtype)
                x = x * kept * (1.0 / (1.0 - self.dropout))
        return ops.cast(x, "float32")

    def get_config(self) -> dict[str, Any]:
        return {
            **super().get_config(),
            "width": self.width,
            "depth": self.depth,
            "spectral_norm": self.spectral_norm,
            "norm": self.norm_kind,
            "use_bias": self.use_bias,
            "dropout": self.dropout,
        }
