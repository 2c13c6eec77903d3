"""How fast networks run on a CPU: our engines, exact and with held statistics, and the peers' ways.

All ways have the same weights and see the same pictures, one at a time. They are asked in turns,
each in a process of its own (`benchmark.workers`).
"""

from __future__ import annotations

import dataclasses
import importlib.util
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import logging
from tqdm import tqdm

from anime_tf.inference.memory import free_memory
from anime_tf.io.pixels import to_pm1
from anime_tf.metrics.similarity import psnr
from benchmarks import peers
from benchmarks.machine import matrix_peaks
from benchmarks.pipeline import made_up_photo
from benchmarks.timing import Spread
from benchmarks.workers import Answer, Worker, calls_of

PACKAGES = {
    "keras": "tensorflow",
    "openvino": "openvino",
    "saved_model": "tensorflow",
    "tflite": "ai_edge_litert",
    "onnx": "onnxruntime",
}
"""Our engine -> the package that it needs."""

PRECISIONS = ("float32", "bfloat16")

PEERS_MODEL = "animegan_v2"
"""What the peers have, too."""

PEERS_OPTIONS: dict[str, Any] = {"upsampling": "half_pixel", "epsilon": 1e-5}
"""Arguments of our generator that make it theirs: they double by another rule than the original."""

HELD_SIDE = 512
"""Height and width of the photo whose statistics are held, pixels."""

SETTLE_SECONDS = 0.03
"""Between two processes: idle threads go to sleep."""

WAY_BYTES = 600 * 2**20
PIXEL_BYTES = 1700
"""What a way takes at most, by itself and for each pixel: where memory does not hold all of them,
each is opened for its turns only."""

FILES = {
    "keras": "network.keras",
    "openvino": "network.keras",
    "saved_model": "saved_model",
    "tflite": "network.tflite",
    "onnx": "network.onnx",
}
"""Our engine -> the weights that it opens, in the folder of prepared files."""

PEERS_NETWORK = "peers.keras"
PEERS_FILE = "peers.onnx"
PYTORCH_FILE = "peers.pth"
STATISTICS_FILE = "statistics.npy"


@dataclasses.dataclass(frozen=True)
class Way:
    """How a network is run.

    Attributes:
        kind: "exact" or "held", ours with such statistics; or "peer".
        engine: A key of `PACKAGES`, or one of the peers' runtimes.
        precision: One of `PRECISIONS`.
    """

    kind: str
    engine: str
    precision: str

    def __str__(self) -> str:
        return f"{self.kind} {self.engine} {self.precision}"


def possible_ways(
    model: str, engines: Sequence[str], precisions: Sequence[str], with_peers: bool
) -> Iterator[Way]:
    """The ways to run a network whose packages are installed; a log line tells of the others.

    Args:
        model: Name of the network; those with other weights than ours have no peers.
        engines: Of ours, keys of `PACKAGES`.
        precisions: Of `PRECISIONS`.
        with_peers: Whether the peers' ways are wanted.
    """
    wanted: list[tuple[Way, Sequence[str]]] = []
    for precision in precisions:
        if with_peers and model == PEERS_MODEL:
            wanted += [
                (Way("peer", name, precision), ["torch"])
                for name in peers.PYTORCH_WAYS
                # PyTorch's own layout is slower still in bfloat16.
                if name != "pytorch" or precision == "float32"
            ]
            for name in ("onnxruntime", "openvino"):
                if name == "openvino" or precision == "float32":
                    wanted.append((Way("peer", name, precision), ["torch", name]))
        for kind in ("exact", "held"):
            for engine in engines:
                can_both = engine in ("keras", "openvino")
                if can_both or (kind == "exact" and precision == "float32"):
                    wanted.append((Way(kind, engine, precision), [PACKAGES[engine]]))
    for way, packages in wanted:
        missing = [name for name in packages if importlib.util.find_spec(name) is None]
        if missing:
            logging.info("%s is left out: %s is not installed", way, " and ".join(missing))
        else:
            yield way


