"""Speed of networks on a CPU: our engines, with exact and frozen statistics, and baselines.

All candidates have the same weights and run the same pictures, one at a time. They are timed in
turn, each in a process of its own (`workers`).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging

from anime_tf.inference.accuracy import PM1_RANGE
from anime_tf.inference.engines.engine import EngineConfig
from anime_tf.inference.engines.factory import MULTI_PRECISION_ENGINES, PACKAGES, create_engine
from anime_tf.inference.memory import free_memory
from anime_tf.io.pixels import to_pm1
from anime_tf.io.terminal import Progress
from anime_tf.metrics.similarity import psnr
from benchmarks import baselines
from benchmarks.config import BenchmarkConfig
from benchmarks.machine import machine_facts, make_matrix_benchmark
from benchmarks.pipeline import generate_photo
from benchmarks.timing import Spread
from benchmarks.workers import Timing, Worker, calls_per_round

BASELINE_MODEL = "animegan_v2"
"""The network that the baselines have, too."""

BASELINE_OPTIONS: dict[str, Any] = {"upsampling": "half_pixel", "epsilon": 1e-5}
"""Arguments that make our generator equal to that of the baselines."""

FROZEN_SIDE = 512
"""Side of the photo whose statistics are frozen, pixels."""

SETTLE_SECONDS = 0.03
"""Pause between two processes, in which idle threads go to sleep."""

CANDIDATE_BYTES = 600 * 2**20
PIXEL_BYTES = 1700
"""Upper bounds of a candidate's memory, fixed and per pixel; if not all fit into memory, each is
open in its rounds only."""

FILES = {
    "keras": "network.keras",
    "openvino": "network.keras",
    "saved_model": "saved_model",
    "tflite": "network.tflite",
    "onnx": "network.onnx",
}
"""Engine -> its weights in the folder of prepared files."""

BASELINE_ARCHIVE = "baseline.keras"
BASELINE_ONNX = "baseline.onnx"
BASELINE_PYTORCH = "baseline.pth"
STATISTICS_FILE = "statistics.npy"

Save = Callable[[dict[str, Any]], None]


@dataclasses.dataclass(frozen=True)
class EngineCandidate:
    """A way to run a network.

    Attributes:
        kind: "exact" or "frozen", our engines with such statistics; or "baseline".
        engine: A key of `PACKAGES`, or the runtime of a baseline.
        precision: "float32" or "bfloat16".
    """

    kind: str
    engine: str
    precision: str

    @classmethod
    def from_row(cls, row: dict[str, Any]) -> EngineCandidate:
        """Return the candidate of a row of figures."""
        return cls(row["kind"], row["engine"], row["precision"])

    def __str__(self) -> str:
        return f"{self.kind} {self.engine} {self.precision}"


def benchmark_engines(config: BenchmarkConfig, save: Save) -> dict[str, Any]:
    """Measure engines.

    Args:
        config: Settings.
        save: Called with the document after each round.

    Returns:
        The document, for JSON: `machine`, `peaks` and `rows`; see `measure_network`.

    Raises:
        ValueError: A network cannot be prepared, or no candidate can run it.
    """
    document: dict[str, Any] = {"machine": machine_facts(), "peaks": {}, "rows": []}
    precisions = [name.removeprefix("mixed_") for name in config.precisions]
    weights = config.weights or ""
    for model in [weights] if weights else config.models:
        candidates = [
            candidate
            for candidate in list_candidates(model, config.engines, precisions, config.baselines)
            if config.compiled or candidate.engine != "pytorch compiled"
        ]
        with tempfile.TemporaryDirectory(prefix="anime_tf_benchmark_") as folder:
            prepared = Path(folder), model, weights
            rounds = config.rounds_of(len(config.sizes))
            measure_network(document, save, prepared, candidates, config.sizes, rounds)
    if not document["rows"]:
        raise ValueError("no engine of --engines can run these networks here")
    return document


def list_candidates(
    model: str, engines: Sequence[str], precisions: Sequence[str], with_baselines: bool
) -> Iterator[EngineCandidate]:
    """List the candidates whose packages are installed, and log the others.

    Args:
        model: Name of the network; only `BASELINE_MODEL` has baselines.
        engines: Our engines, keys of `PACKAGES`.
        precisions: "float32" and "bfloat16".
        with_baselines: Whether to include baselines.
    """
    wanted: list[tuple[EngineCandidate, Sequence[str]]] = []
    for precision in precisions:
        if with_baselines and model == BASELINE_MODEL:
            wanted += [
                (EngineCandidate("baseline", name, precision), ["torch"])
                for name in baselines.PYTORCH_RUNTIMES
                # PyTorch's default layout is even slower in bfloat16.
                if name != "pytorch" or precision == "float32"
            ]
            for name in ("onnxruntime", "openvino"):
                if name == "openvino" or precision == "float32":
                    candidate = EngineCandidate("baseline", name, precision)
                    wanted.append((candidate, ["torch", name]))
        for kind in ("exact", "frozen"):
            for engine in engines:
                if engine in MULTI_PRECISION_ENGINES or (kind, precision) == ("exact", "float32"):
                    candidate = EngineCandidate(kind, engine, precision)
                    wanted.append((candidate, [PACKAGES[engine]]))
    for candidate, packages in wanted:
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            logging.info("skipping %s: %s is not installed", candidate, " and ".join(missing))
        else:
            yield candidate


def prepare(folder: Path, model: str, weights: str, engines: Sequence[str]) -> Any:
    """Write the files that our engines open; runs in a `Worker`.

    Args:
        folder: Output folder.
        model: A key of `models.registry.GENERATORS`, for random weights.
        weights: An archive or a built-in style instead; empty for none.
        engines: Keys of `FILES`.

    Returns:
        Function from (height, width), an int array, to the operations of the convolutions.
    """
    from anime_tf.io.native_stderr import import_tensorflow

    import_tensorflow()
    import keras

    from anime_tf.inference.norm_statistics import StatisticsEstimator
    from anime_tf.inference.padded_generator import PaddedGenerator
    from anime_tf.models.archive import load_generator, save_generator
    from anime_tf.models.registry import GENERATORS
    from anime_tf.styles.registry import weights_path

    if weights:
        network = load_generator(weights_path(weights))
    else:
        keras.utils.set_random_seed(0)
        network = GENERATORS[model]()  # type: ignore[call-arg]  # each has a default width
    save_generator(network, folder / FILES["keras"])
    if model == BASELINE_MODEL and not weights:
        baseline = GENERATORS[model](**BASELINE_OPTIONS)
        baseline.set_weights(network.get_weights())
        save_generator(baseline, folder / BASELINE_ARCHIVE)
    padded = PaddedGenerator(network)
    if "saved_model" in engines:
        from anime_tf.export.saved_model import write_saved_model

        write_saved_model(padded, folder / FILES["saved_model"])
    if "tflite" in engines:
        from anime_tf.export.tflite import convert_tflite

        (folder / FILES["tflite"]).write_bytes(convert_tflite(padded))
    if "onnx" in engines:
        from anime_tf.export.onnx import convert_onnx

        (folder / FILES["onnx"]).write_bytes(convert_onnx(padded))
    photo_u8 = generate_photo(np.random.default_rng(0), (FROZEN_SIDE, FROZEN_SIDE))
    np.save(folder / STATISTICS_FILE, StatisticsEstimator(network)([photo_u8]))

    stride = int(network.STRIDE)

    def count_operations(size_hw: np.ndarray) -> np.ndarray:
        height, width = (-(-int(side) // stride) * stride for side in size_hw)
        graph = PaddedGenerator(network, (height, width)).pm1.get_concrete_function().graph
        return np.array(convolution_operations(graph))

    return count_operations


def prepare_baselines(folder: Path) -> Any:
    """Write the network of the baselines as PyTorch and ONNX files; runs in a `Worker`.

    Returns:
        The reference: that network in float32 by Keras.
    """
    from anime_tf.io.native_stderr import import_tensorflow

    import_tensorflow()
    from anime_tf.inference.engines.keras import KerasEngine
    from anime_tf.models.archive import load_generator

    ours = load_generator(folder / BASELINE_ARCHIVE)
    network = baselines.pytorch_network(ours)
    baselines.write_pytorch(network, folder / BASELINE_PYTORCH)
    baselines.write_onnx(network, folder / BASELINE_ONNX)
    return KerasEngine(ours)


def open_candidate(candidate: EngineCandidate, folder: Path) -> Any:
    """Open the prepared files; runs in a `Worker`."""
    engine, precision = candidate.engine, candidate.precision
    if candidate.kind == "baseline":
        if engine == "onnxruntime":
            return baselines.run_by_onnxruntime(folder / BASELINE_ONNX)
        if engine == "openvino":
            return baselines.run_by_openvino(folder / BASELINE_ONNX, precision)
        network = baselines.read_pytorch(folder / BASELINE_PYTORCH)
        return baselines.run_by_pytorch(network, engine, precision)
    if candidate.kind == "exact":
        return create_engine(folder / FILES[engine], EngineConfig(engine, precision))
    from anime_tf.io.native_stderr import import_tensorflow

    import_tensorflow()
    from anime_tf.inference.frozen import FrozenEngine
    from anime_tf.models.archive import load_generator

    is_mixed = engine == "keras" and precision == "bfloat16"
    policy = "mixed_bfloat16" if is_mixed else "float32"
    model = load_generator(folder / FILES["keras"], precision=policy)
    return FrozenEngine(model, np.load(folder / STATISTICS_FILE), engine, precision)


def convolution_operations(graph: Any) -> int:
    """Count multiplications and additions of all convolutions of a graph of one size.

    Args:
        graph: A TensorFlow graph whose shapes are all known.

    Returns:
        2 x height x width x output channels x taps of the kernel x input channels; of the input
        for transposed convolutions. Borders count like the rest.
    """
    total = 0
    for node in graph.get_operations():
        if node.type not in ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput"):
            continue
        kernel = node.inputs[1].shape.as_list()
        if node.type == "Conv2DBackpropInput":
            pixels = node.inputs[2].shape.num_elements() // kernel[3]
            total += 2 * pixels * int(np.prod(kernel))
        else:
            taps = kernel[:3] if node.type == "Conv2D" else kernel[:2]
            total += 2 * node.outputs[0].shape.num_elements() * int(np.prod(taps))
    return total


def make_matrix_benchmarks(precisions: Sequence[str]) -> Any:
    """Make a function of any array that returns the machine's peak in GFLOP/s by precision."""
    runs = [make_matrix_benchmark(precision) for precision in precisions]
    return lambda array: np.array([run(array) for run in runs])


