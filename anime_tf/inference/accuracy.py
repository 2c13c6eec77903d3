"""Accuracy of engines on a test picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from anime_tf.inference import cache
from anime_tf.metrics.similarity import psnr

MIN_BFLOAT16_PSNR = 45.0  # smallest PSNR of bfloat16 to float32 in dB; below it "auto" uses float32
PROBE_SIDE = 128  # side of the picture on which that is measured, pixels
PM1_RANGE = 2.0  # range of pixels in [-1, 1], for `psnr`


def make_probe_pm1(side: int) -> np.ndarray:
    """Make (1, side, side, 3) float32 in [-1, 1]: gradients, edges and texture.

    bfloat16 loses digits on them.
    """
    y, x = np.mgrid[:side, :side] / side
    waves = np.sin(40 * x * y), np.sign(np.sin(9 * x + 4 * y)), 2 * y - 1
    texture = np.random.default_rng(0).normal(0, 0.05, (side, side, 3))
    return np.clip(np.stack(waves, -1) * 0.8 + texture, -1, 1)[None].astype(np.float32)


def is_bfloat16_accurate(
    engine: str, path: Path, run: Callable[[str, np.ndarray], np.ndarray]
) -> bool:
    """Return whether an engine's bfloat16 result is close to float32; measured once and cached.

    `run` is a function of a precision and a picture that runs the weights of `path`.
    """
    key = _cache_key(engine, path)
    decibels = cache.load_json(key)
    if not isinstance(decibels, float):
        probe = make_probe_pm1(PROBE_SIDE)
        decibels = psnr(run("bfloat16", probe), run("float32", probe), PM1_RANGE)
        cache.store_json(key, decibels)
    return decibels >= MIN_BFLOAT16_PSNR


def _cache_key(engine: str, path: Path) -> str:
    facts = [cache.digest(path), cache.versions(), cache.machine(), PROBE_SIDE]
    return cache.make_key("accuracy", engine, *facts)
