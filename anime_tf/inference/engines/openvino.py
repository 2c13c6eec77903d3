"""`OpenVinoEngine`: generators on CPUs by OpenVINO, in float32 or bfloat16."""

from __future__ import annotations

import copy
import io
import os
import threading
from logging import root as root_logger
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from absl import logging

from anime_tf.errors import cannot_run, first_line, import_optional
from anime_tf.inference import cache
from anime_tf.metrics.similarity import psnr

if TYPE_CHECKING:
    from anime_tf.inference.padded_generator import PaddedGenerator

OPENVINO_REQUIREMENT = "openvino"
"""What to install; also the package's extra ``openvino``."""

LEAST_PSNR = 45.0
"""Of bfloat16 against float32, in dB: below it "auto" stays with float32."""

PROBE_SIDE = 128
"""Height and width of the picture on which that is measured."""

SPAN = 2.0
"""From black to white in [-1, 1]."""

SETTINGS: dict[str, Any] = {"PERFORMANCE_HINT": "LATENCY", "ENABLE_CPU_PINNING": False}
"""What a network is compiled with, beside its number type."""

PRECISION_HINTS = {"float32": "f32", "bfloat16": "bf16"}
"""What OpenVINO calls number types."""


class OpenVinoEngine:
    """Runs a generator on the CPU by OpenVINO, one call after the other, on all cores.

    It opens what Keras opens, and exports too: a SavedModel or an ONNX model is read without
    TensorFlow. A SavedModel is not executed, as it would be by TensorFlow. What was compiled is
    remembered (`inference.cache`), so that the next start needs no TensorFlow for an archive
    either.

    Args:
        path: A ``.keras`` archive, the folder of a SavedModel, or a ``.onnx`` file.
        precision: One of `PRECISIONS`. "auto" is bfloat16 where the CPU computes in it and the
            result for a test picture is within `LEAST_PSNR` of float32's, and float32 elsewhere.

    Attributes:
        precision: "float32" or "bfloat16", whichever it is.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: Weights that cannot be read or are of another network, or OpenVINO is not
            installed.
    """

    def __init__(self, path: str | os.PathLike[str], precision: str = "auto") -> None:
        path = Path(path)
        openvino = import_openvino()
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such weights; expected a file or a SavedModel")
        self._path = path
        self._facts = [cache.digest_of(path), cache.versions(), cache.machine()]
        self._core = openvino.Core()
        self._model: Any = None  # read when it is needed: what is remembered does without it
        self.precision = precision if precision != "auto" else self._sound_precision()
        self._run = self._compiled(self.precision)

    def in_precision(self, precision: str) -> OpenVinoEngine:
        """The same weights in "float32" or "bfloat16", without reading them anew."""
        other = copy.copy(self)
        other.precision = precision
        other._run = other._compiled(precision)
        return other

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network; see `Engine`."""
        return self._run(pictures_pm1)

    def _compiled(self, precision: str) -> Compiled:
        """The compiled network, from the cache where it is there."""
        settings = _settings(precision)
        name = cache.entry("openvino", *self._facts, settings)
        kept = cache.recall(name)
        if kept is not None:
            try:
                compiled = self._core.import_model(io.BytesIO(kept), "CPU", settings)
                return Compiled(compiled, self._path)
            except RuntimeError as error:  # of another build of OpenVINO
                logging.debug("%s is compiled anew: %s", self._path, first_line(error))
        if self._model is None:
            self._model = _read(self._path)
        model = self._model
        if precision == "bfloat16":
            model = model.clone()
            _fuse_norms(model)
        compiled = self._core.compile_model(model, "CPU", settings)
        cache.remember(name, compiled.export_model().getvalue())
        return Compiled(compiled, self._path)

    def _sound_precision(self) -> str:
        """bfloat16 where the CPU computes in it and results are near enough, else float32."""
        if "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            return "float32"
        name = cache.entry("sound", "openvino", *self._facts, PROBE_SIDE)
        decibels = cache.recall_json(name)
        if not isinstance(decibels, float):
            probe = probe_pm1(PROBE_SIDE)
            results = [self._compiled(kind)(probe) for kind in ("float32", "bfloat16")]
            decibels = psnr(results[1], results[0], SPAN)
            cache.remember_json(name, decibels)
        return "bfloat16" if decibels >= LEAST_PSNR else "float32"


class Compiled:
    """A network that OpenVINO has compiled; may be called from several threads.

    Args:
        compiled: OpenVINO's object.
        named: What messages call it.
    """

    def __init__(self, compiled: Any, named: str | os.PathLike[str]) -> None:
        self._request = compiled.create_infer_request()
        self._named = os.fspath(named)
        self._lock = threading.Lock()  # a request holds the tensors of one call

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs it.

        Args:
            pictures_pm1: (n, height, width, 3) float32 RGB in [-1, 1].

        Returns:
            The same.

        Raises:
            ValueError: OpenVINO cannot run pictures of that number and size.
        """
        try:
            with self._lock:
                self._request.infer([np.ascontiguousarray(pictures_pm1, np.float32)])
                # The next call writes over it.
                return self._request.get_output_tensor(0).data.copy()
        except RuntimeError as error:
            raise cannot_run("OpenVINO", self._named, pictures_pm1.shape, error) from error


def import_openvino() -> Any:
    """OpenVINO.

    Returns:
        The module `openvino`.

    Raises:
        ValueError: It is not installed.
    """
    # It takes absl's handler off the root logger while it is imported.
    handlers = list(root_logger.handlers)
    try:
        return import_optional(
            "openvino", "the engine openvino needs OpenVINO", OPENVINO_REQUIREMENT
        )
    finally:
        root_logger.handlers[:] = handlers


