"""What figures hang on: processor, cores, memory, versions, and the machine's measured peak."""

from __future__ import annotations

import importlib.util
import os
import platform
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.inference.engines.openvino import PRECISION_HINTS, import_openvino

MATRIX_SIDE = 1536
"""Rows and columns of the matrices whose product measures the machine's peak."""


def machine_facts() -> dict[str, Any]:
    """What the figures hang on: processor, cores, GPUs, threads, versions, load.

    `inter_op_threads` are the operations that TensorFlow runs side by side, 0 for its own choice.
    """
    import cv2
    import keras
    import tensorflow as tf

    name, features = _processor()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": name,
        "processor_features": features,
        "cores": os.cpu_count(),
        "cores_usable": usable,
        "gpus": [
            tf.config.experimental.get_device_details(device).get("device_name", device.name)
            for device in tf.config.list_physical_devices("GPU")
        ],
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _processor() -> tuple[str, list[str]]:
    """Name of the processor, and those of its features that decide how fast bfloat16 is."""
    name, found = platform.processor() or platform.machine(), set()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            found = set(value.split())
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        name = answer.stdout.strip() or name
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16")
    return name, [feature for feature in wanted if feature in found]


def matrix_peaks(precision: str) -> Callable[[np.ndarray], np.ndarray]:
    """What measures how many operations a second the machine does at most, in matrix products.

    By TensorFlow and, where it is installed, by OpenVINO, whichever is faster at the time.

    Args:
        precision: "float32" or "bfloat16".

    Returns:
        A function of any array; it multiplies matrices and returns GFLOP/s, an array of one.
    """
    from anime_tf.io.native_stderr import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    random = np.random.default_rng(0)
    a = random.standard_normal((MATRIX_SIDE, MATRIX_SIDE)).astype(np.float32)
    kind = tf.as_dtype(precision)
    left = tf.cast(a, kind)
    product = tf.function(lambda x: tf.matmul(x, left), autograph=False)
    runs: list[Callable[[], Any]] = [lambda: product(left).numpy().shape]
    if importlib.util.find_spec("openvino") is not None:
        runs.append(_matrix_run(a, precision))

    def run(_array: np.ndarray) -> np.ndarray:
        best = 0.0
        for multiply in runs:
            for _ in range(3):
                begun_at = time.perf_counter()
                multiply()
                best = max(best, 2e-9 * MATRIX_SIDE**3 / (time.perf_counter() - begun_at))
        return np.array(best)

    return run


def _matrix_run(a: np.ndarray, precision: str) -> Callable[[], Any]:
    """The same product by OpenVINO."""
    openvino = import_openvino()
    operators = openvino.opset13
    x = operators.parameter(a.shape, np.float32)
    model = openvino.Model([operators.matmul(x, operators.constant(a), False, False)], [x])
    hint = PRECISION_HINTS[precision]
    settings = {"INFERENCE_PRECISION_HINT": hint, "PERFORMANCE_HINT": "LATENCY"}
    request = openvino.Core().compile_model(model, "CPU", settings).create_infer_request()
    return lambda: request.infer([a])
