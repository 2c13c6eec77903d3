"""Which engine "auto" is: the one measured fastest on this machine, of those that are sound.

Measured, never assumed: once for a machine, a network and the versions of what is installed, on a
small picture, all engines in turns, by the clock. What came out is remembered (`inference.cache`);
if the machine was busy meanwhile, until it is not.
"""

from __future__ import annotations

import importlib.util
import os
import time
import zipfile
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from absl import logging

from anime_tf.errors import first_line
from anime_tf.inference import cache
from anime_tf.inference.engines.openvino import (
    LEAST_PSNR,
    PROBE_SIDE,
    SPAN,
    OpenVinoEngine,
    import_openvino,
    probe_pm1,
)
from anime_tf.metrics.similarity import psnr

if TYPE_CHECKING:
    from anime_tf.inference.engines.engine import Engine

MEASURE_VARIABLE = "ANIME_TF_MEASURE"
"""Environment variable; at "0" nothing is measured, and "auto" goes by the kind of weights."""

MEASURED_SIDE = 256
"""Height and width of the picture on which engines are measured."""

ROUNDS = 5
"""How often each engine is measured, after a first call that does not count."""

MOST_SECONDS = 6.0
"""After so long there are no more rounds."""

GAIN = 1.1
"""How many times as fast a way must be to be preferred to one more exact, or sooner to start."""

BUSY = 0.75
"""Processes that want to run, for each core, above which a machine is busy: clocks then mislead."""

_BUSY_KEY = "busy"

LEAST_PSNR_FLOAT32 = 70.0
"""Of float32 by one engine against another, in dB: below it, one of them is at fault."""

_RUNTIMES = {
    "keras": "tensorflow",
    "saved_model": "tensorflow",
    "onnx": "onnxruntime",
    "openvino": "openvino",
}
"""Engine -> the package that it needs, of those that there is a choice of."""

_BFLOAT16_FEATURES = {"avx512_bf16", "amx_bf16", "bf16", "svebf16"}
_GPU_FILES = ("/dev/nvidiactl", "/dev/kfd", "/dev/dxg")


class Way(NamedTuple):
    """How a network may be run.

    Attributes:
        engine: A key of `inference.engines.ENGINES`.
        precision: "float32" or "bfloat16".
    """

    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.engine} {self.precision}"


def open_fastest(
    path: Path, own: str, precision: str, open_way: Callable[[Way], Engine], hold: bool = False
) -> Engine:
    """Opens weights with the engine that runs them fastest here; a log line says which it is.

    Args:
        path: The weights.
        own: The engine that their kind calls for; the only one where there is no choice.
        precision: One of `openvino.PRECISIONS`.
        open_way: What opens the weights in a way.
        hold: Take only those that can hold statistics, Keras alone, where it can open the weights.

    Returns:
        The engine.

    Raises:
        FileNotFoundError: There are no such weights.
        ValueError: Weights that their own engine cannot open.
    """
    ways = possible_ways(path, own, precision, hold)
    if len(ways) == 1:
        return open_way(ways[0])
    facts = [cache.versions(), cache.machine(), ways, MEASURED_SIDE]
    name = cache.entry("speed", _network_of(path), *facts)
    table = cache.recall_json(name)
    opened: dict[Way, Engine] = {}
    busy = _is_busy()
    if not _is_table(table, ways) or (table[_BUSY_KEY] and not busy):
        logging.info("measuring which engine is fastest here; this is done once and takes seconds")
        measured, opened = _measured(ways, open_way)
        table = {**measured, _BUSY_KEY: busy}
        cache.remember_json(name, table)
    milliseconds = {way: table[str(way)] for way in ways if table.get(str(way)) is not None}
    engine = None
    while engine is None:
        way = fastest(milliseconds)
        del milliseconds[way]
        try:
            engine = opened.get(way) or _opened_sound(path, way, precision, open_way)
        except (ValueError, RuntimeError, ImportError) as error:
            if way == ways[0] or not milliseconds:
                raise
            logging.warning("%s does not run: %s", way, first_line(error))
    logging.info("%s runs by the engine %s in %s", path.name, *way)
    return engine


def possible_ways(path: Path, own: str, precision: str, hold: bool = False) -> list[Way]:
    """The ways to run weights on this machine, the plainest first; at least one.

    Args:
        path: The weights.
        own: The engine that their kind calls for.
        precision: One of `openvino.PRECISIONS`.
        hold: See `open_fastest`.
    """
    plain = Way(own, "float32" if precision == "auto" else precision)
    if own not in _RUNTIMES or os.environ.get(MEASURE_VARIABLE) == "0" or not path.exists():
        return [plain]
    if _RUNTIMES[own] == "tensorflow" and _has_gpu():
        return [plain]
    precisions = [precision]
    if precision == "auto":
        precisions = ["float32", "bfloat16"] if has_bfloat16() else ["float32"]
    ways = [
        Way(engine, kind)
        for kind in precisions
        for engine in ((own,) if hold and own == "keras" else (own, "openvino"))
        if _is_installed(_RUNTIMES[engine])
        # The others compute in the number type that the weights were exported in.
        if kind == "float32" or engine in ("keras", "openvino")
    ]
    return ways or [plain]


