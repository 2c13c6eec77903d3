"""Independent implementations of the generators in PyTorch's operations, for verification.

They take a state dict and pictures (n, height, width, 3) in [-1, 1], RGB, and return pictures of
the same shape. Only imported where PyTorch is installed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

Arrays = Mapping[str, np.ndarray]


class _Weights:
    """Tensors of a state dict by name."""

    def __init__(self, arrays: Arrays) -> None:
        self._arrays = arrays

    def __call__(self, name: str) -> torch.Tensor:
        return torch.from_numpy(np.ascontiguousarray(self._arrays[name], np.float32))

    def optional(self, name: str) -> torch.Tensor | None:
        return self(name) if name in self._arrays else None


def _run(network: Any, pictures: np.ndarray, channels: slice) -> np.ndarray:
    """Run a network of (n, 3, height, width); `channels` reorders them before and after."""
    x = torch.from_numpy(np.ascontiguousarray(pictures[..., channels].transpose(0, 3, 1, 2)))
    with torch.no_grad():
        y = network(x).numpy().transpose(0, 2, 3, 1)
    return np.ascontiguousarray(y[..., channels])


def animegan2(arrays: Arrays, pictures: np.ndarray, upsampling: str) -> np.ndarray:
    """Run animegan2-pytorch's generator; `upsampling` is "align_corners" or "half_pixel"."""
    weight = _Weights(arrays)

    def conv(x: torch.Tensor, name: str, pad: Any, stride: int = 1, groups: int = 1) -> Any:
        bias = weight.optional(f"{name}.1.bias")
        x = F.conv2d(
            F.pad(x, pad, mode="reflect"), weight(f"{name}.1.weight"), bias, stride, groups=groups
        )
        return F.leaky_relu(norm(x, f"{name}.2"), 0.2)

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        return F.group_norm(x, 1, weight(f"{name}.weight"), weight(f"{name}.bias"))

    def residual(x: torch.Tensor, name: str) -> torch.Tensor:
        y = conv(x, f"{name}.0", (0,) * 4)
        y = conv(y, f"{name}.1", (1,) * 4, groups=y.shape[1])
        y = norm(F.conv2d(y, weight(f"{name}.2.weight")), f"{name}.3")
        return x + y if x.shape == y.shape else y

    def up(x: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
        if upsampling == "align_corners":
            return F.interpolate(x, like.shape[-2:], mode="bilinear", align_corners=True)
        return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)

    same, wide, half = (1,) * 4, (3,) * 4, (0, 1, 0, 1)

    def network(x: torch.Tensor) -> torch.Tensor:
        a = conv(x, "block_a.0", wide)
        a = conv(conv(a, "block_a.1", half, 2), "block_a.2", same)
        y = conv(conv(a, "block_b.0", half, 2), "block_b.1", same)
        y = conv(y, "block_c.0", same)
        for i in range(1, 5):
            y = residual(y, f"block_c.{i}.layers")
        y = up(conv(y, "block_c.5", same), a)
        y = up(conv(conv(y, "block_d.0", same), "block_d.1", same), x)
        y = conv(conv(y, "block_e.0", same), "block_e.1", same)
        return torch.tanh(F.conv2d(conv(y, "block_e.2", wide), weight("out_layer.0.weight")))

    return _run(network, pictures, slice(None))


def cartoongan(arrays: Arrays, pictures: np.ndarray) -> np.ndarray:
    """Run CartoonGAN's generator, which itself works on BGR."""
    weight = _Weights(arrays)

    def conv(x: torch.Tensor, name: str, stride: int = 1) -> torch.Tensor:
        kernel = weight(f"{name}.weight")
        x = F.pad(x, (kernel.shape[-1] // 2,) * 4, mode="reflect")
        return F.conv2d(x, kernel, weight(f"{name}.bias"), stride)

    def up(x: torch.Tensor, name: str) -> torch.Tensor:
        x = F.conv_transpose2d(x, weight(f"{name}.weight"), weight(f"{name}.bias"), stride=2)
        return x[:, :, 1:, 1:]

    def norm(x: torch.Tensor, name: str) -> torch.Tensor:
        scale, shift = weight(f"{name}.scale"), weight(f"{name}.shift")
        return F.instance_norm(x, weight=scale, bias=shift, eps=1e-9)

    def network(x: torch.Tensor) -> torch.Tensor:
        x = F.relu(norm(conv(x, "conv01_1"), "in01_1"))
        for n in ("02", "03"):
            x = F.relu(norm(conv(conv(x, f"conv{n}_1", 2), f"conv{n}_2"), f"in{n}_1"))
        for i in range(4, 12):
            y = F.relu(norm(conv(x, f"conv{i:02}_1"), f"in{i:02}_1"))
            x = x + norm(conv(y, f"conv{i:02}_2"), f"in{i:02}_2")
        for d, n in (("01", "12"), ("02", "13")):
            x = F.relu(norm(conv(up(x, f"deconv{d}_1"), f"deconv{d}_2"), f"in{n}_1"))
        return torch.tanh(conv(x, "deconv03_1"))

    return _run(network, pictures, slice(None, None, -1))