def prepare(folder: Path, model: str, weights: str, engines: Sequence[str]) -> Any:
    """Writes what our ways open, in a process of its own; see `Worker`.

    Args:
        folder: Where it goes.
        model: A key of `models.registry.GENERATORS`, for random weights.
        weights: An archive or a built-in style in its place; empty for none.
        engines: Keys of `FILES`.

    Returns:
        What tells the operations of a network's convolutions: (height, width) int array -> array.
    """
    from anime_tf.io.native_stderr import import_tensorflow

    import_tensorflow()
    import keras

    from anime_tf.inference.norm_statistics import StatisticsEstimator
    from anime_tf.inference.padded_generator import PaddedGenerator
    from anime_tf.models.archive import load_generator, save_generator
    from anime_tf.models.registry import GENERATORS
    from anime_tf.styles.builtin import weights_path

    if weights:
        network = load_generator(weights_path(weights))
    else:
        keras.utils.set_random_seed(0)
        network = GENERATORS[model]()
    save_generator(network, folder / FILES["keras"])
    if model == PEERS_MODEL and not weights:
        theirs = GENERATORS[model](**PEERS_OPTIONS)
        theirs.set_weights(network.get_weights())
        save_generator(theirs, folder / PEERS_NETWORK)
    any_picture = PaddedGenerator(network)
    if "saved_model" in engines:
        from anime_tf.export.saved_model import write_saved_model

        write_saved_model(any_picture, folder / FILES["saved_model"])
    if "tflite" in engines:
        from anime_tf.export.tflite import convert_tflite

        (folder / FILES["tflite"]).write_bytes(convert_tflite(any_picture))
    if "onnx" in engines:
        from anime_tf.export.onnx import convert_onnx

        (folder / FILES["onnx"]).write_bytes(convert_onnx(any_picture))
    photo_u8 = made_up_photo(np.random.default_rng(0), (HELD_SIDE, HELD_SIDE))
    np.save(folder / STATISTICS_FILE, StatisticsEstimator(network)([photo_u8]))

    stride = int(network.STRIDE)

    def operations(size_hw: np.ndarray) -> np.ndarray:
        height, width = (-(-int(side) // stride) * stride for side in size_hw)
        graph = PaddedGenerator(network, (height, width)).pm1.get_concrete_function().graph
        return np.array(convolution_operations(graph))

    return operations


def write_peers(folder: Path) -> Any:
    """Writes the peers' network, as PyTorch keeps it and as ONNX, in a process of its own.

    Returns:
        That network as of ours, in float32 by Keras: what it maps a picture to.
    """
    from anime_tf.io.native_stderr import import_tensorflow

    import_tensorflow()
    from anime_tf.inference.engines.keras import KerasEngine
    from anime_tf.models.archive import load_generator

    ours = load_generator(folder / PEERS_NETWORK)
    network = peers.pytorch_network(ours)
    peers.write_pytorch(network, folder / PYTORCH_FILE)
    peers.write_onnx(network, folder / PEERS_FILE)
    return KerasEngine(ours)


def open_way(way: Way, folder: Path) -> Any:
    """Opens prepared files in a way."""
    if way.kind == "peer":
        if way.engine == "onnxruntime":
            return peers.run_by_onnxruntime(folder / PEERS_FILE)
        if way.engine == "openvino":
            return peers.run_by_openvino(folder / PEERS_FILE, way.precision)
        return peers.run_by_pytorch(
            peers.read_pytorch(folder / PYTORCH_FILE), way.engine, way.precision
        )
    if way.kind == "held":
        from anime_tf.io.native_stderr import import_tensorflow

        import_tensorflow()
        from anime_tf.inference.frozen import FrozenEngine
        from anime_tf.models.archive import load_generator

        own = way.engine == "keras" and way.precision == "bfloat16"
        policy = "mixed_bfloat16" if own else "float32"
        model = load_generator(folder / FILES["keras"], precision=policy)
        statistics = np.load(folder / STATISTICS_FILE)
        return FrozenEngine(model, statistics, way.engine, way.precision)
    from anime_tf.inference.engines.engine import EngineConfig
    from anime_tf.inference.engines.factory import create_engine

    return create_engine(folder / FILES[way.engine], EngineConfig(way.engine, way.precision))


def convolution_operations(graph: Any) -> int:
    """Multiplications and additions of all convolutions of a graph for one size.

    Args:
        graph: A TensorFlow graph, all of whose shapes are known.

    Returns:
        2 x height x width x channels of what comes out x taps of the kernel x channels that go in;
        of transposed ones likewise, by what goes in. Edges count as the rest.
    """
    total = 0
    for node in graph.get_operations():
        if node.type not in ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput"):
            continue
        kernel = node.inputs[1].shape.as_list()
        if node.type == "Conv2DBackpropInput":
            pixels = node.inputs[2].shape.num_elements() // kernel[3]
            total += 2 * pixels * int(np.prod(kernel))
        elif node.type == "Conv2D":
            outputs = node.outputs[0].shape.num_elements()
            total += 2 * outputs * int(np.prod(kernel[:3]))
        else:
            outputs = node.outputs[0].shape.num_elements()
            total += 2 * outputs * kernel[0] * kernel[1]
    return total


def matrix_worker(precisions: Sequence[str]) -> Any:
    """What measures the machine's peak, in a process of its own: any array -> GFLOP/s of each."""
    runs = [matrix_peaks(precision) for precision in precisions]
    return lambda array: np.array([run(array) for run in runs])


def measure_engines(
    folder: Path,
    model: str,
    weights: str,
    ways: Sequence[Way],
    sizes: Sequence[tuple[int, int]],
    rounds: Sequence[int],
) -> dict[str, Any]:
    """Measures the ways at all sizes, in turns.

    Args:
        folder: For prepared files; emptied by the caller.
        model: See `prepare`.
        weights: See `prepare`.
        ways: What to measure.
        sizes: Height and width, pixels.
        rounds: Turns, of each size.

    Returns:
        For JSON: "peaks", GFLOP/s of matrix products by precision; "rows", one for each way and
        size: "model", "kind", "engine", "precision", "height", "width", "seconds" of all turns,
        "cpu_seconds", "open_seconds", "first_seconds" of the first call at that size, "peak_gib",
        "gflop" of the network's convolutions, and at the first size "psnr" of exact ways to
        float32 by Keras, of the peers' network for the peers; None elsewhere, and for a result
        that is equal.

    Raises:
        ValueError: The network cannot be prepared.
    """
    engines = sorted({way.engine for way in ways if way.kind != "peer"} | {"keras"})
    maker = Worker(prepare, folder, model, weights, engines)
    maker.opened()
    gflop = {}
    for size_hw in sizes:
        answer = maker.ask(np.array(size_hw), result=True)
        gflop[size_hw] = float(answer.result) / 1e9  # type: ignore[arg-type]
    maker.close()
    picture_pm1 = _picture(sizes[0])
    of_peers = None
    if any(way.kind == "peer" for way in ways):
        maker = Worker(write_peers, folder)
        maker.opened()
        of_peers = maker.ask(picture_pm1, result=True).result
        maker.close()

    precisions = sorted({way.precision for way in ways})
    matrix = Worker(matrix_worker, precisions)
    crew = _Crew(folder, ways)
    try:
        matrix.opened()
        rows: list[dict[str, Any]] = []
        peaks = dict.fromkeys(precisions, 0.0)
        for size_hw, number in zip(sizes, rounds, strict=True):
            crew.prepare_for(size_hw)
            of_size, first = _measure_size(crew, matrix, peaks, size_hw, number)
            if size_hw == sizes[0]:
                _compare(of_size, first, of_peers)
            rows += of_size
    finally:
        crew.close()
        matrix.close()
    for row in rows:
        row["model"] = weights or model
        row["gflop"] = gflop[row["height"], row["width"]]
    return {"peaks": peaks, "rows": rows}


class _Crew:
    """Processes of ways: all are open at once, or, where memory is short, each for its turns only.

    Args:
        folder: Of prepared files.
        ways: What they run.

    Attributes:
        ways: Those that have not failed.
        opening: How long each took to open, seconds.
        apart: Whether each is open for its turns only.
    """

    def __init__(self, folder: Path, ways: Sequence[Way]) -> None:
        self.ways = list(ways)
        self.opening: dict[Way, float] = {}
        self._folder = folder
        self._open: dict[Way, Worker] = {}
        self._memory = free_memory()
        self.apart = False

    def prepare_for(self, size_hw: tuple[int, int]) -> None:
        """Decides how many are open for pictures of that size."""
        needed = len(self.ways) * (WAY_BYTES + PIXEL_BYTES * size_hw[0] * size_hw[1])
        self.apart = self._memory is not None and needed > self._memory
        if self.apart:
            logging.info("too little memory to hold all ways open: each is, for its turns only")
            self.close()

    def ask(self, way: Way, picture_pm1: np.ndarray, calls: int, result: bool) -> Answer:
        """Runs a picture; see `Worker.ask`.

        Raises:
            ValueError: The way has failed, and is taken out.
        """
        try:
            if way not in self._open:
                self._open[way] = Worker(open_way, way, self._folder)
                seconds = self._open[way].opened()
                if way in self.opening:  # opened anew: the first call is told already
                    self._open[way].ask(picture_pm1)
                self.opening.setdefault(way, seconds)
            return self._open[way].ask(picture_pm1, calls, result)
        except ValueError:
            self.ways.remove(way)
            self._close(way)
            raise
        finally:
            if self.apart:
                self._close(way)

    def close(self) -> None:
        """Closes all that are open."""
        for way in list(self._open):
            self._close(way)

    def _close(self, way: Way) -> None:
        if way in self._open:
            self._open.pop(way).close()


def _picture(size_hw: tuple[int, int]) -> np.ndarray:
    return to_pm1(made_up_photo(np.random.default_rng(1), size_hw))[None]


def _compare(
    rows: Sequence[dict[str, Any]], first: dict[Way, Answer], of_peers: np.ndarray | None
) -> None:
    """Fills in how near each exact way is to float32 by Keras, of ours or of the peers' network."""
    ours = first.get(Way("exact", "keras", "float32"))
    for row in rows:
        way = Way(row["kind"], row["engine"], row["precision"])
        references = {"peer": of_peers, "exact": None if ours is None else ours.result}
        reference = references.get(way.kind)
        if reference is not None:
            decibels = psnr(first[way].result, reference, 2.0)  # type: ignore[arg-type]
            row["psnr"] = decibels if np.isfinite(decibels) else None


def _measure_size(
    crew: _Crew,
    matrix: Worker,
    peaks: dict[str, float],
    size_hw: tuple[int, int],
    rounds: int,
) -> tuple[list[dict[str, Any]], dict[Way, Answer]]:
    """The rows of one size, and each way's first answer; peaks are updated."""
    picture_pm1 = _picture(size_hw)
    named = f"{size_hw[1]}x{size_hw[0]}"
    first: dict[Way, Answer] = {}
    answers: dict[Way, list[Answer]] = {way: [] for way in crew.ways}
    calls = dict.fromkeys(crew.ways, 1)
    with tqdm(
        total=(rounds + 2 - crew.apart) * len(crew.ways),
        unit="run",
        desc=named,
        disable=not sys.stderr.isatty(),
    ) as bar:
        for turn in range(-2, rounds):
            if turn == -1 and crew.apart:  # they are slow, a call is a turn
                continue
            measured = matrix.ask(np.zeros(1), result=True).result
            for precision, peak in zip(peaks, measured, strict=True):  # type: ignore[arg-type]
                peaks[precision] = max(peaks[precision], float(peak))
            for way in list(crew.ways):
                bar.set_postfix_str(str(way))
                time.sleep(SETTLE_SECONDS)
                try:
                    answer = crew.ask(way, picture_pm1, calls[way], turn == -2)
                except ValueError as error:
                    logging.warning("%s is left out from %s on: %s", way, named, error)
                    continue
                if turn == -2:
                    first[way] = answer
                elif turn == -1:
                    calls[way] = calls_of(answer.seconds)
                else:
                    answers[way].append(answer)
                bar.update()
            if bar.disable:
                logging.info("%s: turn %d of %d done", named, max(turn + 1, 0), rounds)
    rows = [
        {
            **dataclasses.asdict(way),
            "height": size_hw[0],
            "width": size_hw[1],
            "seconds": [answer.seconds for answer in answers[way]],
            "cpu_seconds": [answer.cpu_seconds for answer in answers[way]],
            "open_seconds": crew.opening[way],
            "first_seconds": first[way].seconds,
            "peak_gib": answers[way][-1].peak_gib,
            "psnr": None,
        }
        for way in crew.ways
    ]
    return rows, first


def verdicts(rows: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """Our fastest way of each kind against the peers' fastest, at every size and precision.

    Args:
        rows: Of `measure_engines`.

    Returns:
        A row for each where there are both: "model", "height", "width", "precision", "kind",
        "ours" and "theirs", the engines, and "speed", the `Spread` of ratios turn by turn.
    """
    found = []
    keys = dict.fromkeys((r["model"], r["height"], r["width"], r["precision"]) for r in rows)
    for key in keys:
        alike = [r for r in rows if (r["model"], r["height"], r["width"], r["precision"]) == key]
        best: dict[str, dict[str, Any]] = {}
        for row in alike:
            median = Spread.of(row["seconds"]).median
            if row["kind"] not in best or median < Spread.of(best[row["kind"]]["seconds"]).median:
                best[row["kind"]] = row
        for kind in ("exact", "held"):
            if "peer" not in best or kind not in best:
                continue
            pairs = zip(best["peer"]["seconds"], best[kind]["seconds"], strict=True)
            found.append(
                {
                    **dict(zip(("model", "height", "width", "precision"), key, strict=True)),
                    "kind": kind,
                    "ours": best[kind]["engine"],
                    "theirs": best["peer"]["engine"],
                    "speed": Spread.of([theirs / ours for theirs, ours in pairs]),
                }
            )
    return found