def fastest(milliseconds: dict[Way, float]) -> Way:
    """The fastest way, or one that is nearly as fast and is in float32, or starts sooner.

    OpenVINO starts in a second where TensorFlow needs several.
    """
    best, *ways = sorted(
        milliseconds, key=lambda way: (way.precision != "float32", way.engine != "openvino")
    )
    for way in ways:
        if milliseconds[way] * GAIN < milliseconds[best]:
            best = way
    return best


def has_bfloat16() -> bool:
    """Whether the CPU computes in bfloat16; False where there is no way to know."""
    features = cache.cpu_facts()[1]
    if features:
        return not _BFLOAT16_FEATURES.isdisjoint(features)
    if not _is_installed("openvino"):
        return False
    openvino = import_openvino()
    return "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")


def _has_gpu() -> bool:
    """Whether TensorFlow runs on a GPU; it is asked only where there may be one."""
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


def _network_of(path: Path) -> str:
    """What a network is, without its weights where they can be told apart: its speed's key."""
    if zipfile.is_zipfile(path):
        try:
            with zipfile.ZipFile(path) as archive:
                return sha256(archive.read("config.json")).hexdigest()
        except (zipfile.BadZipFile, KeyError, OSError, NotImplementedError):
            pass  # whatever opens it says what is wrong with it
    return cache.digest_of(path)


def _is_table(table: Any, ways: list[Way]) -> bool:
    """Whether this is a table of milliseconds, None for ways that do not run, and of a bool."""
    return (
        isinstance(table, dict)
        and set(table) == {_BUSY_KEY, *map(str, ways)}
        and all(value is None or isinstance(value, float | bool) for value in table.values())
        and isinstance(table[str(ways[0])], float)
    )


def _measured(
    ways: list[Way], open_way: Callable[[Way], Engine]
) -> tuple[dict[str, float | None], dict[Way, Engine]]:
    """Milliseconds of each way, None of those that do not run, and the engines that are sound."""
    probe = probe_pm1(MEASURED_SIDE)
    opened = {ways[0]: open_way(ways[0])}  # its errors are those of the weights
    results = {ways[0]: opened[ways[0]](probe)}
    for way in ways[1:]:
        try:
            engine = _sibling(way, opened) or open_way(way)
            results[way] = engine(probe)
            opened[way] = engine
        except (ValueError, RuntimeError, ImportError, MemoryError) as error:
            logging.debug("%s does not run: %s", way, first_line(error))
    seconds: dict[Way, list[float]] = {way: [] for way in opened}
    end = time.perf_counter() + MOST_SECONDS
    for count in range(ROUNDS):
        for way, engine in opened.items():
            start = time.perf_counter()
            engine(probe)
            seconds[way].append(time.perf_counter() - start)
        if count and time.perf_counter() > end:
            break
    table: dict[str, float | None] = {str(way): None for way in ways}
    for way, times in seconds.items():
        table[str(way)] = round(float(np.median(times)) * 1e3, 2)
    for way in ways[1:]:
        if way not in opened:
            continue
        decibels = psnr(results[way], results[ways[0]], SPAN)
        if way.precision == "float32" and not decibels >= LEAST_PSNR_FLOAT32:  # nor NaN
            # At fault whatever the weights; bfloat16 may be near enough with others.
            logging.warning("%s is left out: %.0f dB PSNR to %s", way, decibels, ways[0])
            table[str(way)] = None
    logging.info(
        "milliseconds for %dx%d pixels: %s",
        MEASURED_SIDE,
        MEASURED_SIDE,
        ", ".join(f"{name} {'none' if ms is None else f'{ms:.0f}'}" for name, ms in table.items()),
    )
    # bfloat16 is checked by itself, against float32 of the same engine.
    return table, {way: engine for way, engine in opened.items() if way.precision == "float32"}


def _is_busy() -> bool:
    """Whether other processes want the cores too; False where there is no way to know."""
    return hasattr(os, "getloadavg") and os.getloadavg()[0] > BUSY * cache.cores()


def _sibling(way: Way, opened: dict[Way, Engine]) -> Engine | None:
    """The same engine in another precision, where it need not read the weights anew."""
    for engine in opened.values():
        if way.engine == "openvino" and isinstance(engine, OpenVinoEngine):
            return engine.in_precision(way.precision)
    return None


def _opened_sound(
    path: Path, way: Way, precision: str, open_way: Callable[[Way], Engine]
) -> Engine | None:
    """Opens a way, or gives None if its results are not near enough to float32's.

    Where bfloat16 was asked for it is what was asked for.
    """
    if way.precision == "float32" or precision == "bfloat16":
        return open_way(way)
    if way.engine == "openvino":  # which makes sure by itself
        engine = open_way(Way(way.engine, "auto"))
        return engine if getattr(engine, "precision", None) == way.precision else None
    facts = [cache.digest_of(path), cache.versions(), cache.machine(), PROBE_SIDE]
    name = cache.entry("sound", way.engine, *facts)
    decibels = cache.recall_json(name)
    if isinstance(decibels, float):
        return open_way(way) if decibels >= LEAST_PSNR else None
    engine, exact, probe = (
        open_way(way),
        open_way(Way(way.engine, "float32")),
        probe_pm1(PROBE_SIDE),
    )
    decibels = psnr(engine(probe), exact(probe), SPAN)
    cache.remember_json(name, decibels)
    return engine if decibels >= LEAST_PSNR else None
