"""What runs a generator: pictures in [-1, 1] in, pictures in [-1, 1] out, of any size."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from anime_tf.errors import cannot_run, first_line, import_optional
from anime_tf.inference import autotune
from anime_tf.inference.config import PRECISIONS
from anime_tf.inference.engines.openvino import OpenVinoEngine
from anime_tf.io.native_stderr import import_tensorflow
from anime_tf.io.pictures import to_pm1, to_u8

if TYPE_CHECKING:
    import keras

SAVED_MODEL_FILE = "saved_model.pb"
"""What makes a folder a SavedModel."""

TFLITE_IDENTIFIER = b"TFL3"
"""Bytes 4 to 7 of every TFLite model."""

LITERT_REQUIREMENT = "ai-edge-litert"
"""What to install for TFLite models; also the package's extra ``tflite``."""

ONNX_REQUIREMENT = "onnxruntime"
"""What to install to run ONNX models; also in the package's extra ``onnx``."""

ONNX_ERRORS_ONLY = 3
"""ONNX Runtime's level of logging that leaves out its warnings of devices that are not there."""

_NO_LIMIT = 1e9  # deviations: in the place of infinity, for there may be none to multiply it with


class Engine(Protocol):
    """A generator ready to run; may be called from several threads at once."""

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network.

        Args:
            pictures_pm1: (n, height, width, 3) float32 RGB in [-1, 1]; any size, none of them 0.

        Returns:
            The same shape, type and range.

        Raises:
            MemoryError: The device has not enough memory for pictures of this size.
        """


class KerasEngine:
    """Runs a generator by Keras on TensorFlow.

    On a CPU by operations that are quick there, and pictures of a batch one after the other.

    Args:
        model: A generator of `models.registry`.
        statistics: Of all its norms, to be fixed; None where each picture has its own. See
            `inference.padded_generator.PaddedGenerator`.

    Attributes:
        network: The network as it is exported.
        precision: What it computes in, "float32" or "bfloat16".
    """

    def __init__(self, model: keras.Model, statistics: np.ndarray | None = None) -> None:
        import_tensorflow()
        from anime_tf.inference.lowering.lower import tensorflow_lowering
        from anime_tf.inference.padded_generator import PaddedGenerator

        self.network = PaddedGenerator(model, statistics=statistics)
        self.precision = str(model.compute_dtype)
        # What runs; a concrete function does not keep its variables alive.
        self._running = self.network
        lowering = tensorflow_lowering()
        self._one_by_one = lowering.cpu_optimized
        if lowering.cpu_optimized:
            self._running = PaddedGenerator(model, lowering=lowering, statistics=statistics)
        # Traced here and not at the first call, which several threads may make at once.
        self._run = self._running.pm1.get_concrete_function()
        self._run_held: Any = None  # traced when it is first asked for, as the next
        self._run_following: Any = None
        self._lock = threading.Lock()

    @classmethod
    def load(cls, path: str | os.PathLike[str], precision: str = "auto") -> KerasEngine:
        """Loads an archive.

        Args:
            path: The ``.keras`` file.
            precision: One of `PRECISIONS`; "auto" is float32.

        Returns:
            The engine.

        Raises:
            FileNotFoundError: There is no such file.
            ValueError: See `models.archive.load_generator`.
        """
        import_tensorflow()
        from anime_tf.models.archive import load_generator

        policy = "mixed_bfloat16" if precision == "bfloat16" else "float32"
        return cls(load_generator(path, precision=policy))

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network; see `Engine`."""
        if not self._one_by_one or len(pictures_pm1) == 1:
            return _run_graph(self._run, pictures_pm1)["anime_pm1"]
        anime_pm1 = np.empty(pictures_pm1.shape, np.float32)
        for i, picture_pm1 in enumerate(pictures_pm1):
            anime_pm1[i] = _run_graph(self._run, picture_pm1[None])["anime_pm1"][0]
        return anime_pm1

    def run_held(
        self,
        picture_pm1: np.ndarray,
        held: np.ndarray | None,
        rate: float,
        leeway: float,
        newest: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Runs the network with the statistics of its norms held, in part or wholly.

        Args:
            picture_pm1: (1, height, width, 3) float32 RGB in [-1, 1].
            held: The statistics that the picture before used; None where there is none.
            rate: How far they move to this picture's own, from 0, not at all, to 1, all the way.
            leeway: How far they may then still be from its own, in deviations; inf for no limit.
            newest: Statistics that take the place of this picture's own, which then are not
                measured: that is quicker.

        Returns:
            The picture, of the same shape, type and range, and the statistics that it used.

        Raises:
            MemoryError: The device has not enough memory for a picture of this size.
        """
        with self._lock:
            if self._run_held is None:
                self._run_held = self._running.make_ema_function().get_concrete_function()
            number = self._running.statistics_length
            if newest is not None and self._run_following is None:
                following = self._running.make_ema_function(measure=False)
                self._run_following = following.get_concrete_function()
        import tensorflow as tf

        if held is None:
            held, rate = np.zeros(number, np.float32), 1.0
        moved = {
            "previous": tf.constant(held),
            "momentum": tf.constant(rate, tf.float32),
            "tolerance": tf.constant(min(leeway, _NO_LIMIT), tf.float32),
        }
        if newest is None:
            outputs = _run_graph(self._run_held, picture_pm1, **moved)
        else:
            run = self._run_following
            outputs = _run_graph(run, picture_pm1, **moved, measured=tf.constant(newest))
        return outputs["anime_pm1"], outputs["statistics"]


class SavedModelEngine:
    """Runs the SavedModel of an export by TensorFlow; needs no class of this package.

    A SavedModel is a program: open only those whose source you trust.

    Args:
        path: The folder that holds ``saved_model.pb``.

    Raises:
        FileNotFoundError: There is no such folder.
        ValueError: It holds no whole SavedModel, or another network than an export of ours.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        import_tensorflow()
        import tensorflow as tf

        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such folder; expected a SavedModel of export.py")
        if not (path / SAVED_MODEL_FILE).is_file():
            found = f"a folder without {SAVED_MODEL_FILE}" if path.is_dir() else "a file"
            near = path / "saved_model"
            remedy = f"; name {near}" if (near / SAVED_MODEL_FILE).is_file() else ""
            raise ValueError(f"{path}: expected a SavedModel folder, found {found}{remedy}")
        try:
            self._loaded = tf.saved_model.load(os.fspath(path))  # keeps the variables alive
        except (OSError, ValueError, KeyError, RuntimeError, tf.errors.OpError) as error:
            raise ValueError(
                f"{path}: the SavedModel is incomplete or damaged ({first_line(error)}); "
                "export it anew"
            ) from error
        run = self._loaded.signatures.get("serving_default")
        if run is None or not _takes_any_picture(run):
            raise ValueError(
                f"{path}: expected a SavedModel whose signature serving_default takes and gives "
                "float32 pictures (n, height, width, 3) of any size, found another network; make "
                "one with export.py"
            )
        (self._output,) = run.structured_outputs
        (self._input,) = run.structured_input_signature[1]
        self._run = run

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network; see `Engine`."""
        return _run_graph(lambda x: self._run(**{self._input: x}), pictures_pm1)[self._output]


class TFLiteEngine:
    """Runs the TFLite model of an export by LiteRT, one call after the other, on all cores.

    A model for one size takes smaller pictures too: they are reflected at their lower and right
    edge until they have it, and cropped back.

    Args:
        path: The ``.tflite`` file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no whole TFLite model, or another network than an export of ours, or
            LiteRT is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file; expected a TFLite model of export.py")
        if path.is_dir():
            raise ValueError(f"{path}: expected a .tflite file, found a folder; name the file")
        self._open(path.read_bytes(), str(path))

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> TFLiteEngine:
        """Runs a model that is no file yet; `name` stands for it in errors."""
        engine = cls.__new__(cls)
        engine._open(data, name)
        return engine

    def _open(self, data: bytes, name: str) -> None:
        # Told apart here, for LiteRT calls everything else damaged.
        if data[4:8] != TFLITE_IDENTIFIER:
            raise ValueError(
                f"{name}: expected a TFLite model, found "
                f"{'another kind of file' if data else 'an empty file'}; make one with export.py"
            )
        interpreter_class = import_litert().Interpreter
        try:
            self._interpreter = interpreter_class(model_content=data, num_threads=os.cpu_count())
            (inputs,) = self._interpreter.get_input_details()
            (outputs,) = self._interpreter.get_output_details()
        except (ValueError, RuntimeError) as error:
            raise ValueError(
                f"{name}: the TFLite model is cut off, damaged or not of export.py "
                f"({first_line(error)}); export it anew"
            ) from error
        shapes = {tuple(map(int, side["shape_signature"])) for side in (inputs, outputs)}
        types = {side["dtype"] for side in (inputs, outputs)}
        shape = shapes.pop()
        any_size = shape == (-1, -1, -1, 3)
        one_size = len(shape) == 4 and shape[0] == 1 and shape[3] == 3 and min(shape) > 0
        if shapes or not (any_size or one_size) or types not in ({np.float32}, {np.uint8}):
            found = ", ".join(
                f"{side['dtype'].__name__} {tuple(map(int, side['shape_signature']))}"
                for side in (inputs, outputs)
            )
            raise ValueError(
                f"{name}: expected a TFLite model that takes and gives pictures, float32 or uint8, "
                "(n, height, width, 3) of any size or (1, height, width, 3) of one, found "
                f"{found}; make one with export.py"
            )
        self._size_hw = None if any_size else (shape[1], shape[2])
        self._in_pixels = types == {np.uint8}
        self._name = name
        self._input, self._output = inputs["index"], outputs["index"]
        self._shape: tuple[int, ...] | None = None
        self._lock = threading.Lock()  # an interpreter holds the tensors of one call

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network; see `Engine`.

        Raises:
            ValueError: The model is for one size, and the pictures are larger.
        """
        if self._size_hw is None:
            return self._invoke(pictures_pm1)
        height, width = pictures_pm1.shape[1:3]
        below, beside = self._size_hw[0] - height, self._size_hw[1] - width
        if below < 0 or beside < 0:
            raise ValueError(
                f"{self._name}: takes pictures of up to {self._size_hw[1]}x{self._size_hw[0]} "
                f"pixels, received {width}x{height}; shrink them with "
                f"max_side={min(self._size_hw)}, or export without image_size"
            )
        padding = ((0, 0), (0, below), (0, beside), (0, 0))
        padded = np.pad(pictures_pm1, padding, mode="reflect")
        anime_pm1 = [self._invoke(picture[None]) for picture in padded]
        return np.concatenate(anime_pm1)[:, :height, :width]

    def _invoke(self, pictures_pm1: np.ndarray) -> np.ndarray:
        with self._lock:
            try:
                if self._shape != pictures_pm1.shape:
                    self._shape = None  # not known until all tensors have their place
                    if self._size_hw is None:
                        self._interpreter.resize_tensor_input(
                            self._input, pictures_pm1.shape, strict=True
                        )
                    self._interpreter.allocate_tensors()
                    self._shape = pictures_pm1.shape
                photos = pictures_pm1.astype(np.float32)
                self._interpreter.set_tensor(
                    self._input, to_u8(photos) if self._in_pixels else photos
                )
                self._interpreter.invoke()
                anime = self._interpreter.get_tensor(self._output)
                return to_pm1(anime) if self._in_pixels else anime
            except RuntimeError as error:
                raise cannot_run("LiteRT", self._name, pictures_pm1.shape, error) from error


class OnnxEngine:
    """Runs the ONNX model of an export by ONNX Runtime, on all cores.

    Args:
        path: The ``.onnx`` file.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is no whole ONNX model, or another network than an export of ours, or ONNX
            Runtime is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        path = Path(path)
        if not path.exists():
            raise FileNotFoundError(f"{path}: no such file; expected an ONNX model of export.py")
        if path.is_dir():
            raise ValueError(f"{path}: expected an .onnx file, found a folder; name the file")
        runtime = import_onnxruntime()
        self._errors = _onnx_errors(runtime)
        options = runtime.SessionOptions()
        options.log_severity_level = ONNX_ERRORS_ONLY
        try:
            # By its bytes: a path would let the file name other files to be read.
            self._session = runtime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except self._errors as error:
            raise ValueError(
                f"{path}: the file is no ONNX model, or cut off or damaged ({first_line(error)}); "
                "make one with export.py"
            ) from error
        for side in (self._session.get_inputs(), self._session.get_outputs()):
            # An axis of any length has a name, or None, in the place of its length.
            found = [
                (item.type, [n if isinstance(n, int) else 0 for n in item.shape]) for item in side
            ]
            if found != [("tensor(float)", [0, 0, 0, 3])]:
                raise ValueError(
                    f"{path}: expected an ONNX model that takes and gives float32 pictures "
                    f"(n, height, width, 3) of any size, found "
                    f"{', '.join(f'{item.type} {item.shape}' for item in side)}; make one with "
                    "export.py"
                )
        self._path = path
        self._input = self._session.get_inputs()[0].name

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Runs the network; see `Engine`."""
        try:
            feed = {self._input: pictures_pm1.astype(np.float32, copy=False)}
            return self._session.run(None, feed)[0]
        except self._errors as error:
            if "allocate memory" in str(error):
                raise MemoryError(first_line(error)) from error
            raise cannot_run("ONNX Runtime", self._path, pictures_pm1.shape, error) from error


def import_onnxruntime() -> Any:
    """ONNX Runtime.

    Returns:
        The module `onnxruntime`.

    Raises:
        ValueError: It is not installed.
    """
    return import_optional("onnxruntime", "ONNX models need ONNX Runtime", ONNX_REQUIREMENT)


def _onnx_errors(runtime: Any) -> tuple[type[Exception], ...]:
    """What ONNX Runtime raises: a class for each of its codes, with no base of their own."""
    names = vars(runtime.capi.onnxruntime_pybind11_state).values()
    raised = [kind for kind in names if isinstance(kind, type) and issubclass(kind, Exception)]
    return (*raised, RuntimeError, ValueError)


def import_litert() -> Any:
    """LiteRT's interpreter module.

    Returns:
        The module `ai_edge_litert.interpreter`.

    Raises:
        ValueError: It is not installed.
    """
    return import_optional(
        "ai_edge_litert.interpreter", "TFLite models need LiteRT", LITERT_REQUIREMENT
    )


def _run_graph(
    run: Callable[..., dict[str, Any]], pictures_pm1: np.ndarray, **others: Any
) -> dict[str, np.ndarray]:
    """Runs a TensorFlow graph; all that it gives, by name."""
    import tensorflow as tf

    try:
        outputs = run(tf.constant(pictures_pm1, tf.float32), **others)
        return {name: output.numpy() for name, output in outputs.items()}
    except tf.errors.ResourceExhaustedError as error:
        raise MemoryError(first_line(error)) from error


def _takes_any_picture(run: Any) -> bool:
    """Whether a signature has one input and one output, both float32 pictures of any size."""
    sides = [run.structured_input_signature[1], run.structured_outputs]
    return all(
        [(tuple(spec.shape), spec.dtype.name) for spec in side.values()]
        == [((None, None, None, 3), "float32")]
        for side in sides
    )


ENGINES: dict[str, Callable[..., Engine]] = {
    "keras": KerasEngine.load,
    "saved_model": SavedModelEngine,
    "tflite": TFLiteEngine,
    "onnx": OnnxEngine,
    "openvino": OpenVinoEngine,
}
"""Name -> what opens weights: called with a path, and with a precision if in `PRECISE_ENGINES`."""

PRECISE_ENGINES = ("keras", "openvino")
"""Those that compute in the number type that is asked for; the others in that of the weights."""

ENGINE_OF_SUFFIX: dict[str, str] = {
    ".keras": "keras",
    ".tflite": "tflite",
    ".onnx": "onnx",
}
"""Suffix of a weights file -> engine that it is made for."""


def open_engine(
    path: str | os.PathLike[str],
    engine: str = "auto",
    precision: str = "auto",
    hold: bool = False,
) -> Engine:
    """Opens weights with an engine.

    Args:
        path: The weights.
        engine: A key of `ENGINES`, or "auto" for the one that runs them fastest on this machine,
            of those that can open them; see `inference.choice`.
        precision: One of `PRECISIONS`, what the network computes in; "auto" is bfloat16 where the
            CPU has it, and the engine is "auto" too or OpenVINO, and results are near enough to
            float32's; else float32.
        hold: Let "auto" take none but those that can hold statistics, where any can.

    Returns:
        The engine, ready to run.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: No such engine, weights that it cannot open, or a precision that it does not
            have.
    """
    path = Path(path)
    if precision not in PRECISIONS:
        raise ValueError(
            f"engine_precision must be one of {', '.join(PRECISIONS)}, received {precision!r}"
        )
    if engine == "auto":
        return autotune.open_fastest(
            path, engine_of(path), precision, lambda way: open_engine(path, *way), hold
        )
    if engine not in ENGINES:
        raise ValueError(f"engine must be one of auto, {', '.join(ENGINES)}, received {engine!r}")
    if engine in PRECISE_ENGINES:
        return ENGINES[engine](path, precision)
    if precision == "bfloat16":
        raise ValueError(
            f"the engine {engine} computes in what its weights are made for, expected "
            f"engine_precision auto, received {precision}; bfloat16 is for the engines "
            f"{' and '.join(PRECISE_ENGINES)}"
        )
    return ENGINES[engine](path)


def engine_of(path: Path) -> str:
    """The engine that a kind of weights calls for: folders are SavedModels."""
    if path.is_dir():
        return "saved_model"
    # What no engine is known for goes to Keras' reader, which says what it found instead.
    return ENGINE_OF_SUFFIX.get(path.suffix, "keras")