def measure_network(
    document: dict[str, Any],
    save: Save,
    prepared: tuple[Path, str, str],
    candidates: Sequence[EngineCandidate],
    sizes: Sequence[tuple[int, int]],
    rounds: Sequence[int],
) -> None:
    """Measure the candidates at all sizes and add their figures to a document.

    `peaks` is GFLOP/s of matrix products by precision. `rows` has an entry for each candidate and
    size: `model`, `kind`, `engine`, `precision`, `height`, `width`, `seconds` and `cpu_seconds` of
    all rounds, `open_seconds`, `first_seconds` of the first call at that size, `peak_gib`, `gflop`
    of the network's convolutions, and at the first size `psnr`: of exact candidates to float32 by
    Keras, of baselines to their network by Keras; None elsewhere and for an equal result.

    Args:
        document: Changed in place.
        save: Called with the document after each round.
        prepared: Folder for files, model and weights; see `prepare`.
        candidates: Candidates; those that fail are skipped from then on.
        sizes: Height and width, pixels.
        rounds: Rounds of each size.

    Raises:
        ValueError: The network cannot be prepared.
    """
    folder, model, weights = prepared
    engines = sorted({c.engine for c in candidates if c.kind != "baseline"} | {"keras"})
    worker = Worker(prepare, folder, model, weights, engines)
    worker.wait_until_open()
    gflop = {}
    for size_hw in sizes:
        counted = worker.run(np.array(size_hw), result=True).result
        gflop[size_hw] = float(counted) / 1e9  # type: ignore[arg-type]
    worker.close()
    references: dict[str, np.ndarray | None] = {}
    if any(candidate.kind == "baseline" for candidate in candidates):
        worker = Worker(prepare_baselines, folder)
        worker.wait_until_open()
        references["baseline"] = worker.run(_make_picture(sizes[0]), result=True).result
        worker.close()

    precisions = sorted({candidate.precision for candidate in candidates})
    matrix = Worker(make_matrix_benchmarks, precisions)
    pool = _WorkerPool(folder, candidates)
    peaks = document["peaks"]

    def measure_peaks() -> None:
        measured = matrix.run(np.zeros(1), result=True).result
        for precision, peak in zip(precisions, measured, strict=True):  # type: ignore[arg-type]
            peaks[precision] = max(peaks.get(precision, 0.0), float(peak))

    try:
        matrix.wait_until_open()
        for size_hw, count in zip(sizes, rounds, strict=True):
            pool.prepare_for(size_hw)
            shared = {"model": weights or model, "gflop": gflop[size_hw]}
            finished = document["rows"]
            compared = references if size_hw == sizes[0] else None
            for rows in _measure_size(pool, size_hw, count, compared, measure_peaks):
                document["rows"] = [*finished, *({**row, **shared} for row in rows)]
                save(document)
    finally:
        pool.close()
        matrix.close()


