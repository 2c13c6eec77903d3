"""`OnnxEngine`: exported ONNX models by ONNX Runtime."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.errors import cannot_run, first_line, import_optional
from anime_tf.inference import cpu
from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, read_plain_file

# distribution to install for ONNX models; also in the extra ``onnx``
ONNX_REQUIREMENT = "onnxruntime"

LOG_FATAL = 4  # log level of ONNX Runtime without the errors that it raises, too


class OnnxEngine:
    """Runs an exported ``.onnx`` model by ONNX Runtime on all cores.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A damaged model, one that export did not make, or ONNX Runtime is not
            installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        data = read_plain_file(path, "an .onnx file", MAX_WEIGHTS_BYTES)
        runtime = import_onnxruntime()
        self._errors = _error_classes(runtime)
        options = runtime.SessionOptions()
        options.log_severity_level = LOG_FATAL
        options.intra_op_num_threads = cpu.thread_limit() or 0  # 0 for all cores
        try:
            # From bytes: from a path, the model could make it read other files.
            # Without a fallback, of which there is none, but it would print a banner on errors.
            self._session = runtime.InferenceSession(
                data, options, providers=["CPUExecutionProvider"], enable_fallback=False
            )
        except self._errors as error:
            raise ValueError(
                f"{path}: expected an ONNX model, got another, truncated or damaged file "
                f"({first_line(error)}); make one with export.py"
            ) from error
        for side in (self._session.get_inputs(), self._session.get_outputs()):
            # An axis of any length has a name or None in place of a length.
            found = [
                (item.type, [n if isinstance(n, int) else 0 for n in item.shape]) for item in side
            ]
            if found != [("tensor(float)", [0, 0, 0, 3])]:
                raise ValueError(
                    f"{path}: expected an ONNX model that takes and returns float32 pictures "
                    f"(n, height, width, 3) of any size, got "
                    f"{', '.join(f'{item.type} {item.shape}' for item in side)}; make one with "
                    "export.py"
                )
        self._path = path
        self._input = self._session.get_inputs()[0].name

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Run the network; see `Engine`."""
        try:
            feed = {self._input: pictures_pm1.astype(np.float32, copy=False)}
            return self._session.run(None, feed)[0]
        except self._errors as error:
            if "allocate memory" in str(error):
                raise MemoryError(first_line(error)) from error
            raise cannot_run("ONNX Runtime", self._path, pictures_pm1.shape, error) from error


def import_onnxruntime() -> Any:
    """Import ONNX Runtime; ValueError if it is not installed."""
    return import_optional("onnxruntime", "ONNX models need ONNX Runtime", ONNX_REQUIREMENT)


def _error_classes(runtime: Any) -> tuple[type[Exception], ...]:
    """Error classes of ONNX Runtime: one for each error code, without a common base."""
    names = vars(runtime.capi.onnxruntime_pybind11_state).values()
    classes = [kind for kind in names if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*classes, RuntimeError, ValueError)
