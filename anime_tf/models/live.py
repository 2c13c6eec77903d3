"""Live generator: a U-net without norms, small enough for a camera on an ordinary CPU."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from anime_tf.io.color import LUMA_WEIGHTS
from anime_tf.models import PACKAGE
from anime_tf.models.generator import Generator
from anime_tf.models.norms import Moments, StatisticsLayer
from anime_tf.models.upsampling import Upsample2x

EXPOSED_MEAN = (-0.16, 0.24)
"""Exposure moves the mean luma, of [-1, 1], into this range."""

EXPOSURE_LIMITS = (-0.4, 0.6)
"""Largest darkening and brightening: the slope of each of the two curves at black is 1 + k."""

# Binomial low-pass before a stride of 2, centered between two pixels as half-pixel upsampling is.
_BLUR = (0.125, 0.375, 0.375, 0.125)


@keras.saving.register_keras_serializable(PACKAGE)
class Exposure(StatisticsLayer):
    """Brighten dark pictures and darken pale ones, by their mean luma alone.

        y = x + k (1 - x^2) / 2, twice, x in [-1, 1];  k = (wanted - mean) / (1 - mean^2)

    with `wanted` the mean clipped to `EXPOSED_MEAN` and k clipped to `EXPOSURE_LIMITS`. The
    variance is only measured to tell how far a moving average over frames may lag behind.

    Input and output (n, height, width, 3) in [-1, 1], float32 under every policy.
    """

    @property
    def statistics_size(self) -> int:
        """1: the luma."""
        return 1

    def measure(self, x: Any) -> Moments:
        """Measure mean and variance of the luma of each picture, (n, 1, 1, 1) each."""
        # The sum over the channels as a mean, whose axes every runtime takes alike.
        weights = 3.0 * ops.convert_to_tensor(LUMA_WEIGHTS, "float32")
        luma = ops.mean(ops.cast(x, "float32") * weights, axis=-1, keepdims=True)
        # One axis after the other: the sum of a whole picture loses digits in float32.
        mean = ops.mean(ops.mean(luma, axis=2, keepdims=True), axis=1, keepdims=True)
        square = ops.square(luma - mean)
        return mean, ops.mean(ops.mean(square, axis=2, keepdims=True), axis=1, keepdims=True)

    def normalize(self, x: Any, mean: Any, variance: Any) -> Any:  # noqa: ARG002, of its base class
        """Expose pictures whose mean luma is given."""
        x, mean = ops.cast(x, "float32"), ops.cast(mean, "float32")
        wanted = ops.clip(mean, *EXPOSED_MEAN)
        amount = (wanted - mean) / ops.maximum(1.0 - mean * mean, 2e-3)
        half = 0.5 * ops.clip(amount, *EXPOSURE_LIMITS)
        for _ in range(2):
            x = x + half * (1.0 - x * x)
        return x


@keras.saving.register_keras_serializable(PACKAGE)
class BlurPool(keras.layers.Layer):
    """Low-pass filter and stride 2: a picture that moves by a pixel does not flicker.

    The fixed filter is (1, 3, 3, 1) / 8 on each axis.

    Used in float32 under every precision: CPUs emulate bfloat16 outside of convolutions.

    Reference: Zhang, "Making Convolutional Networks Shift-Invariant Again", ICML 2019.
    """

    def call(self, inputs: Any) -> Any:
        taps = ops.convert_to_tensor(_BLUR, inputs.dtype)
        kernel = ops.reshape(taps[:, None] * taps[None, :], (4, 4, 1, 1))
        kernel = ops.tile(kernel, (1, 1, inputs.shape[-1], 1))
        return ops.depthwise_conv(inputs, kernel, strides=2, padding="same")


@keras.saving.register_keras_serializable(PACKAGE)
class ResidualBlock(keras.layers.Layer):
    """x + conv(relu(conv(x))), 3x3; the second kernel starts at zero, so the block as identity."""

    def build(self, input_shape: Any) -> None:
        channels = input_shape[-1]
        self.first = _conv(channels, "first", self.dtype_policy, "relu")
        self.second = _conv(channels, "second", self.dtype_policy, kernel_initializer="zeros")
        self.first.build(input_shape)
        self.second.build(input_shape)

    def call(self, inputs: Any) -> Any:
        return inputs + self.second(self.first(inputs))


@keras.saving.register_keras_serializable(PACKAGE)
class GatedMerge(keras.layers.Layer):
    """Merge features from below with a skip that they open and close.

        relu(conv(v + g (skip - v))),  v = up(value), g = sigmoid(up(gate))

    with value and gate 1x1 convolutions of what lies below.

    A painting has less texture than its photo: what lies below decides where detail passes.
    """

    def build(self, input_shape: Any) -> None:
        below, skip = input_shape
        channels = skip[-1]
        self.value = _conv(channels, "value", self.dtype_policy, kernel_size=1)
        self.gate = _conv(channels, "gate", self.dtype_policy, kernel_size=1)
        self.upsample = Upsample2x("half_pixel", name="upsample", dtype="float32")
        self.conv = _conv(channels, "conv", self.dtype_policy, "relu")
        self.value.build(below)
        self.gate.build(below)
        self.conv.build(skip)

    def call(self, inputs: Any) -> Any:
        below, skip = inputs
        gate = ops.sigmoid(self.upsample(self.gate(below)))
        value = self.upsample(self.value(below))
        return self.conv(value + gate * (ops.cast(skip, "float32") - value))


def _conv(
    filters: int,
    name: str,
    dtype: Any,
    activation: str | None = None,
    kernel_initializer: str = "he_normal",
    kernel_size: int = 3,
) -> keras.layers.Conv2D:
    return keras.layers.Conv2D(
        filters,
        kernel_size,
        padding="same",
        activation=activation,
        kernel_initializer=kernel_initializer,
        name=name,
        dtype=dtype,
    )


@keras.saving.register_keras_serializable(PACKAGE)
class LiveGenerator(Generator):
    """A U-net at 1/2 to 1/16 of the resolution without norms: this project's own design.

        x0 = conv(8 r) of the exposed picture             full resolution, thin
        x1 = conv(w)(blur(x0))                             1/2
        x2 = res(conv(2 w)(blur(x1)))                      1/4
        x3 = res(res(conv(2 w)(blur(x2))))                 1/8
        x4 = res(res(conv(1.5 w)(blur(x3))))               1/16
        y3 = merge(x4, x3), y2 = res(merge(y3, x2)), y1 = merge(y2, x1), y0 = merge(y1, x0)
        out_layer: 3x3 convolution to 3, clamped

    w is the width and r one for each begun 32 of it. All convolutions are 3x3 with bias and ReLU.
    It begins as a soft form of the picture. Nothing but `Exposure` depends on the whole picture, so
    tiles are exact and a video does not flicker. The default width takes 12,400 multiply-adds a
    pixel.
    """

    STRIDE = 16
    MINIMUM_SIDE = 16
    RECEPTIVE_FIELD_RADIUS = 208
    BYTES_PER_PIXEL = 230
    DEFAULT_WIDTH = 24

    def __init__(self, width: int | None = None, **kwargs: Any) -> None:
        # Exposure sees all 256 levels under every precision.
        width = self.DEFAULT_WIDTH if width is None else width
        super().__init__(width, autocast=False, **kwargs)
        policy = self.dtype_policy
        self._filters = (8 * -(-width // 32), width, 2 * width, 2 * width, -(-3 * width // 2))
        self.exposure = Exposure(name="exposure", dtype="float32")
        self.blur = BlurPool(name="blur", dtype="float32")
        self.down = [
            _conv(channels, f"x{i}", policy, "relu") for i, channels in enumerate(self._filters)
        ]
        self.residuals = [
            [ResidualBlock(name=f"x{i}_res{j}", dtype=policy) for j in range(count)]
            for i, count in enumerate((0, 0, 1, 2, 2))
        ]
        self.merges = [GatedMerge(name=f"y{i}", dtype=policy) for i in range(4)]
        self.refine = ResidualBlock(name="y2_res", dtype=policy)
        self.out_layer = _conv(3, "out_layer", policy, kernel_initializer="zeros")
        self.build((None, None, None, 3))

    def build(self, input_shape: Any) -> None:
        if self.built:
            return
        shapes = [(None, None, None, channels) for channels in self._filters]
        for level, conv in enumerate(self.down):
            conv.build(shapes[level - 1] if level else input_shape)
            for block in self.residuals[level]:
                block.build(shapes[level])
        for level, merge in enumerate(self.merges):
            merge.build((shapes[level + 1], shapes[level]))
        self.refine.build(shapes[2])
        self.out_layer.build(shapes[0])
        self._begin_as_identity()
        self.built = True

    def _begin_as_identity(self) -> None:
        """Let three channels carry the exposed picture through all levels to the output.

        With half-open gates the output begins as a mean of the picture and of its blurred forms, in
        all its colors; training decides by the gates where detail stays. Channels hold x + 1, which
        the activations let pass.
        """
        convs = [(conv, 0.0 if level else 1.0) for level, conv in enumerate(self.down)]
        for merge in self.merges:
            convs += [(merge.value, 0.0), (merge.conv, 0.0)]
        for conv, bias in [*convs, (self.out_layer, -1.0)]:
            kernel = np.array(ops.convert_to_numpy(conv.kernel))
            biases = np.array(ops.convert_to_numpy(conv.bias))
            kernel[..., :3], biases[:3] = 0.0, bias
            middle = kernel.shape[0] // 2
            kernel[middle, middle, :3, :3] = np.eye(3)[: kernel.shape[2], : kernel.shape[3]]
            conv.kernel.assign(kernel)
            conv.bias.assign(biases)

    def call(self, inputs: Any, training: bool = False) -> Any:
        """Stylize pictures.

        Args:
            inputs: Pictures.
            training: Leave the output unclamped, so that gradients reach all of it.
        """
        x = self.exposure(inputs)
        skips = []
        for level, conv in enumerate(self.down):
            x = conv(self.blur(x) if level else x)
            for block in self.residuals[level]:
                x = block(x)
            skips.append(x)
        x = skips.pop()
        for level in (3, 2, 1, 0):
            x = self.merges[level]([x, skips.pop()])
            if level == 2:
                x = self.refine(x)
        x = ops.cast(self.out_layer(x), "float32")
        return x if training else ops.clip(x, -1.0, 1.0)
