"""AnimeGANv3 generator (DTGAN) and its two tails for training."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
from keras import ops

from anime_tf.models import PACKAGE
from anime_tf.models.generator import Generator, to_picture
from anime_tf.models.layers import ConvNormLReLU, ReflectPad, make_conv, make_leaky_relu
from anime_tf.models.norms import DoubleNorm
from anime_tf.models.tree import ChainModel, build_in_order


@keras.saving.register_keras_serializable(PACKAGE)
class ExternalAttention(keras.layers.Layer):
    """Attention of each position to a memory K of `slots` learned vectors, as many as channels.

        s = conv_0(x) K,   x + norm(conv_1(double_norm(s) K^T)),   leaky ReLU

    Input and output (n, h, w, c). The convolutions are 1x1; `norm` is a batch norm.
    Weights: `kernel` (1, c, slots), the memory, and those of the sublayers.

    Reference: Guo et al., External Attention, 2021; Liu, Chen, Gao, IEICE 2024.
    """

    def build(self, input_shape: Any) -> None:
        policy, channels = self.dtype_policy, input_shape[-1]
        self.conv_0 = make_conv(channels, 1, "conv_0", policy, "lade")
        self.kernel = self.add_weight(
            name="kernel", shape=(1, channels, channels), initializer="glorot_uniform"
        )
        self.double_norm = DoubleNorm(name="double_norm", dtype=policy)
        self.conv_1 = make_conv(channels, 1, "conv_1", policy, "lade")
        self.norm = keras.layers.BatchNormalization(
            momentum=0.999, epsilon=1e-3, name="norm", dtype=policy
        )
        self.activation = make_leaky_relu(policy)
        build_in_order(self, input_shape)

    def call(self, inputs: Any) -> Any:
        memory = ops.cast(self.kernel, inputs.dtype)  # as a 1x1 convolution
        scores = ops.conv(self.conv_0(inputs), memory[None])
        attended = ops.conv(self.double_norm(scores), ops.transpose(memory, (0, 2, 1))[None])
        return self.activation(inputs + self.norm(self.conv_1(attended)))


@keras.saving.register_keras_serializable(PACKAGE)
class Base(keras.layers.Layer):
    """Encoder: a picture (n, h, w, 3) to features at 1, 1/2, 1/4 and 1/8 of its size."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.filters = 4 * width  # of the last features
        cll = partial(ConvNormLReLU, norm="lade", dtype=self.dtype_policy)
        w = width
        self.x0 = [cll(w, 7, name="x0")]
        self.x1 = [cll(w, strides=2, name="x1_0"), cll(2 * w, name="x1_1")]
        self.x2 = [cll(2 * w, strides=2, name="x2_0"), cll(4 * w, name="x2_1")]
        self.x3 = [cll(4 * w, strides=2, name="x3_0"), cll(4 * w, name="x3_1")]

    def build(self, input_shape: Any) -> None:
        build_in_order(self, input_shape)

    def call(self, inputs: Any) -> list[Any]:
        x, features = inputs, []
        for stage in (self.x0, self.x1, self.x2, self.x3):
            for block in stage:
                x = block(x)
            features.append(x)
        return features

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(PACKAGE)
class Tail(keras.layers.Layer):
    """Decoder: the features of `Base` to a picture (n, h, w, 3) in [-1, 1], float32."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        policy = self.dtype_policy
        cll = partial(ConvNormLReLU, norm="lade", dtype=policy)
        w, up = width, "legacy"
        self.attention = ExternalAttention(name="attention", dtype=policy)
        self.u4 = [cll(4 * w, upsampling=up, name="u4_0"), cll(4 * w, name="u4_1")]
        self.u5 = [cll(2 * w, upsampling=up, name="u5_0"), cll(2 * w, name="u5_1")]
        self.u6 = [cll(w, upsampling=up, name="u6_0"), cll(w, name="u6_1")]
        self.pad = ReflectPad(3, 3, name="pad", dtype=policy)
        self.out_layer = make_conv(3, 7, "out_layer", policy, "lade")

    def build(self, _: Any) -> None:
        build_in_order(self, (None, None, None, 4 * self.width))

    def call(self, inputs: Any) -> Any:
        *skips, x = inputs
        x = self.attention(x)
        for upsampled, conv in (self.u4, self.u5, self.u6):
            x = conv(upsampled(x) + skips.pop())
        return to_picture(self.out_layer(self.pad(x)))

    def get_config(self) -> dict[str, Any]:
        return {**super().get_config(), "width": self.width}


@keras.saving.register_keras_serializable(PACKAGE)
class AnimeGANv3Generator(Generator):
    """The AnimeGANv3 generator: 1,027,520 parameters at its published width of 32.

    With CLL(c, k, s) = reflect pad, convolution without bias, LADE, leaky ReLU; stride 2 pads the
    top and the left:

        base  x0 = CLL(32, 7)
              x1 = CLL(64)(CLL(32, s2))         to 1/2
              x2 = CLL(128)(CLL(64, s2))        to 1/4
              x3 = CLL(128)(CLL(128, s2))       to 1/8
        main  u4 = CLL(128)(CLL(128)(up(attention(x3))) + x2)
              u5 = CLL(64)(CLL(64)(up(u4)) + x1)
              u6 = CLL(32)(CLL(32)(up(u5)) + x0)
              out_layer  7x7 convolution to 3 without bias, tanh

    Training adds a second tail (`DoubleTail`). Unlike the generators before it, this one depends on
    the contrast of the photo: LADE(a x) = a LADE(x).

    Reference: Liu, Chen, Gao, A Novel Double-Tail Generative Adversarial Network for Fast Photo
        Animation, IEICE E107.D(1), 2024.
    """

    STRIDE = 8
    MINIMUM_SIDE = 16
    BYTES_PER_PIXEL = 900
    RECEPTIVE_FIELD_RADIUS = 56

    def __init__(self, width: int = 32, **kwargs: Any) -> None:
        super().__init__(width, **kwargs)
        self.base = Base(width, name="base", dtype=self.dtype_policy)
        self.main = Tail(width, name="main", dtype=self.dtype_policy)
        self.build((None, None, None, 3))

    def call(self, inputs: Any) -> Any:
        return self.main(self.base(inputs))


class DoubleTail(ChainModel):
    """A generator and its support tail, which exists only in training.

    Returns the pictures of the support tail and of the main tail.

    Args:
        generator: The generator; its weights are shared.
    """

    def __init__(self, generator: AnimeGANv3Generator, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.generator = generator
        self.support = Tail(generator.width, name="support", dtype=generator.dtype_policy)
        self.support.build(None)
        self.built = True

    def call(self, inputs: Any) -> tuple[Any, Any]:
        features = self.generator.base(inputs)
        return self.support(features), self.generator.main(features)

    def support_picture(self, inputs: Any, training: bool) -> Any:
        """Compute the picture of the support tail alone."""
        return self.support(self.generator.base(inputs), training=training)
