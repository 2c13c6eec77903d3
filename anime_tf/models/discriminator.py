"""Discriminators: AnimeGAN's, of both versions, and CartoonGAN's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE
from anime_tf.models.layers import make_leaky_relu
from anime_tf.models.norms import make_norm
from anime_tf.models.spectral_norm import SpectralNormConv2D


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANDiscriminator(keras.Model):
    """Patch discriminator: 1,128,800 parameters at its published width.

    Input: pictures (n, height, width, 3) in [-1, 1], RGB. Output: logits, float32,
    (n, height / 4, width / 4, 1) for `depth` 3.

    Zero padding, N(0, 0.02) initializer, leaky ReLU 0.2. Stride 2 pads only the top and the left,
    by one.

        conv_0 32, lrelu; for i = 1, 2: conv_s2_i (stride 2), lrelu, conv_s1_i, norm, lrelu;
        last_conv 256, norm, lrelu; D_logit 1.

    Args:
        width: Twice the channels of the first convolution (`ch` of the originals).
        depth: `n_dis` of the originals; the picture is halved depth - 1 times.
        spectral_norm: Whether to divide every kernel by its spectral norm.
        norm: "layer" as in the second version, or "instance" as in the first.
        use_bias: Whether the convolutions have biases; those of AnimeGAN have none.
        dropout: Rate of dropout in training after each normalized block's activation; the originals
            have none.

    Raises:
        ValueError: `dropout` is not in [0, 1), or the norm is unknown.

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
            raise ValueError(f"expected dropout in [0, 1), got {dropout}")
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
            self.norms.append(make_norm(norm, f"1_norm_{i}", self.dtype_policy))
            channels *= 2
        self.last_conv = self._conv("last_conv", channels * 2)
        self.last_norm = make_norm(norm, "2_ins_norm", self.dtype_policy)
        self.D_logit = self._conv("D_logit", 1)
        self.activation = make_leaky_relu(self.dtype_policy)
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
        kind = SpectralNormConv2D if self.spectral_norm else keras.layers.Conv2D
        return kind(filters, 3, **options)

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
        """List the convolutions in the order of the forward pass, with the norms that follow."""
        pairs = [(self.conv_0, None)]
        for conv_s2, conv_s1, norm in zip(self.convs_s2, self.convs_s1, self.norms, strict=True):
            pairs += [(conv_s2, None), (conv_s1, norm)]
        return [*pairs, (self.last_conv, self.last_norm), (self.D_logit, None)]

    def call(
        self, inputs: Any, training: bool | None = None, noise: Callable[[Any], Any] | None = None
    ) -> Any:
        """Compute the logits; `training` updates the vectors of spectral norm and applies dropout.

        `noise` is a function from a shape (n, h, w, c) to float32 values, uniform in [0, 1), that
        dropout compares with its rate. The caller draws it from the seed and step of the run, so
        that it does not depend on the number of devices.

        Raises:
            ValueError: Dropout without noise.
        """
        drops = bool(training and self.dropout)
        if drops and noise is None:
            raise ValueError(f"expected noise for dropout {self.dropout} in training, got None")
        x = inputs
        for conv, norm in self._convs_and_norms():
            if conv.strides in (2, (2, 2)):
                x = ops.pad(x, [[0, 0], [1, 0], [1, 0], [0, 0]])
            x = conv(x, training=training) if self.spectral_norm else conv(x)
            if norm is not None:
                x = norm(x)
            if conv is not self.D_logit:
                x = self.activation(x)
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