def _read(path: Path) -> Any:
    """The network in OpenVINO's representation.

    Raises:
        ValueError: Weights that cannot be read, or of another network.
    """
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

            network = PaddedGenerator(load_generator(path), lowering=OPENVINO)
            model = _converted(network)
    except RuntimeError as error:  # OpenVINO's own errors are of this kind
        raise ValueError(
            f"{path}: OpenVINO cannot read it, it is damaged or of another kind "
            f"({first_line(error)}); expected a .keras archive, or a SavedModel or ONNX model of "
            "export.py"
        ) from error
    _check_pictures(model, path)
    return model


def _converted(network: PaddedGenerator) -> Any:
    """A network in OpenVINO's representation, with weights of its own."""
    # Shared ones lie in TensorFlow's memory, which may be another's once the network is gone.
    function = network.pm1.get_concrete_function()
    return import_openvino().convert_model(function, share_weights=False)


def _fuse_norms(model: Any) -> None:
    """Makes each norm one operation of OpenVINO's, which takes scale, offset and activation along.

    OpenVINO finds norms by itself, but not those of this package, whose means are taken over one
    axis after the other:

        (x - mean(x)) * ((mean((x - mean(x))^2) + epsilon)^-0.5 * gamma)

    For bfloat16: OpenVINO's operation adds up a picture in float32 in one go, which at 1920x1080
    pixels is 71 dB from the exact result. A graph without such norms stays as it is.
    """
    import_openvino()
    from openvino import opset13 as opset

    for power in model.get_ordered_ops():
        if power.get_type_name() != "Power" or _constant(power, 1) != -0.5:
            continue
        added = _sources(power.input_value(0), "Add")
        small = None if added is None else _constant(power.input_value(0).get_node(), 1)
        if added is None or small is None:
            continue
        variance = added[0]
        squares, axes = _mean_chain(variance)
        factors = _sources(squares, "Multiply") or _sources(squares, "Power")
        if factors is None:
            continue
        centred = factors[0]
        if not (factors[1] == centred or _constant(squares.get_node(), 1) == 2):
            continue
        difference = _sources(centred, "Subtract")
        if difference is None or axes not in ([2, 3], [1, 2, 3]):
            continue
        x = difference[0]
        if _mean_chain(difference[1]) != (x, axes):
            continue
        product = _only_user(power)
        scale = None
        if product is not None and centred not in product.input_values():
            scale = next((v for v in product.input_values() if v.get_node() != power), None)
            product = _only_user(product)
        if (
            product is None
            or product.get_type_name() != "Multiply"
            or centred not in product.input_values()
        ):
            continue
        norm = opset.mvn(x, opset.constant(axes, np.int64), True, small, "inside_sqrt")
        result = norm if scale is None else opset.multiply(norm, scale)
        product.output(0).replace(result.output(0))


def _sources(value: Any, kind: str) -> list[Any] | None:
    """The two inputs of the operation that gives a value, if it is of this kind."""
    node = value.get_node()
    return node.input_values() if node.get_type_name() == kind else None


def _mean_chain(value: Any) -> tuple[Any, list[int]]:
    """What a value is the mean of, by one operation or several, and over which axes, in order."""
    axes: list[int] = []
    while value.get_node().get_type_name() == "ReduceMean":
        node = value.get_node()
        over = node.input_value(1).get_node()
        if over.get_type_name() != "Constant" or not node.get_attributes().get("keep_dims"):
            break
        axes += [int(axis) % 4 for axis in over.get_data().reshape(-1)]
        value = node.input_value(0)
    return value, sorted(axes)


def _constant(node: Any, index: int) -> float | None:
    """The only value of an input that is a constant."""
    source = node.input_value(index).get_node()
    if source.get_type_name() != "Constant" or source.get_data().size != 1:
        return None
    return float(source.get_data().reshape(-1)[0])


def _only_user(node: Any) -> Any:
    users = list(node.output(0).get_target_inputs())
    return users[0].get_node() if len(users) == 1 else None


def compiled(network: PaddedGenerator, precision: str) -> Compiled:
    """A network in "float32" or "bfloat16", compiled and not remembered."""
    openvino = import_openvino()
    model = _converted(network)
    found = openvino.Core().compile_model(model, "CPU", _settings(precision))
    return Compiled(found, "a held network")


def _settings(precision: str) -> dict[str, Any]:
    return {"INFERENCE_PRECISION_HINT": PRECISION_HINTS[precision], **SETTINGS}


def _check_pictures(model: Any, path: Path) -> None:
    """Raises `ValueError` for what is no network of ours."""
    for side in (model.inputs, model.outputs):
        found = [(item.element_type.get_type_name(), str(item.partial_shape)) for item in side]
        if found != [("f32", "[?,?,?,3]")]:
            named = ", ".join(f"{kind} {shape}" for kind, shape in found)
            raise ValueError(
                f"{path}: expected a network that takes and gives float32 pictures (n, height, "
                f"width, 3) of any size, found {named}; make one with export.py"
            )


def probe_pm1(side: int) -> np.ndarray:
    """A picture of slopes, edges and texture, with all that makes bfloat16 lose digits.

    Args:
        side: Height and width in pixels.

    Returns:
        (1, side, side, 3) float32 RGB in [-1, 1].
    """
    y, x = np.mgrid[:side, :side] / side
    waves = np.sin(40 * x * y), np.sign(np.sin(9 * x + 4 * y)), 2 * y - 1
    texture = np.random.default_rng(0).normal(0, 0.05, (side, side, 3))
    return np.clip(np.stack(waves, -1) * 0.8 + texture, -1, 1)[None].astype(np.float32)
