"""Fixtures that tests of several packages share, and settings of the whole test run."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import pytest
from shared_folders import make_once

if TYPE_CHECKING:  # Keras takes seconds, and the process that distributes the tests needs none
    import keras

# TensorFlow logs each error that a test expects, from threads that pytest does not capture.
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

# Each process of a run takes its share of the cores: waiting threads of TensorFlow spin.
_PROCESSES = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
if _PROCESSES > 1:
    _THREADS = max(1, (os.cpu_count() or 1) // _PROCESSES)
    os.environ.setdefault("TF_NUM_INTRAOP_THREADS", str(_THREADS))


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Iterator[None]:
    """Keeps garbage collections away from the million objects of the modules that tests import."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.set_threshold(10_000)
        gc.enable()


NO_BFLOAT16 = ("SSE41", "AVX", "AVX2", "AVX2_VNNI")
"""Values of ONEDNN_MAX_CPU_ISA without bfloat16."""

ONEDNN_CANNOT = (
    "could not create a primitive descriptor",  # TensorFlow's words
    "' object is not initialized",  # OpenVINO's, of a node of its graph
)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo) -> Iterator[None]:
    """Skips what oneDNN itself cannot run where ONEDNN_MAX_CPU_ISA imitates an older CPU.

    TensorFlow and OpenVINO ask the real CPU whether to compute bfloat16 by oneDNN. On a CPU that
    really lacks it they take other kernels, as with TF_ENABLE_ONEDNN_OPTS=0.
    """
    report = yield
    isa = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    can_refuse = report.failed and isa in NO_BFLOAT16
    if can_refuse and any(words in report.longreprtext for words in ONEDNN_CANNOT):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, f"Skipped: oneDNN has no bfloat16 under {isa}")
    return report


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """A cache of the tests' own, of subprocesses too; "auto" measures in its own tests alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ANIME_TF_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("ANIME_TF_DATA", str(tmp_path_factory.mktemp("data")))
        patch.delenv("ANIME_TF_REGISTRY", raising=False)
        patch.setenv("ANIME_TF_MEASURE", "0")
        yield


@pytest.fixture(scope="session", autouse=True)
def kept_kernels():
    """Keeps TensorFlow's kernels when a test sets a seed.

    TensorFlow drops them for the sake of random operations with a state, of which we have none.
    Each variable of the next network would make a kernel again, which takes half a millisecond.
    """
    if "tensorflow" not in sys.modules:
        yield
        return
    from tensorflow.python import pywrap_tfe

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pywrap_tfe, "TFE_ContextClearCaches", lambda context: None)
        yield


@pytest.fixture(autouse=True)
def eager_where_marked(request):
    """Runs the tf.functions of a test with the marker `eager` step by step."""
    if request.node.get_closest_marker("eager") is None:
        yield
        return
    import tensorflow as tf

    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


class Export(NamedTuple):
    model: keras.Model
    archive: Path
    folder: Path


class Exports(Mapping[str, Export]):
    """Name of each generator -> a small one with random weights, its archive and its export.

    Each is made when a test first asks for it. Two are verified; of the others that takes seconds,
    and their tests compare them themselves.
    """

    def __init__(self, tmp_path_factory: pytest.TempPathFactory) -> None:
        self._tmp_path_factory = tmp_path_factory
        self._loaded: dict[str, Export] = {}

    def __getitem__(self, name: str) -> Export:
        from anime_tf.models.archive import load_generator

        if name not in self._loaded:

            def make(folder: Path) -> None:
                self._make(name, folder)

            folder = make_once(self._tmp_path_factory, f"export_{name}", make)
            archive = folder / "small.keras"
            self._loaded[name] = Export(load_generator(archive), archive, folder / "exported")
        return self._loaded[name]

    def _make(self, name: str, folder: Path) -> None:
        import keras

        from anime_tf.export.config import ExportConfig
        from anime_tf.export.exporter import export
        from anime_tf.models.archive import save_generator
        from anime_tf.models.registry import GENERATORS

        keras.utils.set_random_seed(11)
        save_generator(GENERATORS[name](width=8), folder / "small.keras")
        verify = name in ("animegan_v2", "animegan_v2_light")
        export(ExportConfig(folder / "exported", folder / "small.keras", verify=verify))

    def __iter__(self) -> Iterator[str]:
        from anime_tf.models.registry import GENERATORS

        return iter(GENERATORS)

    def __len__(self) -> int:
        return len([*self])


@pytest.fixture(scope="session")
def exports(tmp_path_factory) -> Exports:
    return Exports(tmp_path_factory)


class OnnxModels(Mapping[str, Path]):
    """Name of each generator -> the ONNX model of the network of `exports`, made on demand."""

    def __init__(self, exports: Exports, tmp_path_factory: pytest.TempPathFactory) -> None:
        self._exports = exports
        self._tmp_path_factory = tmp_path_factory

    def __getitem__(self, name: str) -> Path:
        def make(folder: Path) -> None:
            from anime_tf.export.onnx import convert_onnx
            from anime_tf.inference.padded_generator import PaddedGenerator

            data = convert_onnx(PaddedGenerator(self._exports[name].model))
            (folder / f"{name}.onnx").write_bytes(data)

        return make_once(self._tmp_path_factory, f"onnx_{name}", make) / f"{name}.onnx"

    def __iter__(self) -> Iterator[str]:
        return iter(self._exports)

    def __len__(self) -> int:
        return len(self._exports)


@pytest.fixture(scope="session")
def onnx_models(exports, tmp_path_factory) -> OnnxModels:
    for name in ("tf2onnx", "onnxruntime"):
        pytest.importorskip(name, reason=f"{name} (the extra onnx) is not installed")
    return OnnxModels(exports, tmp_path_factory)
