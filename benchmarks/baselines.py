"""Baselines: AnimeGANv2 in PyTorch, and its ONNX export in ONNX Runtime and OpenVINO.

The network as it is built there, with `ReflectionPad2d`, `GroupNorm`, `LeakyReLU` and half-pixel
resizing, channels first, and with the same weights as our engines.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from anime_tf.errors import import_optional
from anime_tf.inference.engines.openvino import PRECISION_HINTS, import_openvino

if TYPE_CHECKING:
    import keras

Run = Callable[[np.ndarray], np.ndarray]
"""(1, height, width, 3) float32 in [-1, 1] -> the same."""

PYTORCH_RUNTIMES = ("pytorch", "pytorch channels-last", "pytorch compiled")
"""Eager in the default layout; eager with channels last; that compiled, once for each size."""

ONNX_OPSET = 18
"""Has one operator for half-pixel resizing."""


def import_torch() -> Any:
    """Import PyTorch.

    Raises:
        ValueError: It is not installed.
    """
    return import_optional("torch", "the baselines need PyTorch", "torch")


def pytorch_network(model: keras.Model) -> Any:
    """Make the generator in PyTorch with the weights of ours.

    Args:
        model: An `AnimeGANv2Generator` with ``upsampling="half_pixel"``.

    Returns:
        A module in evaluation mode of (n, 3, height, width) in [-1, 1].

    Raises:
        ValueError: PyTorch is not installed, or another network.
    """
    torch = import_torch()
    from anime_tf.conversion.torch import TABLES, depthwise_kernel

    kind = f"{type(model).__name__} with {getattr(model, 'upsampling', 'no')} upsampling"
    if kind != "AnimeGANv2Generator with half_pixel upsampling":
        raise ValueError(f"expected AnimeGANv2Generator with half_pixel upsampling, got {kind}")
    values = {weight.path.partition("/")[2]: weight.numpy() for weight in model.weights}
    state = {}
    for path, source in TABLES["animegan_v2"].sources.items():
        value = values[path]
        if value.ndim == 4:
            depthwise = source.transform is depthwise_kernel
            value = value.transpose((2, 3, 0, 1) if depthwise else (3, 2, 0, 1))
        state[source.name] = torch.from_numpy(np.ascontiguousarray(value))
    return _network(model.width, model.epsilon, state)


def write_pytorch(network: Any, path: str | os.PathLike[str]) -> None:
    """Write the network to a file of PyTorch, which opens without TensorFlow."""
    file = {"width": network.width, "epsilon": network.epsilon, "state": network.state_dict()}
    import_torch().save(file, os.fspath(path))


def read_pytorch(path: str | os.PathLike[str]) -> Any:
    """Read a network of `write_pytorch`."""
    file = import_torch().load(os.fspath(path), weights_only=True)
    return _network(file["width"], file["epsilon"], file["state"])


def _network(width: int, epsilon: float, state: dict[str, Any]) -> Any:
    """The published network with a state dict."""
    torch = import_torch()
    nn = torch.nn

    def norm(channels: int) -> Any:
        return nn.GroupNorm(1, channels, eps=epsilon)

    def block(inputs: int, outputs: int, side: int = 3, stride: int = 1, groups: int = 1) -> Any:
        pad = (0, 1, 0, 1) if stride == 2 else (side // 2,) * 4
        conv = nn.Conv2d(inputs, outputs, side, stride, groups=groups, bias=groups > 1)
        activation = nn.LeakyReLU(0.2, inplace=True)
        return nn.Sequential(nn.ReflectionPad2d(pad), conv, norm(outputs), activation)

    class Residual(nn.Module):  # type: ignore[name-defined]
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            inner = 2 * inputs
            project = nn.Conv2d(inner, outputs, 1, bias=False)
            self.layers = nn.Sequential(
                block(inputs, inner, 1), block(inner, inner, groups=inner), project, norm(outputs)
            )
            self.adds = inputs == outputs

        def forward(self, x: Any) -> Any:
            return x + self.layers(x) if self.adds else self.layers(x)

    class Generator(nn.Module):  # type: ignore[name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.width, self.epsilon = width, epsilon
            one, two, four, eight = width, 2 * width, 4 * width, 8 * width
            self.block_a = nn.Sequential(block(3, one, 7), block(one, two, 3, 2), block(two, two))
            self.block_b = nn.Sequential(block(two, four, 3, 2), block(four, four))
            residuals = [Residual(four if i == 0 else eight, eight) for i in range(4)]
            self.block_c = nn.Sequential(block(four, four), *residuals, block(eight, four))
            self.block_d = nn.Sequential(block(four, four), block(four, four))
            self.block_e = nn.Sequential(block(four, two), block(two, two), block(two, one, 7))
            self.out_layer = nn.Sequential(nn.Conv2d(one, 3, 1, bias=False), nn.Tanh())

        def forward(self, x: Any) -> Any:
            x = self.block_c(self.block_b(self.block_a(x)))
            for stage in (self.block_d, self.block_e):
                x = nn.functional.interpolate(x, scale_factor=2.0, mode="bilinear")
                x = stage(x)
            return self.out_layer(x)

    network = Generator()
    network.load_state_dict(state)
    return network.eval()


def run_by_pytorch(network: Any, runtime: str, precision: str) -> Run:
    """Make a function that runs a network by PyTorch.

    Args:
        network: A network of `pytorch_network`; changed.
        runtime: One of `PYTORCH_RUNTIMES`.
        precision: "float32", or "bfloat16" for weights and pictures of that type.
    """
    torch = import_torch()
    kind = torch.bfloat16 if precision == "bfloat16" else torch.float32
    layout = torch.channels_last if runtime != "pytorch" else torch.contiguous_format
    network = network.to(dtype=kind, memory_format=layout)
    called = network
    if runtime == "pytorch compiled":
        called = torch.compile(network, dynamic=False)

    def run(picture_pm1: np.ndarray) -> np.ndarray:
        with torch.no_grad():
            x = torch.from_numpy(picture_pm1).permute(0, 3, 1, 2).to(kind)
            y = called(x.contiguous(memory_format=layout))
            return y.float().permute(0, 2, 3, 1).contiguous().numpy()

    return run


def write_onnx(network: Any, path: str | os.PathLike[str]) -> None:
    """Export a network by PyTorch's exporter for pictures of any size."""
    torch = import_torch()
    sizes = {2: "height", 3: "width"}
    torch.onnx.export(
        network,
        (torch.zeros(1, 3, 64, 64),),
        os.fspath(path),
        input_names=["x"],
        output_names=["y"],
        dynamic_axes={"x": sizes, "y": sizes},
        opset_version=ONNX_OPSET,
        dynamo=False,
    )


def run_by_onnxruntime(path: str | os.PathLike[str]) -> Run:
    """Make a function that runs the exported network by ONNX Runtime."""
    from anime_tf.inference.engines.onnx import import_onnxruntime

    session = import_onnxruntime().InferenceSession(
        os.fspath(path), providers=["CPUExecutionProvider"]
    )
    return lambda picture_pm1: _to_nhwc(session.run(None, {"x": _to_nchw(picture_pm1)})[0])


def run_by_openvino(path: str | os.PathLike[str], precision: str) -> Run:
    """Make a function that runs the exported network by OpenVINO, with its settings for latency."""
    core = import_openvino().Core()
    hint = PRECISION_HINTS[precision]
    settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    request = core.compile_model(os.fspath(path), "CPU", settings).create_infer_request()

    def run(picture_pm1: np.ndarray) -> np.ndarray:
        request.infer([_to_nchw(picture_pm1)])
        return _to_nhwc(request.get_output_tensor(0).data)

    return run


def _to_nchw(picture_pm1: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(picture_pm1.transpose(0, 3, 1, 2))


def _to_nhwc(picture_pm1: np.ndarray) -> np.ndarray:
    return picture_pm1.transpose(0, 2, 3, 1).copy()