class _WorkerPool:
    """Workers of candidates: all open at once or, if memory is short, each in its rounds only.

    Args:
        folder: Folder of prepared files.
        candidates: Candidates.

    Attributes:
        candidates: Those that have not failed.
        open_seconds: Seconds that each took to open.
        one_at_a_time: Whether each is open in its rounds only.
    """

    def __init__(self, folder: Path, candidates: Sequence[EngineCandidate]) -> None:
        self.candidates = list(candidates)
        self.open_seconds: dict[EngineCandidate, float] = {}
        self.one_at_a_time = False
        self._folder = folder
        self._workers: dict[EngineCandidate, Worker] = {}
        self._memory = free_memory()

    def prepare_for(self, size_hw: tuple[int, int]) -> None:
        """Decide how many are open for pictures of a size."""
        per_candidate = CANDIDATE_BYTES + PIXEL_BYTES * size_hw[0] * size_hw[1]
        needed = len(self.candidates) * per_candidate
        self.one_at_a_time = self._memory is not None and needed > self._memory
        if self.one_at_a_time:
            logging.info("not enough memory for all candidates: each is opened for its rounds")
            self.close()

    def run(
        self, candidate: EngineCandidate, picture_pm1: np.ndarray, calls: int, result: bool
    ) -> Timing:
        """Run a picture; see `Worker.run`.

        Raises:
            ValueError: The candidate failed and is removed.
        """
        try:
            if candidate not in self._workers:
                worker = self._workers[candidate] = Worker(open_candidate, candidate, self._folder)
                seconds = worker.wait_until_open()
                if candidate in self.open_seconds:  # reopened: the first call is not timed
                    worker.run(picture_pm1)
                self.open_seconds.setdefault(candidate, seconds)
            return self._workers[candidate].run(picture_pm1, calls, result)
        except ValueError:
            self.candidates.remove(candidate)
            self._close(candidate)
            raise
        finally:
            if self.one_at_a_time:
                self._close(candidate)

    def close(self) -> None:
        """Close all workers."""
        for candidate in list(self._workers):
            self._close(candidate)

    def _close(self, candidate: EngineCandidate) -> None:
        if candidate in self._workers:
            self._workers.pop(candidate).close()


