"""`OpenVinoEngine`: generators on CPUs by OpenVINO, in float32 or bfloat16."""

from __future__ import annotations

import copy
import io
import os
import threading
from collections.abc import Sequence
from functools import partial, reduce
from logging import root as root_logger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from anime_tf.errors import cannot_run, first_line, import_optional
from anime_tf.inference import cache, cpu
from anime_tf.inference.accuracy import is_bfloat16_accurate

if TYPE_CHECKING:
    from anime_tf.inference.padded_generator import PaddedGenerator

OPENVINO_REQUIREMENT = "openvino"  # distribution to install; also the extra ``openvino``
PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16"}  # OpenVINO's names of number types


class OpenVinoEngine:
    """Runs a generator on the CPU by OpenVINO on all cores, one call at a time.

    It reads SavedModels and ONNX models without TensorFlow, and does not execute a SavedModel as
    TensorFlow would. The compiled network is cached (`inference.cache`), so the next start needs
    no TensorFlow for an archive either.

    Args:
        path: A ``.keras`` archive, the folder of a SavedModel, or a ``.onnx`` file.
        precision: "float32", "bfloat16", or "auto": bfloat16 if the CPU supports it and
            `is_bfloat16_accurate` for these weights, else float32.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Weights that cannot be read or are of another network, or OpenVINO is not
            installed.
    """

    def __init__(self, path: str | os.PathLike[str], precision: str = "auto") -> None:
        path = Path(path)
        openvino = import_openvino()
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such weights; expected a file or a SavedModel")
        self._path = path
        self._facts = [cache.digest(path), cache.versions(), cache.machine()]
        self._core = openvino.Core()
        self._model: Any = None  # read on demand: a cached network does not need it
        if precision == "auto":
            accurate = supports_bfloat16() and is_bfloat16_accurate(
                "openvino", path, lambda kind, probe: self._compile(kind)(probe)
            )
            precision = "bfloat16" if accurate else "float32"
        self.precision = precision
        self._run = self._compile(precision)

    def with_precision(self, precision: str) -> OpenVinoEngine:
        """Return an engine for the same weights in another precision; reads no file."""
        other = copy.copy(self)
        other.precision = precision
        other._run = other._compile(precision)
        return other

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Run the network; see `Engine`."""
        return self._run(pictures_pm1)

    def _compile(self, precision: str) -> CompiledNetwork:
        """Compile the network, or load it from the cache."""
        settings = _settings(precision)
        key = cache.make_key("openvino", *self._facts, settings)
        cached = cache.load(key)
        if cached is not None:
            try:
                compiled = self._core.import_model(io.BytesIO(cached), "CPU", settings)
                return CompiledNetwork(compiled, self._path)
            except RuntimeError as error:  # compiled by another build of OpenVINO
                logging.debug("%s: compiling again: %s", self._path, first_line(error))
        if self._model is None:
            self._model = read_model(self._path)
        model = self._model
        if precision == "bfloat16":
            model = model.clone()
            fuse_norms(model)
        compiled = self._core.compile_model(model, "CPU", settings)
        cache.store(key, compiled.export_model().getvalue())
        return CompiledNetwork(compiled, self._path)


class CompiledNetwork:
    """A compiled network, which errors call `name`; thread-safe."""

    def __init__(self, compiled: Any, name: str | os.PathLike[str]) -> None:
        self._request = compiled.create_infer_request()
        self._name = os.fspath(name)
        self._lock = threading.Lock()  # a request holds the tensors of one call

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Run the network; see `Engine`."""
        try:
            with self._lock:
                self._request.infer([np.ascontiguousarray(pictures_pm1, np.float32)])
                # The next call overwrites it.
                return self._request.get_output_tensor(0).data.copy()
        except RuntimeError as error:
            raise cannot_run("OpenVINO", self._name, pictures_pm1.shape, error) from error


def compile_network(network: PaddedGenerator, precision: str, name: str) -> CompiledNetwork:
    """Compile a network in "float32" or "bfloat16" without caching it."""
    model = _convert(network)
    compiled = import_openvino().Core().compile_model(model, "CPU", _settings(precision))
    return CompiledNetwork(compiled, name)


def import_openvino() -> Any:
    """Import OpenVINO; ValueError if it is not installed."""
    # Importing it removes absl's handler from the root logger.
    handlers = list(root_logger.handlers)
    try:
        return import_optional(
            "openvino", "the engine openvino needs OpenVINO", OPENVINO_REQUIREMENT
        )
    finally:
        root_logger.handlers[:] = handlers


def supports_bfloat16() -> bool:
    """Return whether OpenVINO computes in bfloat16 on this CPU."""
    properties = import_openvino().Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    return "BF16" in properties


