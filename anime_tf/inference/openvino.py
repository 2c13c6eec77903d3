"""`OpenVinoEngine`: generators on CPUs by OpenVINO, in float32 or bfloat16."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.errors import first_line, import_optional

OPENVINO_REQUIREMENT = "openvino"
"""What to install; also the package's extra ``openvino``."""

PRECISIONS = ("auto", "float32", "bfloat16")
"""Number types that a network may compute in."""

LEAST_PSNR = 45.0
"""Of bfloat16 against float32, in dB: below it "auto" stays with float32."""

PROBE_SIDE = 128
"""Height and width of the picture on which that is measured."""

_HINTS = {"float32": "f32", "bfloat16": "bf16"}


class OpenVinoEngine:
    """Runs a generator on the CPU by OpenVINO, one call after the other, on all cores.

    It opens what Keras opens, and exports too: a SavedModel or an ONNX model is read without
    TensorFlow. A SavedModel is not executed, as it would be by TensorFlow.

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
        try:
            model = _read(openvino, path)
        except RuntimeError as error:  # OpenVINO's own errors are of this kind
            raise ValueError(
                f"{path}: OpenVINO cannot read it, it is damaged or of another kind "
                f"({first_line(error)}); expected a .keras archive, or a SavedModel or ONNX model "
                "of export.py"
            ) from error
        _check_pictures(model, path)
        self._path = path
        self._core = openvino.Core()
        self._model = model
        self._lock = threading.Lock()  # a request holds the tensors of one call
        if precision == "auto":
            self.precision, self._request = self._chosen()
        else:
            self.precision, self._request = precision, self._compiled(precision)

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network; see `Engine`."""
        n, height, width = pictures_pm1.shape[:3]
        try:
            with self._lock:
                return _run(self._request, pictures_pm1)
        except MemoryError as error:
            raise MemoryError(
                f"not enough memory to stylise {n} x {width}x{height} pixels at once; "
                "limit the size with max_side"
            ) from error
        except RuntimeError as error:
            raise ValueError(
                f"{self._path}: OpenVINO cannot run {n} x {width}x{height} pixels "
                f"({first_line(error)})"
            ) from error

    def _compiled(self, precision: str) -> Any:
        settings = {
            "INFERENCE_PRECISION_HINT": _HINTS[precision],
            "PERFORMANCE_HINT": "LATENCY",
        }
        return self._core.compile_model(self._model, "CPU", settings).create_infer_request()

    def _chosen(self) -> tuple[str, Any]:
        float32 = self._compiled("float32")
        if "BF16" not in self._core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            return "float32", float32
        bfloat16 = self._compiled("bfloat16")
        probe = _probe_pm1()
        error = np.mean(np.square(_run(bfloat16, probe) - _run(float32, probe)), dtype=np.float64)
        psnr = 10 * np.log10(4 / max(float(error), 1e-12))  # pictures reach from -1 to 1
        return ("bfloat16", bfloat16) if psnr >= LEAST_PSNR else ("float32", float32)


def import_openvino() -> Any:
    """OpenVINO.

    Returns:
        The module `openvino`.

    Raises:
        ValueError: It is not installed.
    """
    return import_optional("openvino", "the engine openvino needs OpenVINO", OPENVINO_REQUIREMENT)


def _read(openvino: Any, path: Path) -> Any:
    """The network in OpenVINO's representation."""
    if path.is_dir() or path.suffix == ".onnx":
        return openvino.Core().read_model(os.fspath(path))
    from anime_tf.inference.any_picture import AnyPicture
    from anime_tf.models.archive import load_generator

    network = AnyPicture(load_generator(path))
    return openvino.convert_model(network.pm1.get_concrete_function())


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


def _run(request: Any, pictures_pm1: np.ndarray) -> np.ndarray:
    request.infer([np.ascontiguousarray(pictures_pm1, np.float32)])
    return request.get_output_tensor(0).data.copy()  # the next call writes over it


def _probe_pm1() -> np.ndarray:
    """A picture of slopes, edges and texture, with all that makes bfloat16 lose digits."""
    y, x = np.mgrid[:PROBE_SIDE, :PROBE_SIDE] / PROBE_SIDE
    waves = np.sin(40 * x * y), np.sign(np.sin(9 * x + 4 * y)), 2 * y - 1
    texture = np.random.default_rng(0).normal(0, 0.05, (PROBE_SIDE, PROBE_SIDE, 3))
    return np.clip(np.stack(waves, -1) * 0.8 + texture, -1, 1)[None].astype(np.float32)
