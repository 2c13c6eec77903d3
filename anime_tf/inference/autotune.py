"""The engine "auto": the fastest one on this machine whose results are accurate.

It is measured once for a machine, a network and the installed versions: all candidates in turn, on
a small picture, by wall clock. The result is cached (`inference.cache`); if the machine was busy,
it is measured again when it is not.
"""

from __future__ import annotations

import importlib.util
import os
import time
import zipfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from anime_tf.errors import first_line
from anime_tf.inference import cache, cpu
from anime_tf.inference.accuracy import PM1_RANGE, is_bfloat16_accurate, make_probe_pm1
from anime_tf.inference.config import PRECISIONS
from anime_tf.inference.engines.engine import Engine, EngineConfig
from anime_tf.inference.engines.factory import (
    MULTI_PRECISION_ENGINES,
    PACKAGES,
    create_engine,
    default_engine,
)
from anime_tf.inference.engines.openvino import OpenVinoEngine, supports_bfloat16
from anime_tf.inference.engines.saved_model import SavedModelEngine, check_folder
from anime_tf.io.arrays import read_member
from anime_tf.metrics.similarity import psnr

# environment variable; "0" disables measuring, so that "auto" depends on the weights alone
MEASURE_VARIABLE = "ANIME_TF_MEASURE"

MEASURED_SIDE = 256  # side of the picture on which engines are measured, pixels
ROUNDS = 5  # measurements of each engine after a warm-up call
MAX_SECONDS = 6.0  # time after which no further round begins
# speedup from which an engine is preferred to one that is more exact or starts faster
MIN_SPEEDUP = 1.1

BUSY_LOAD = 0.75  # load average for each core above which measurements are repeated later
_BUSY_KEY = "busy"

# PSNR between the float32 results of two engines in dB, below which one of them is wrong
MIN_FLOAT32_PSNR = 70.0

_BFLOAT16_FEATURES = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


def open_engine(
    path: str | os.PathLike[str],
    engine: str = "auto",
    precision: str = "auto",
    ema_statistics: bool = False,
    trust_weights: bool = False,
) -> Engine:
    """Open weights with an engine.

    Args:
        path: The weights.
        engine: A key of `engines.factory.ENGINES`, or "auto" for the fastest on this machine.
        precision: One of `PRECISIONS`. "auto" is bfloat16 if the CPU supports it, the engine is
            "auto" or OpenVINO, and results are close to float32; else float32.
        ema_statistics: Restrict "auto" to engines with `run_ema`, if one can open the weights.
        trust_weights: Run a SavedModel with any operations, in TensorFlow.

    Raises:
        FileNotFoundError: No such file.
        ValueError: Unknown engine, a precision that it does not support, or weights that it cannot
            open.
    """
    path = Path(path)
    if precision not in PRECISIONS:
        raise ValueError(
            f"engine_precision: expected one of {', '.join(PRECISIONS)}, got {precision!r}"
        )
    if trust_weights and path.is_dir() and engine in ("auto", "saved_model"):
        return SavedModelEngine(path, trust_weights=True)
    if engine == "auto":
        return autotune_engine(path, precision, ema_statistics)
    return create_engine(path, EngineConfig(engine, precision))


def autotune_engine(path: Path, precision: str = "auto", ema_statistics: bool = False) -> Engine:
    """Open weights with the fastest accurate engine and log which one it is.

    See `open_engine` for the arguments and errors.
    """
    if path.is_dir():
        check_folder(path)  # before its files are hashed
    candidates = make_candidates(path, precision, ema_statistics)
    if len(candidates) == 1:
        return create_engine(path, candidates[0])
    key = _cache_key(path, candidates)
    table = cache.load_json(key)
    engines: dict[EngineConfig, Engine] = {}
    busy = _is_busy()
    if not _is_table(table, candidates) or (table[_BUSY_KEY] and not busy):
        measured, engines = _measure(path, candidates)
        table = {**measured, _BUSY_KEY: busy}
        cache.store_json(key, table)
    milliseconds = {c: table[str(c)] for c in candidates if table.get(str(c)) is not None}
    engine = None
    while engine is None:
        config = choose_fastest(milliseconds)
        del milliseconds[config]
        try:
            engine = engines.get(config) or _open_accurate(path, config, precision)
        except (ValueError, RuntimeError, ImportError) as error:
            if config == candidates[0] or not milliseconds:
                raise
            logging.warning("%s does not run: %s", config, first_line(error))
    logging.info("%s: engine %s, %s", path.name, config.engine, config.precision)
    return engine


def make_candidates(
    path: Path, precision: str = "auto", ema_statistics: bool = False
) -> list[EngineConfig]:
    """List the configs that can run weights on this machine, at least one; the default first.

    See `open_engine` for the arguments.
    """
    default = default_engine(path)
    only = [EngineConfig(default, "float32" if precision == "auto" else precision)]
    if default == "tflite" or os.environ.get(MEASURE_VARIABLE) == "0" or not path.exists():
        return only
    if PACKAGES[default] == "tensorflow" and _has_gpu():
        return only
    precisions = [precision]
    if precision == "auto":
        precisions = ["float32", "bfloat16"] if has_bfloat16() else ["float32"]
    engines = [default] if ema_statistics and default == "keras" else [default, "openvino"]
    candidates = [
        EngineConfig(engine, kind)
        for kind in precisions
        for engine in engines
        if _is_installed(PACKAGES[engine])
        and (kind == "float32" or engine in MULTI_PRECISION_ENGINES)
    ]
    return candidates or only


