"""Independent implementations of the generators in TensorFlow 1's operations, for verification.

They take a checkpoint's variables and pictures (n, height, width, 3) in [-1, 1], RGB, and return
pictures of the same shape; both sides must be multiples of the network's stride. They share nothing
with `models` and use the variables' original names, so that faults in models and name tables show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import tensorflow as tf

Arrays = Mapping[str, np.ndarray]

ROOT = "generator/G_MODEL"
LAYER_AXES, INSTANCE_AXES = (1, 2, 3), (1, 2)
LAYER_EPSILON, INSTANCE_EPSILON, SEPARABLE_EPSILON, LADE_EPSILON = 1e-12, 1e-5, 1e-6, 1e-5
V3_ROOTS = ("generator", "generator_1")


class _Scope:
    """Variables below a scope, and the layers of the networks."""

    def __init__(self, arrays: Arrays, path: str = ROOT) -> None:
        self._arrays = arrays
        self._path = path

    def __call__(self, name: str) -> np.ndarray:
        return self._arrays[f"{self._path}/{name}"].astype(np.float32)

    def __truediv__(self, name: str) -> _Scope:
        return _Scope(self._arrays, f"{self._path}/{name}")

    def __contains__(self, name: str) -> bool:
        return f"{self._path}/{name}" in self._arrays

    def conv(self, x: Any, name: str, stride: int = 1) -> Any:
        kernel = self(f"{name}/weights")
        return tf.nn.conv2d(_pad(x, kernel.shape[0], stride), kernel, stride, "VALID")

    def norm(self, x: Any, name: str, axes: tuple[int, ...], epsilon: float) -> Any:
        mean, variance = tf.nn.moments(x, axes, keepdims=True)
        return tf.nn.batch_normalization(
            x, mean, variance, self(f"{name}/beta"), self(f"{name}/gamma"), epsilon
        )

    def layer(self, x: Any, number: int, stride: int = 1, norm: int | None = None) -> Any:
        """Apply convolution, layer norm (of the same number by default) and leaky ReLU."""
        x = self.conv(x, _nth("Conv", number), stride)
        name = _nth("LayerNorm", number if norm is None else norm)
        return _lrelu(self.norm(x, name, LAYER_AXES, LAYER_EPSILON))

    def instance(self, x: Any, number: int) -> Any:
        x = self.conv(x, _nth("Conv", number))
        name = _nth("InstanceNorm", number)
        return _lrelu(self.norm(x, name, INSTANCE_AXES, INSTANCE_EPSILON))

    def separable(self, x: Any, number: int, stride: int = 1) -> Any:
        scope = self / _nth("SeparableConv2d", number)
        kernels, strides = (scope(f"{k}wise_weights") for k in ("depth", "point")), (stride, stride)
        x = tf.nn.separable_conv2d(_pad(x, 3, stride), *kernels, (1, *strides, 1), "VALID")
        return _lrelu(scope.norm(x, "InstanceNorm", INSTANCE_AXES, SEPARABLE_EPSILON))

    def residual(self, x: Any, name: str, norm: str, axes: tuple[int, ...], epsilon: float) -> Any:
        scope = self / name
        y = _lrelu(scope.norm(scope.conv(x, "Conv"), norm, axes, epsilon))
        y = tf.nn.depthwise_conv2d(_pad(y, 3, 1), scope(f"{name}/w"), (1, 1, 1, 1), "VALID")
        if f"{name}/bias" in scope:
            y = y + scope(f"{name}/bias")
        y = _lrelu(scope.norm(y, "1", axes, epsilon))
        y = scope.norm(scope.conv(y, "Conv_1"), "2", axes, epsilon)
        return x + y if x.shape[-1] == y.shape[-1] else y


def _nth(name: str, number: int) -> str:
    return f"{name}_{number}" if number else name


def _lrelu(x: Any) -> Any:
    return tf.nn.leaky_relu(x, 0.2)


def _pad(x: Any, size: int, stride: int) -> Any:
    """Reflect-pad every side, for a stride of 2 only bottom and right."""
    if size == 1:
        return x
    sides = (0, 1) if stride == 2 else (size // 2, size // 2)
    return tf.pad(x, ((0, 0), sides, sides, (0, 0)), "REFLECT")


def _resize(x: Any, height: int, width: int) -> Any:
    return tf.raw_ops.ResizeBilinear(images=x, size=(height, width))


def _up(x: Any) -> Any:
    return _resize(x, 2 * x.shape[1], 2 * x.shape[2])


def animegan_v1(arrays: Arrays, pictures: np.ndarray) -> np.ndarray:
    """Run AnimeGAN's generator."""
    net = _Scope(arrays)

    def down(x: Any, scope: _Scope, number: int) -> Any:
        half = _resize(x, x.shape[1] // 2, x.shape[2] // 2)
        return scope.separable(x, number, 2) + scope.separable(half, number + 1)

    x = tf.constant(pictures, tf.float32)
    b1, b2, m, u2, u1 = (net / name for name in ("b1", "b2", "m", "u2", "u1"))
    x = down(b1.instance(b1.instance(x, 0), 1), b1, 0)
    x = down(b2.separable(b2.instance(x, 0), 0), b2, 1)
    x = m.instance(x, 0)
    for i in range(1, 9):
        x = m.residual(x, f"r{i}", "InstanceNorm", INSTANCE_AXES, INSTANCE_EPSILON)
    x = m.instance(x, 1)
    x = u2.instance(u2.separable(u2.separable(_up(x), 0), 1), 0)
    x = u1.instance(u1.instance(u1.separable(_up(x), 0), 0), 1)
    return tf.tanh(net.conv(x, "Conv")).numpy()


def animegan_v2(arrays: Arrays, pictures: np.ndarray) -> np.ndarray:
    """Run AnimeGANv2's generator."""
    net = _Scope(arrays)
    a, b, c, d, e = (net / name for name in "ABCDE")
    x = a.layer(tf.constant(pictures, tf.float32), 0)
    x = a.layer(a.layer(x, 1, 2), 2)
    x = b.layer(b.layer(x, 0, 2), 1)
    x = c.layer(x, 0)
    for i in range(1, 5):
        x = c.residual(x, f"r{i}", "LayerNorm", LAYER_AXES, LAYER_EPSILON)
    x = _up(c.layer(x, 1))
    x = _up(d.layer(d.layer(x, 0), 1))
    x = e.layer(e.layer(e.layer(x, 0), 1), 2)
    return tf.tanh((net / "out_layer").conv(x, "Conv")).numpy()


def animegan_v2_light(arrays: Arrays, pictures: np.ndarray) -> np.ndarray:
    """Run AnimeGANv2's light generator."""
    net = _Scope(arrays)
    x0 = net.layer(tf.constant(pictures, tf.float32), 0)
    x1 = net.layer(net.layer(x0, 1, 2), 2)
    x2 = net.layer(net.layer(x1, 3, 2), 4)
    x = net.layer(net.layer(x2, 5, 2), 6)
    for i in range(4):  # their convolutions continue the numbering; their norms do not
        y = x
        for j in (0, 1):
            y = net.conv(y, f"Conv_{7 + 3 * i + j}")
            y = _lrelu(net.norm(y, f"res{i + 1}_{j + 1}", LAYER_AXES, LAYER_EPSILON))
        x = x + net.conv(y, f"Conv_{9 + 3 * i}")
    for i, skipped in enumerate((x2, x1, x0)):
        conv, norm = 19 + 2 * i, 7 + 2 * i
        x = net.layer(_up(x), conv, norm=norm) + skipped
        x = net.layer(x, conv + 1, norm=norm + 1)
    return tf.tanh((net / "out_layer").conv(x, "Conv")).numpy()


def whitebox(arrays: Arrays, pictures: np.ndarray) -> np.ndarray:
    """Run White-box Cartoonization's generator, which itself works on BGR, and its filter."""
    net = _Scope(arrays, "generator")

    def conv(x: Any, name: str, stride: int = 1) -> Any:
        x = tf.nn.conv2d(x, net(f"{name}/weights"), stride, "SAME")
        return tf.nn.bias_add(x, net(f"{name}/biases"))

    def layer(x: Any, number: int, stride: int = 1) -> Any:
        return _lrelu(conv(x, _nth("Conv", number), stride))

    photo = tf.constant(pictures[..., ::-1], tf.float32)
    x0 = layer(photo, 0)
    x1 = layer(layer(x0, 1, 2), 2)
    x = layer(layer(x1, 3, 2), 4)
    for i in range(4):
        x = x + conv(_lrelu(conv(x, f"block_{i}/conv1")), f"block_{i}/conv2")
    x = _up(layer(x, 5)) + x1
    x = _up(layer(layer(x, 6), 7)) + x0
    y = conv(layer(x, 8), "Conv_9")
    counts = tf.nn.depthwise_conv2d(tf.ones_like(photo), _BOX, (1, 1, 1, 1), "SAME")

    def mean(t: Any) -> Any:
        return tf.nn.depthwise_conv2d(t, _BOX, (1, 1, 1, 1), "SAME") / counts

    covariance = mean(photo * y) - mean(photo) * mean(y)
    a = covariance / (mean(photo * photo) - mean(photo) ** 2 + 0.005)
    filtered = mean(a) * photo + mean(mean(y) - a * mean(photo))
    return tf.clip_by_value(filtered, -1, 1).numpy()[..., ::-1]


_BOX = np.ones((3, 3, 3, 1), np.float32)


def animegan_v3(arrays: Arrays, pictures: np.ndarray) -> np.ndarray:
    """Run AnimeGANv3's generator."""
    base, tail = _Scope(arrays, "generator/base"), _Scope(arrays, "generator/main")

    def cll(net: _Scope, x: Any, block: int, stride: int = 1) -> Any:
        kernel = net(f"{_nth('Conv', 2 * block)}/weights")
        x = tf.nn.conv2d(_pad_first(x, kernel.shape[0], stride), kernel, stride, "VALID")
        t = net.conv(x, f"Conv_{2 * block + 1}")
        (mean, variance), (mean_t, variance_t) = (
            tf.nn.moments(each, INSTANCE_AXES, keepdims=True) for each in (x, t)
        )
        std, std_t = (tf.sqrt(v + LADE_EPSILON) for v in (variance, variance_t))
        return _lrelu((x - mean) / std * std_t + mean_t)

    x0 = cll(base, tf.constant(pictures, tf.float32), 0)
    x1 = cll(base, cll(base, x0, 1, 2), 2)
    x2 = cll(base, cll(base, x1, 3, 2), 4)
    x3 = cll(base, cll(base, x2, 5, 2), 6)

    attention = tail / "External_attention"
    memory = attention("kernel")[0]
    n, height, width, channels = x3.shape
    scores = tf.reshape(attention.conv(x3, "Conv"), (n, height * width, channels)) @ memory
    scores = tf.nn.softmax(scores, axis=1)
    scores = scores / (1e-9 + tf.reduce_sum(scores, axis=2, keepdims=True))
    y = tf.reshape(scores @ memory.T, x3.shape)
    # The checkpoint holds two sets of values, of which the caller gives one.
    (norm,) = (
        scope
        for scope in (_Scope(arrays, f"{root}/main/External_attention") for root in V3_ROOTS)
        if "Variable" in scope
    )
    scale, beta, mean, variance = (norm(f"Variable{i}") for i in ("", "_1", "_2", "_3"))
    y = attention.conv(y, "Conv_1")
    x = _lrelu(x3 + tf.nn.batch_normalization(y, mean, variance, beta, scale, 1e-3))
    for i, skipped in enumerate((x2, x1, x0)):
        x = cll(tail, cll(tail, _up(x), 2 * i) + skipped, 2 * i + 1)
    return tf.tanh(tail.conv(x, "Conv_12")).numpy()


def _pad_first(x: Any, size: int, stride: int) -> Any:
    """Reflect-pad every side, for a stride of 2 only top and left."""
    return tf.reverse(_pad(tf.reverse(x, (1, 2)), size, stride), (1, 2))


NETWORKS: dict[str, Callable[[Arrays, np.ndarray], np.ndarray]] = {
    "animegan_v1": animegan_v1,
    "animegan_v2": animegan_v2,
    "animegan_v2_light": animegan_v2_light,
    "whitebox": whitebox,
    "animegan_v3": animegan_v3,
}
"""Key of a generator in `models.registry` -> its implementation."""
