"""`TFLiteEngine`: exported TFLite models by LiteRT."""

from __future__ import annotations

import os
import threading
from typing import Any

import numpy as np

from anime_tf.errors import cannot_run, first_line, import_optional
from anime_tf.inference import cpu
from anime_tf.io.pixels import to_pm1, to_u8
from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, read_plain_file

TFLITE_IDENTIFIER = b"TFL3"  # bytes 4 to 7 of every TFLite model
# distribution to install for TFLite models; also the extra ``tflite``
LITERT_REQUIREMENT = "ai-edge-litert"


class TFLiteEngine:
    """Runs an exported ``.tflite`` model by LiteRT on all cores, one call at a time.

    A model of one size also takes smaller pictures: they are reflected at their lower and right
    edge, and cropped afterwards.

    Raises:
        FileNotFoundError: No such file.
        ValueError: A damaged model, one that export did not make, or LiteRT is not installed.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        data = read_plain_file(path, "a .tflite file", MAX_WEIGHTS_BYTES)
        self._open(data, os.fspath(path))

    @classmethod
    def from_bytes(cls, data: bytes, name: str) -> TFLiteEngine:
        """Open a model in memory; `name` identifies it in errors."""
        engine = cls.__new__(cls)
        engine._open(data, name)
        return engine

    def _open(self, data: bytes, name: str) -> None:
        # Checked here because LiteRT calls everything else damaged.
        if data[4:8] != TFLITE_IDENTIFIER:
            found = "another kind of file" if data else "an empty file"
            raise ValueError(
                f"{name}: expected a TFLite model, got {found}; make one with export.py"
            )
        interpreter_class = import_litert().Interpreter
        threads = cpu.thread_limit() or os.cpu_count()
        try:
            self._interpreter = interpreter_class(model_content=data, num_threads=threads)
            (inputs,) = self._interpreter.get_input_details()
            (outputs,) = self._interpreter.get_output_details()
        except Exception as error:  # of damaged models it raises anything
            raise ValueError(
                f"{name}: the TFLite model is truncated, damaged or not from export.py "
                f"({first_line(error)}); export it again"
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
                f"{name}: expected a TFLite model that takes and returns pictures, float32 or "
                "uint8, (n, height, width, 3) of any size or (1, height, width, 3) of one, got "
                f"{found}; make one with export.py"
            )
        self._size_hw = None if any_size else (shape[1], shape[2])
        self._is_uint8 = types == {np.uint8}
        self._name = name
        self._input, self._output = inputs["index"], outputs["index"]
        self._allocated: tuple[int, ...] | None = None  # shape of the allocated tensors
        self._lock = threading.Lock()  # an interpreter holds the tensors of one call

    def __call__(self, pictures_pm1: np.ndarray) -> np.ndarray:
        """Run the network; see `Engine`.

        Raises:
            ValueError: The pictures are larger than the only size of the model.
        """
        if self._size_hw is None:
            return self._invoke(pictures_pm1)
        height, width = pictures_pm1.shape[1:3]
        rows, columns = self._size_hw
        bottom, right = rows - height, columns - width
        if bottom < 0 or right < 0:
            # The exact quotient: a product of rounded ones may be a pixel too small.
            side = min(rows * max(height, width) // height, columns * max(height, width) // width)
            raise ValueError(
                f"{self._name}: expected pictures of up to {columns} x {rows} pixels (width x "
                f"height), got {width} x {height}; shrink this one with --max_side={side}, or "
                "export without --image_size"
            )
        padded = np.pad(pictures_pm1, ((0, 0), (0, bottom), (0, right), (0, 0)), mode="reflect")
        anime_pm1 = [self._invoke(picture[None]) for picture in padded]
        return np.concatenate(anime_pm1)[:, :height, :width]

    def _invoke(self, pictures_pm1: np.ndarray) -> np.ndarray:
        with self._lock:
            try:
                if self._allocated != pictures_pm1.shape:
                    self._allocated = None  # unknown if the allocation fails
                    if self._size_hw is None:
                        self._interpreter.resize_tensor_input(
                            self._input, pictures_pm1.shape, strict=True
                        )
                    self._interpreter.allocate_tensors()
                    self._allocated = pictures_pm1.shape
                photos = pictures_pm1.astype(np.float32)
                self._interpreter.set_tensor(
                    self._input, to_u8(photos) if self._is_uint8 else photos
                )
                self._interpreter.invoke()
                anime = self._interpreter.get_tensor(self._output)
                return to_pm1(anime) if self._is_uint8 else anime
            except RuntimeError as error:
                raise cannot_run("LiteRT", self._name, pictures_pm1.shape, error) from error


def import_litert() -> Any:
    """Import LiteRT's interpreter module; ValueError if it is not installed."""
    return import_optional(
        "ai_edge_litert.interpreter", "TFLite models need LiteRT", LITERT_REQUIREMENT
    )