def choose_fastest(milliseconds: dict[EngineConfig, float]) -> EngineConfig:
    """Choose the fastest config; if others are nearly as fast, prefer float32, then OpenVINO.

    OpenVINO starts in a second, TensorFlow in several.
    """
    best, *others = sorted(
        milliseconds, key=lambda c: (c.precision != "float32", c.engine != "openvino")
    )
    for config in others:
        if milliseconds[config] * MIN_SPEEDUP < milliseconds[best]:
            best = config
    return best


def has_bfloat16() -> bool:
    """Return whether the CPU computes in bfloat16; False if that is unknown."""
    features = cpu.cpu_features()
    if features:
        return not _BFLOAT16_FEATURES.isdisjoint(features)
    return _is_installed("openvino") and supports_bfloat16()


def _has_gpu() -> bool:
    """Whether TensorFlow uses a GPU; imports it only if a driver is installed."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0") in ("", "-1")
    nvidia_or_amd = not hidden and any(os.path.exists(file) for file in _GPU_FILES)
    if not nvidia_or_amd and not cache.version("tensorflow-metal"):
        return False
    from anime_tf.io.native_stderr import import_tensorflow

    import_tensorflow()
    import tensorflow as tf

    return bool(tf.config.list_physical_devices("GPU"))


def _is_installed(package: str) -> bool:
    return importlib.util.find_spec(package) is not None


def _cache_key(path: Path, candidates: list[EngineConfig]) -> str:
    facts = [cache.versions(), cache.machine(), [*map(str, candidates)], MEASURED_SIDE]
    return cache.make_key("speed", _network_digest(path), *facts)


def _network_digest(path: Path) -> str:
    """Digest of a network's architecture, or of the whole file where it has no config."""
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return sha256(read_member(archive, "config.json")).hexdigest()
        except Exception as error:  # the engine reports it
            logging.debug("%s: %s", path, first_line(error))
    return cache.digest(path)


def _is_table(table: Any, candidates: list[EngineConfig]) -> bool:
    """Whether a table holds milliseconds, None for engines that do not run, and the busy flag."""
    return (
        isinstance(table, dict)
        and set(table) == {_BUSY_KEY, *map(str, candidates)}
        and all(value is None or isinstance(value, float | bool) for value in table.values())
        and isinstance(table[str(candidates[0])], float)
    )


def _measure(
    path: Path, candidates: list[EngineConfig]
) -> tuple[dict[str, float | None], dict[EngineConfig, Engine]]:
    """Milliseconds of each candidate, None if it does not run, and the accurate engines."""
    probe = make_probe_pm1(MEASURED_SIDE)
    default = candidates[0]
    engines = {default: create_engine(path, default)}  # its errors are those of the weights
    logging.info("measuring the engines; this takes seconds and is done once")
    results = {default: engines[default](probe)}
    for config in candidates[1:]:
        try:
            engine = _with_precision(config, engines) or create_engine(path, config)
            results[config] = engine(probe)
            engines[config] = engine
        except (ValueError, RuntimeError, ImportError, MemoryError) as error:
            logging.debug("%s does not run: %s", config, first_line(error))
    seconds: dict[EngineConfig, list[float]] = {config: [] for config in engines}
    end = time.perf_counter() + MAX_SECONDS
    for count in range(ROUNDS):
        for config, engine in engines.items():
            start = time.perf_counter()
            engine(probe)
            seconds[config].append(time.perf_counter() - start)
        if count and time.perf_counter() > end:
            break
    table: dict[str, float | None] = {str(config): None for config in candidates}
    for config, times in seconds.items():
        table[str(config)] = round(float(np.median(times)) * 1e3, 2)
        decibels = psnr(results[config], results[default], PM1_RANGE)
        wrong = config.precision == "float32" and not decibels >= MIN_FLOAT32_PSNR  # or NaN
        if wrong and config != default:
            # Wrong for any weights, unlike bfloat16, which may be accurate for others.
            logging.warning("%s is skipped: %.0f dB PSNR to %s", config, decibels, default)
            table[str(config)] = None
    logging.info(
        "milliseconds for %dx%d pixels: %s",
        MEASURED_SIDE,
        MEASURED_SIDE,
        ", ".join(f"{name} {'none' if ms is None else f'{ms:.0f}'}" for name, ms in table.items()),
    )
    # bfloat16 is checked separately, against float32 of the same engine.
    return table, {c: engine for c, engine in engines.items() if c.precision == "float32"}


def _is_busy() -> bool:
    """Whether other processes use the cores; False if that is unknown."""
    load = cpu.load_average()
    return load is not None and load > BUSY_LOAD * cpu.core_count()


def _with_precision(config: EngineConfig, engines: dict[EngineConfig, Engine]) -> Engine | None:
    """An open OpenVINO engine in another precision, which need not read the weights again."""
    for engine in engines.values():
        if config.engine == "openvino" and isinstance(engine, OpenVinoEngine):
            return engine.with_precision(config.precision)
    return None


def _open_accurate(path: Path, config: EngineConfig, precision: str) -> Engine | None:
    """Open an engine; None for bfloat16 that is not accurate, unless the user chose it."""
    if config.precision == "float32" or precision == "bfloat16":
        return create_engine(path, config)
    if config.engine == "openvino":  # checks its accuracy itself
        engine = create_engine(path, EngineConfig("openvino", "auto"))
        return engine if getattr(engine, "precision", None) == config.precision else None

    opened: dict[str, Engine] = {}

    def run(kind: str, probe: np.ndarray) -> np.ndarray:
        opened[kind] = create_engine(path, EngineConfig(config.engine, kind))
        return opened[kind](probe)

    if not is_bfloat16_accurate(config.engine, path, run):
        return None
    return opened.get(config.precision) or create_engine(path, config)
