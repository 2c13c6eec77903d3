"""What figures hang on: processor, cores, memory, versions, and the machine's measured peak."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np


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