def _make_picture(size_hw: tuple[int, int]) -> np.ndarray:
    return to_pm1(generate_photo(np.random.default_rng(1), size_hw))[None]


def _measure_size(
    pool: _WorkerPool,
    size_hw: tuple[int, int],
    rounds: int,
    references: dict[str, np.ndarray | None] | None,
    begin_round: Callable[[], None],
) -> Iterator[list[dict[str, Any]]]:
    """Yield the rows of one size after each figure, those of candidates that have not failed.

    Args:
        pool: Workers.
        size_hw: Height and width, pixels.
        rounds: Rounds after the warm-up.
        references: Kind -> result to compare first results with, "exact" excepted; None does not
            compare.
        begin_round: Called at the beginning of each round.
    """
    picture_pm1 = _make_picture(size_hw)
    size = f"{size_hw[1]}x{size_hw[0]}"
    first: dict[EngineCandidate, Timing] = {}
    timings: dict[EngineCandidate, list[Timing]] = {c: [] for c in pool.candidates}
    decibels: dict[EngineCandidate, float] = {}
    calls = dict.fromkeys(pool.candidates, 1)

    def make_rows() -> list[dict[str, Any]]:
        return [
            {
                **dataclasses.asdict(candidate),
                "height": size_hw[0],
                "width": size_hw[1],
                "seconds": [timing.seconds for timing in timings[candidate]],
                "cpu_seconds": [timing.cpu_seconds for timing in timings[candidate]],
                "open_seconds": pool.open_seconds[candidate],
                "first_seconds": first[candidate].seconds,
                "peak_gib": timings[candidate][-1].peak_gib,
                "psnr": decibels.get(candidate),
            }
            for candidate in pool.candidates
            if timings[candidate]
        ]

    # Round -2 is the first call; -1 sets the number of calls, which is 1 for slow candidates.
    numbers = [number for number in range(-2, rounds) if number != -1 or not pool.one_at_a_time]
    with Progress(len(numbers) * len(pool.candidates), "runs", size) as progress:
        for number in numbers:
            begin_round()
            for candidate in list(pool.candidates):
                time.sleep(SETTLE_SECONDS)
                try:
                    timing = pool.run(candidate, picture_pm1, calls[candidate], number == -2)
                except ValueError as error:
                    logging.warning("skipping %s from %s on: %s", candidate, size, error)
                    continue
                progress.update(str(candidate))
                if number == -2:
                    first[candidate] = timing
                elif number == -1:
                    calls[candidate] = calls_per_round(timing.seconds)
                else:
                    timings[candidate].append(timing)
                    yield make_rows()
            if number == -2 and references is not None:
                decibels = _compare(first, references)