def read_model(path: Path) -> Any:
    """Read weights as an OpenVINO model; ValueError if damaged or of another network."""
    openvino = import_openvino()
    try:
        if path.is_dir() or path.suffix == ".onnx":
            model = openvino.Core().read_model(os.fspath(path))
        else:
            from anime_tf.io.native_stderr import import_tensorflow

            import_tensorflow()
            from anime_tf.inference.lowering.lower import OPENVINO
            from anime_tf.inference.padded_generator import PaddedGenerator
            from anime_tf.models.archive import load_generator

            model = _convert(PaddedGenerator(load_generator(path), lowering=OPENVINO))
    except Exception as error:
        raise ValueError(
            f"{path}: expected a .keras archive, or a SavedModel or ONNX model of export.py, got "
            f"a damaged one or another kind ({first_line(error)})"
        ) from error
    for side in (model.inputs, model.outputs):
        found = [(item.element_type.get_type_name(), str(item.partial_shape)) for item in side]
        if found != [("f32", "[?,?,?,3]")]:
            raise ValueError(
                f"{path}: expected a network that takes and returns float32 pictures (n, height, "
                f"width, 3) of any size, got "
                f"{', '.join(f'{kind} {shape}' for kind, shape in found)}; make one with export.py"
            )
    return model


def fuse_norms(model: Any) -> None:
    """Replace each norm by OpenVINO's operation, with which it fuses scale, offset and activation.

    OpenVINO does not recognize this package's norms, whose means are taken over one axis after the
    other: (x - mean(x)) * ((mean((x - mean(x))^2) + epsilon)^-0.5 * gamma).

    For bfloat16 only: the operation sums a picture in float32 without blocks, which at 1920x1080
    pixels is 71 dB from the exact result.
    """
    import_openvino()
    from openvino import opset13, passes, utils

    def wrap(kind: str, *inputs: Any) -> Any:
        return passes.WrapType(f"opset13.{kind}", list(inputs))

    def numbers(value: Any) -> list[float]:
        return value.get_node().get_data().reshape(-1).tolist()

    def make_pass(reductions: int) -> Any:
        """Make a pass for norms whose means are chains of that many operations."""
        constant = partial(passes.WrapType, "opset13.Constant")
        x, gamma = passes.AnyInput(), passes.AnyInput()
        axes = [constant() for _ in range(2 * reductions)]
        two, epsilon, exponent = constant(), constant(), constant()

        def mean(value: Any, axes: Sequence[Any]) -> Any:
            return reduce(partial(wrap, "ReduceMean"), axes, value)

        centered = wrap("Subtract", x, mean(x, axes[:reductions]))
        square = passes.Or([wrap("Multiply", centered, centered), wrap("Power", centered, two)])
        variance = wrap("Add", mean(square, axes[reductions:]), epsilon)
        rsqrt = wrap("Power", variance, exponent)
        scale = passes.Or([wrap("Multiply", rsqrt, gamma), rsqrt])

        def replace(matcher: Any) -> bool:
            nodes = matcher.get_pattern_value_map()
            over, also_over = (
                sorted(int(axis) % 4 for constant in half for axis in numbers(nodes[constant]))
                for half in (axes[:reductions], axes[reductions:])
            )
            exponents = [*numbers(nodes[exponent]), *(numbers(nodes[two]) if two in nodes else [2])]
            if over != also_over or over not in ([1, 2, 3], [2, 3]) or exponents != [-0.5, 2]:
                return False
            (small,) = numbers(nodes[epsilon])
            norm = opset13.mvn(nodes[x], np.array(over), True, small, "inside_sqrt")
            if gamma in nodes:
                norm = opset13.multiply(norm, nodes[gamma])
            utils.replace_node(matcher.get_match_root(), norm)
            return True

        fuse = passes.MatcherPass()
        fuse.register_matcher(passes.Matcher(wrap("Multiply", centered, scale), "Norm"), replace)
        return fuse

    manager = passes.Manager()
    for reductions in (3, 2):
        manager.register_pass(make_pass(reductions))
    manager.run_passes(model)


def _convert(network: PaddedGenerator) -> Any:
    """Convert a network to an OpenVINO model with weights of its own."""
    # Shared weights are in TensorFlow's memory, which is freed with the network.
    function = network.pm1.get_concrete_function()
    return import_openvino().convert_model(function, share_weights=False)


def _settings(precision: str) -> dict[str, Any]:
    limit = cpu.thread_limit()
    return {
        "INFERENCE_PRECISION_HINT": PRECISION_HINTS[precision],
        "PERFORMANCE_HINT": "LATENCY",
        "ENABLE_CPU_PINNING": False,
        **({"INFERENCE_NUM_THREADS": limit} if limit else {}),
    }
