"""Writes the styles of the page: TFLite models of every size, for the browser.

    python deploy/web/make_styles.py
    python deploy/web/make_styles.py --weights=cel,my.keras

LiteRT.js runs models of one size only. Models of one network for different sizes are the same bytes
but for some numbers, each of which grows steadily with the height or the width: shapes, and sizes
to enlarge to. So one model is written for each style, and beside it which numbers those are: the
page writes the size of a photo into the model before it compiles it.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path

import keras
import numpy as np
from absl import app, flags

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))  # the package of this checkout

import anime_tf
from anime_tf.export.tflite import convert_tflite
from anime_tf.inference.padded_generator import PaddedGenerator
from anime_tf.models.archive import load_generator
from anime_tf.styles.builtin import BUILTIN, LICENSE_URLS, weights_path

BASE_HW = (160, 96)
"""The size that the model is written for; no side of a layer in one axis is one in the other."""

STEP = 64
"""By how much a side is enlarged to see which numbers grow with it; a multiple of every stride."""

CHECKED_HW = (96, 288)
"""What is predicted for this size must be what the converter makes of it."""

PUBLIC = Path(__file__).parent / "public" / "models"


def sized_model(model: keras.Model) -> tuple[bytes, list[list[int]]]:
    """Converts a generator to a TFLite model, and finds where its size is written.

    Args:
        model: A generator of `models.registry`.

    Returns:
        The model for `BASE_HW`, and ``[offset, axis, value, growth]`` for each little-endian int32
        of it that depends on the size: at ``offset`` bytes stands ``value``, and ``growth`` more
        for each stride that the height (axis 0) or the width (axis 1) has more than `BASE_HW`.

    Raises:
        ValueError: The models of different sizes differ by more than that.
    """
    stride = int(model.STRIDE)
    height, width = BASE_HW
    sizes_hw = (BASE_HW, (height + STEP, width), (height, width + STEP), CHECKED_HW)
    base, taller, wider, checked = (_converted(model, size_hw) for size_hw in sizes_hw)
    if len({base.size, taller.size, wider.size, checked.size}) != 1:
        raise ValueError("models of several sizes differ in length: the size cannot be rewritten")
    # The converter's hash of what it converted, 64 bits in the model's metadata, says nothing here.
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
    """The model for another size, as the page makes it: multiples of the stride."""
    words = np.frombuffer(base, "<i4").copy()
    for offset, axis, value, growth in edits:
        words[offset // 4] = value + growth * ((size_hw[axis] - BASE_HW[axis]) // stride)
    return words.tobytes()


def _converted(model: keras.Model, size_hw: tuple[int, int]) -> np.ndarray:
    """The model for one size, as int32 words that may be written to."""
    data = convert_tflite(PaddedGenerator(model, size_hw))
    return np.frombuffer(data + bytes(-len(data) % 4), "<i4").copy()


def write_styles(weights: list[str], folder: Path, code: str | None) -> dict:
    """Writes a model for each style, and ``styles.json``, which is returned.

    Args:
        weights: Names of built-in styles, or paths of ``.keras`` archives, the default first.
        folder: Where to.
        code: Address of the project's code, for the page to link to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    styles: list[Mapping[str, object]] = []
    for given in weights:
        path = weights_path(given)
        built_in = BUILTIN.get(given)
        name = (
            given
            if built_in
            else re.sub(r"[^A-Za-z0-9._-]+", "-", path.absolute().stem).strip("-.")
        )
        model = load_generator(path)
        data, edits = sized_model(model)
        (folder / f"{name}.tflite").write_bytes(data)
        license = built_in.license if built_in else "unknown: ask whoever made these weights"
        styles.append(
            {
                "name": name,
                "title": f"{name}: {built_in.description}" if built_in else name,
                "license": license,
                "license_url": LICENSE_URLS.get(license),
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
    """Writes the styles that the flags name."""
    del argv
    weights = flags.FLAGS.weights
    told = write_styles(weights, Path(flags.FLAGS.output), flags.FLAGS.code)
    for style in told["styles"]:
        print(f"{style['name']}: {style['bytes'] / 1e6:.2f} MB, {len(style['edits'])} sizes in it")


if __name__ == "__main__":
    flags.DEFINE_list(
        "weights", ["cel"], "Built-in styles or .keras archives, the first by default."
    )
    flags.DEFINE_string("output", str(PUBLIC), "The folder to write to.")
    flags.DEFINE_string("code", None, "Address of the code, for the page to link to.")
    app.run(main)
