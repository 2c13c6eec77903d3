"""Settings of an export."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from anime_tf.config import Config, setting

FORMATS = ("saved_model", "tflite", "onnx")  # keys of `exporter.FORMATS`

QUANTIZATIONS = ("none", "float16", "dynamic", "int8")
"""Keys of `tflite.QUANTIZATIONS`, whose import needs TensorFlow."""

PRECISIONS = ("float32", "mixed_bfloat16", "mixed_float16")
"""Keras dtype policies of a SavedModel; its weights stay float32."""


def parse_size(value: Any) -> tuple[int, int] | None:
    """Return height and width from a pair, or from a text ``N`` or ``HEIGHTxWIDTH``.

    Raises:
        ValueError: Another text.
    """
    sides = value.lower().split("x") if isinstance(value, str) else [str(side) for side in value]
    if len(sides) > 2 or not all(side.isdecimal() and int(side) for side in sides):
        raise ValueError("expected N or HEIGHTxWIDTH in pixels, such as 360x640 for 640 wide")
    return int(sides[0]), int(sides[-1])


@dataclass(frozen=True)
class ExportConfig(Config):
    """Settings of an export.

    Attributes:
        weights: Name of a built-in style, or path of a .keras file.
        output: Folder to write; an earlier export there is replaced as a whole.
        formats: Formats to write, with commas between.
        quantize: Storage of the TFLite model's weights: float32 (none), half the size (float16), a
            quarter with 8-bit arithmetic where possible (dynamic), or 8-bit convolutions with
            calibrated scales and uint8 pixels in and out (int8, with --calibration).
        calibration: Folder of typical photos to calibrate int8 on.
        freeze: Folder of typical photos whose norm statistics are frozen into the model. It then
            consists of convolutions alone: faster, and without flicker in videos; pictures unlike
            these photos look different.
        image_size: One size of pictures for the TFLite model, N or HEIGHTxWIDTH pixels (360x640
            for pictures 640 wide), as the accelerators of phones and browsers need it.
        verify: Read each part back, compare it with the network in two sizes and two batches, and
            discard it if it differs too much.
        precision: Arithmetic of the SavedModel. mixed_bfloat16 is faster on CPUs that support it,
            mixed_float16 on GPUs; the other formats need float32.
        max_pixels: Largest picture file that the SavedModel accepts in pixels, each of which takes
            up to 2.2 KB of memory; 16777216, 4096x4096, by default.
        style_name: Name of the style on the model card; by default that of the weights.
        license: License of the weights on the model card, such as CC-BY-4.0.
        training_data: Training data on the model card, in one line.
    """

    output: str | os.PathLike[str] = setting()
    weights: str | os.PathLike[str] = setting("cel")
    formats: tuple[str, ...] = setting(("saved_model", "tflite"), choices=FORMATS)
    quantize: str = setting("none", choices=QUANTIZATIONS)
    calibration: str | os.PathLike[str] | None = setting(None)
    freeze: str | os.PathLike[str] | None = setting(None)
    image_size: tuple[int, int] | None = setting(None, convert=parse_size)
    verify: bool = setting(True)
    precision: str = setting("float32", choices=PRECISIONS)
    max_pixels: int | None = setting(None, minimum=1)
    style_name: str = setting("")
    license: str = setting("")
    training_data: str = setting("")

    def __post_init__(self) -> None:
        super().__post_init__()
        has_tflite = "tflite" in self.formats
        if self.quantize != "none" and not has_tflite:
            raise ValueError(f"quantize={self.quantize}: expected tflite among the formats")
        if self.image_size is not None and not has_tflite:
            raise ValueError("image_size: expected tflite among the formats")
        if self.quantize == "int8" and self.calibration is None:
            raise ValueError("quantize=int8: expected calibration, a folder of photos, got none")
        if self.quantize != "int8" and self.calibration is not None:
            raise ValueError(f"calibration: expected quantize=int8, got {self.quantize}")
        others = [name for name in self.formats if name != "saved_model"]
        if self.precision != "float32" and others:
            raise ValueError(
                f"precision={self.precision}: expected saved_model alone; export "
                f"{', '.join(others)} into another folder"
            )
