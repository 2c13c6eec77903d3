"""Facts about the machine, and its measured peak performance."""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from anime_tf.inference import cpu
from anime_tf.inference.engines.openvino import PRECISION_HINTS, import_openvino

MATRIX_SIDE = 1536
"""Rows and columns of the matrices whose product measures the peak."""

FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16")
"""CPU features that decide the speed of float32 and bfloat16."""


def machine_facts() -> dict[str, Any]:
    """Collect CPU, cores, GPUs, threads, load and versions.

    `inter_op_threads` is the number of operations that TensorFlow runs in parallel, 0 for its
    default.
    """
    import cv2
    import keras
    import tensorflow as tf

    return {
        "processor": cpu.cpu_name(),
        "processor_features": [name for name in FEATURES if name in cpu.cpu_features()],
        "cores": os.cpu_count(),
        "cores_usable": cpu.core_count(),
        "gpus": [
            tf.config.experimental.get_device_details(device).get("device_name", device.name)
            for device in tf.config.list_physical_devices("GPU")
        ],
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "load_average": cpu.load_average(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def peak_memory_gib() -> float | None:
    """Return the peak memory of this process so far; None if the system does not report it."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2 ** (30 if sys.platform == "darwin" else 20)


def make_matrix_benchmark(precision: str) -> Callable[[np.ndarray], np.ndarray]:
    """Make a function that measures the machine's peak performance in matrix products.

    It uses TensorFlow and, if installed, OpenVINO, and counts the faster one.

    Args:
        precision: "float32" or "bfloat16".

    Returns:
        Function of any array that returns GFLOP/s, an array of one.
    """
    from anime_tf.io.native_stderr import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    random = np.random.default_rng(0)
    matrix = random.standard_normal((MATRIX_SIDE, MATRIX_SIDE)).astype(np.float32)
    left = tf.cast(matrix, tf.as_dtype(precision))
    product = tf.function(lambda x: tf.matmul(x, left), autograph=False)
    runs: list[Callable[[], Any]] = [lambda: product(left).numpy().shape]
    if importlib.util.find_spec("openvino") is not None:
        runs.append(_openvino_product(matrix, precision))

    def run(_array: np.ndarray) -> np.ndarray:
        best = 0.0
        for multiply in runs:
            for _ in range(3):
                start = time.perf_counter()
                multiply()
                best = max(best, 2e-9 * MATRIX_SIDE**3 / (time.perf_counter() - start))
        return np.array(best)

    return run


def _openvino_product(matrix: np.ndarray, precision: str) -> Callable[[], Any]:
    openvino = import_openvino()
    opset = openvino.opset13
    x = opset.parameter(matrix.shape, np.float32)
    model = openvino.Model([opset.matmul(x, opset.constant(matrix), False, False)], [x])
    hint = PRECISION_HINTS[precision]
    settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([matrix])
