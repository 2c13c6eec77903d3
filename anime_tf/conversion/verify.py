"""Verification of a converted archive against its source."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from anime_tf.conversion.name_table import Conversion
from anime_tf.models.archive import load_generator

# Largest allowed difference of a picture in [-1, 1]. Another order of additions through up to 30
# norms causes about 1e-4; a wrong epsilon, padding or upsampling causes 1e-3 and more.
PICTURE_LIMIT = 2e-4
SIZE = (64, 96)  # of the test picture (height, width); multiples of every network's stride


@dataclass(frozen=True)
class Verification:
    """Result of a verification."""

    summary: str  # the comparisons and their results
    failure: str = ""  # the mismatch


def picture() -> np.ndarray:
    """Draw a test picture (1, height, width, 3) in [-1, 1]: color waves and a hard-edged patch."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    waves = [np.sin(x * a + y * b) for a, b in ((0.11, 0.05), (0.03, 0.17), (0.07, -0.09))]
    result = 0.7 * np.stack(waves, axis=-1)
    result[16:32, 32:56] = (0.8, -0.7, -0.5)
    return result[None]


def check_archive(archive: str | os.PathLike[str], conversion: Conversion) -> Verification:
    """Read an archive back and compare it with its source.

    Weights must be equal to the last bit; a picture may differ by `PICTURE_LIMIT` from the
    reference implementation's.
    """
    model = load_generator(archive)
    found = {weight.path.partition("/")[2]: weight.numpy() for weight in model.weights}
    wrong = [k for k, x in conversion.values.items() if not np.array_equal(found.get(k, ()), x)]
    if wrong or len(found) != len(conversion.values):
        return Verification("", f"{len(wrong)} weights differ from the source's ({wrong[:3]})")
    summary = f"all {len(found)} weights equal the source's"
    if conversion.reference is None:
        return Verification(f"{summary}; no reference implementation is available")
    photo = picture()
    difference = float(np.abs(np.asarray(model(photo)) - conversion.reference(photo)).max())
    summary += (
        f"; a picture differs by at most {difference:.2g} of 2 from {conversion.reference_name}"
    )
    if not difference <= PICTURE_LIMIT:  # NaN fails too
        return Verification(summary, f"{summary}, expected at most {PICTURE_LIMIT:g}")
    return Verification(summary)