def _compare(
    first: dict[EngineCandidate, Timing], references: dict[str, np.ndarray | None]
) -> dict[EngineCandidate, float]:
    """PSNR of first results to those of the reference of their kind, without equal ones."""
    exact = first.get(EngineCandidate("exact", "keras", "float32"))
    references = {**references, "exact": None if exact is None else exact.result}
    decibels = {}
    for candidate, timing in first.items():
        reference = references.get(candidate.kind)
        if reference is not None and timing.result is not None:
            value = psnr(timing.result, reference, PM1_RANGE)
            if np.isfinite(value):
                decibels[candidate] = value
    return decibels


def speedups(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Compare our fastest engine of each kind with the fastest baseline.

    Args:
        rows: Rows of `measure_network`.

    Returns:
        A row for each network, size, precision and kind: `model`, `height`, `width`, `precision`,
        `kind`, the engines `ours` and `baseline`, and `speedup`, the `Spread` over rounds.
    """
    keys = ("model", "height", "width", "precision")
    found = []
    for values in dict.fromkeys(tuple(row[key] for key in keys) for row in rows):
        fastest: dict[str, dict[str, Any]] = {}
        for row in rows:
            if tuple(row[key] for key in keys) == values:
                best = fastest.setdefault(row["kind"], row)
                if Spread.of(row["seconds"]).median < Spread.of(best["seconds"]).median:
                    fastest[row["kind"]] = row
        for kind in ("exact", "frozen"):
            if {"baseline", kind} <= set(fastest):
                baseline, ours = fastest["baseline"], fastest[kind]
                found.append(
                    {
                        **dict(zip(keys, values, strict=True)),
                        "kind": kind,
                        "ours": ours["engine"],
                        "baseline": baseline["engine"],
                        "speedup": Spread.of_ratios(baseline["seconds"], ours["seconds"]),
                    }
                )
    return found
