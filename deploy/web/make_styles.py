"""Write TFLite models of variable size for the static page.

    python deploy/web/make_styles.py
    python deploy/web/make_styles.py --weights=cel,my.keras

LiteRT.js runs models of one size only. The models of a network for different sizes are identical
except for some numbers (shapes and sizes of upsampling), each of which grows linearly with the
height or the width. So one model is written for each style, with the positions of these numbers;
the page writes the size of a photo into the model before compiling it.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # no logs of TensorFlow's converters

import keras
import numpy as np
from absl import app, flags, logging

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the package of this checkout

import anime_tf
from anime_tf.export.tflite import convert_tflite
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.models.archive import load_generator
from anime_tf.styles.registry import style_of, weights_path
from anime_tf.web.styles import UNKNOWN_LICENSE

BASE_HW = (160, 96)
"""Size of the model; no layer has the same height as another one's width."""

STEP = 64
"""Increase of a side that reveals the numbers that depend on it; a multiple of every stride."""

CHECKED_HW = (96, 288)
"""Size whose prediction is verified by a conversion."""

PUBLIC = Path(__file__).parent / "public" / "models"


def sized_model(model: keras.Model) -> tuple[bytes, list[list[int]]]:
    """Convert a generator to a TFLite model, and find the numbers that depend on its size.

    Args:
        model: A generator of `models.registry`.

    Returns:
        The model for `BASE_HW`, and ``[offset, axis, value, growth]`` for each little-endian int32
        that depends on the size: its offset in bytes, its value for `BASE_HW`, and its growth for
        each stride that is added to the height (axis 0) or the width (axis 1).

    Raises:
        ValueError: The models of different sizes differ in other numbers.
    """
    stride = int(model.STRIDE)
    height, width = BASE_HW
    sizes_hw = (BASE_HW, (height + STEP, width), (height, width + STEP), CHECKED_HW)
    base, taller, wider, checked = (_converted(model, size_hw) for size_hw in sizes_hw)
    if len({base.size, taller.size, wider.size, checked.size}) != 1:
        raise ValueError("models of several sizes differ in length: the size cannot be rewritten")
    # Ignores the converter's 64-bit hash in the metadata.
    hashed = np.flatnonzero((base != taller) & (base != wider))
    if hashed.size > 2 or np.any(np.diff(hashed) != 1):
        raise ValueError("numbers of the model depend on height and width at once")
    for words in (base, taller, wider, checked):
        words[hashed] = 0

    edits: list[list[int]] = []
    for axis, other in enumerate((taller, wider)):
        for i in np.flatnonzero(base != other):
            growth, rest = divmod(int(other[i]) - int(base[i]), STEP // stride)
            if rest or growth <= 0:
                raise ValueError(f"the number at byte {4 * i} of the model does not grow steadily")
            edits.append([int(4 * i), axis, int(base[i]), growth])
    if resized(base.tobytes(), edits, CHECKED_HW, stride) != checked.tobytes():
        raise ValueError(f"the model for {CHECKED_HW} is not the one that its numbers foretell")
    return base.tobytes(), edits


def resized(base: bytes, edits: list[list[int]], size_hw: tuple[int, int], stride: int) -> bytes:
    """Return the model for another size, multiples of the stride, as the page does."""
    words = np.frombuffer(base, "<i4").copy()
    for offset, axis, value, growth in edits:
        words[offset // 4] = value + growth * ((size_hw[axis] - BASE_HW[axis]) // stride)
    return words.tobytes()


def _converted(model: keras.Model, size_hw: tuple[int, int]) -> np.ndarray:
    """Return the model for one size as writable int32 words."""
    data = convert_tflite(PaddedGenerator(model, size_hw))
    return np.frombuffer(data + bytes(-len(data) % 4), "<i4").copy()


def write_styles(weights: list[str], folder: Path, code: str | None) -> dict:
    """Write a model for each style, and ``styles.json``, whose content is returned.

    Args:
        weights: Names of styles, or paths of ``.keras`` archives, the default first.
        folder: Output folder.
        code: Address of the source code, linked on the page.
    """
    folder.mkdir(parents=True, exist_ok=True)
    styles: list[Mapping[str, object]] = []
    for given in weights:
        path = weights_path(given)
        known = style_of(given)
        name = re.sub(r"[^A-Za-z0-9._-]+", "-", path.absolute().stem).strip("-.")
        model = load_generator(path)
        data, edits = sized_model(model)
        (folder / f"{name}.tflite").write_bytes(data)
        styles.append(
            {
                "name": name,
                "title": known.title if known else name,
                "license": known.license.name if known else UNKNOWN_LICENSE,
                "license_url": (known.license.url if known else "") or None,
                "default": not styles,
                "file": f"{name}.tflite",
                "bytes": len(data),
                "base_hw": BASE_HW,
                "stride": int(model.STRIDE),
                "minimum": int(model.MINIMUM_SIDE),
                "edits": edits,
            }
        )
    told = {"styles": styles, "code": code, "version": anime_tf.__version__}
    (folder / "styles.json").write_text(json.dumps(told) + "\n", encoding="utf-8")
    return told


def main(argv: list[str]) -> None:
    """Write the styles of the flags."""
    del argv
    logging.set_verbosity(logging.ERROR)  # likewise
    weights = flags.FLAGS.weights
    told = write_styles(weights, Path(flags.FLAGS.output), flags.FLAGS.code)
    for style in told["styles"]:
        size = f"{style['bytes'] / 1e6:.2f} MB, {len(style['edits'])} numbers depend on the size"
        print(f"{style['name']}: {size}")
    print(f"written to {flags.FLAGS.output}; next: npm run build")


if __name__ == "__main__":
    flags.DEFINE_list(
        "weights", ["cel_live"], "Built-in styles or .keras archives; the first is the default."
    )
    flags.DEFINE_string("output", str(PUBLIC), "Output folder.")
    flags.DEFINE_string("code", None, "Address of the source code, linked on the page.")
    app.run(main)
