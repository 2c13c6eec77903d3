"""Settings of `Stylizer` and of stylizing files."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from anime_tf.config import Config, setting

# names of the runtimes, the keys of `engines.factory.ENGINES`, whose import is slow
ENGINES = ("keras", "saved_model", "tflite", "onnx", "openvino")

# number types that an engine computes in; "auto" lets it choose
PRECISIONS = ("auto", "float32", "bfloat16")

TILE_MODES = ("auto", "never")

MIN_PITCH = 3  # smallest distance between the dots of a screentone in pixels; closer ones merge
MIN_TILE = 64  # smallest side of a tile in pixels; smaller ones are nearly all margin


def check_tile(value: Any) -> str | int:
    """Return a tile mode, or a side in pixels from a number or a text.

    Raises:
        ValueError: Neither of them.
    """
    side = _pixels(value)
    if side is not None and side >= MIN_TILE:
        return side
    if value in TILE_MODES:
        return value
    raise ValueError(f"expected {', '.join(TILE_MODES)}, or at least {MIN_TILE} pixels")


def check_pitch(value: Any) -> int:
    """Return a distance between the dots of a screentone in pixels, or 0 for none.

    Raises:
        ValueError: Neither of them.
    """
    pitch = 0 if value == 0 else _pixels(value)
    if pitch is not None and (pitch == 0 or pitch >= MIN_PITCH):
        return pitch
    raise ValueError(f"expected 0 for none, or at least {MIN_PITCH} pixels")


def _pixels(value: Any) -> int | None:
    """Return a whole number from itself or a text; None from anything else."""
    if isinstance(value, str) and value.isdecimal():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


@dataclass(frozen=True)
class StylizerConfig(Config):
    """Settings of `Stylizer`.

    Attributes:
        weights: Name of a built-in style, or path of a .keras file, a SavedModel folder, or a
            .tflite or .onnx file.
        engine: Runtime of the network. auto takes the fastest on this machine, measured when a
            network first runs.
        engine_precision: Number type of the engines keras and openvino. auto is float32, or, with
            the engines auto and openvino, bfloat16 on CPUs that compute in it, where the difference
            is too small to see.
        strength: Strength of the style, from 0, the photo, to 1, the network's output.
        match_brightness: Give each picture the mean luma of its photo.
        keep_color: Keep the photo's chroma under the luma of the result.
        tile: Tiling of large pictures. auto tiles, without seams, those that may not fit into free
            memory, where the weights allow it; never runs every picture whole; a number is the
            side of the tiles in pixels, for all larger pictures.
        max_side: Shrink pictures whose longer side has more pixels; the result keeps the smaller
            size. 0 is no limit.
        dtype: Type of the result: uint8, uint16, or float32 in 0..1; None for the photo's type.
            The network's output is rounded to it once.
        trust_weights: Run a SavedModel with any operations. Without it only those are accepted that
            export writes: others can read and write files, and run programs.
        ema_statistics: Let auto prefer an engine that supports `Stylizer.stylize_ema`.
    """

    weights: str | os.PathLike[str] = setting("cel")
    engine: str = setting("auto", choices=("auto", *ENGINES))
    engine_precision: str = setting("auto", choices=PRECISIONS)
    strength: float = setting(1.0, minimum=0, maximum=1)
    match_brightness: bool = setting(False)
    keep_color: bool = setting(False)
    tile: str | int = setting("auto", convert=check_tile)
    max_side: int = setting(0, minimum=0)
    dtype: str | None = setting(None, choices=("uint8", "uint16", "float32"), flag=False)
    trust_weights: bool = setting(False)
    ema_statistics: bool = setting(False, flag=False)


@dataclass(frozen=True)
class InferConfig(Config):
    """Settings of stylizing picture files.

    Attributes:
        input: A picture, a folder with all its subfolders, or a pattern in double quotes
            such as "photos/**/*.jpg".
        output: A folder, which keeps the structure of the input, or for one picture a file. A new
            folder for one picture ends in /. By default NAME_anime beside the input.
        faces: Treatment of faces. crop writes each face, upright and stylized, as NAME_face1.png
            and so on; blend stylizes faces separately and pastes them back; draw marks detected
            faces on the photo without any style.
        bits: Bits per channel of the output. 16 needs .png or .tiff.
        screentone: Print the result in black dots on white, this many pixels apart, as manga; 0 is
            off. It suits the style manga.
        compare: Write the photo and the result side by side.
        quality: Quality of JPEG and WebP files.
        allow_truncated: Decode files that are cut in the middle; their rest is gray or empty.
        keep_foreign: Refuse to replace pictures and videos that other programs wrote.
    """

    input: str = setting()
    output: str | None = setting(None)
    faces: str = setting("off", choices=("off", "crop", "blend", "draw"))
    bits: int = setting(8, choices=(8, 16))
    screentone: int = setting(0, convert=check_pitch)
    compare: bool = setting(False)
    quality: int = setting(95, minimum=1, maximum=100)
    allow_truncated: bool = setting(False)
    keep_foreign: bool = setting(False, flag=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.bits == 16 and self.faces != "off":
            raise ValueError(
                f"expected --faces=off with --bits=16, got --faces={self.faces}: faces have 8 bits"
            )
