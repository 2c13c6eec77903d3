"""Whether a converted archive is what it was converted from."""

from __future__ import annotations

import os
from dataclasses import dataclass

import numpy as np

from anime_tf.conversion.tables import Conversion
from anime_tf.models.archive import load_generator

PICTURE_LIMIT = 2e-4
"""In [-1, 1]: two implementations add in another order, through up to 30 norms; 1e-4 was seen. A
wrong epsilon, padding or resize is off by 1e-3 and more, a fortieth of a grey level by no more."""

SIZE = (64, 96)
"""Height and width of the picture, pixels; each a multiple of every network's stride."""


@dataclass(frozen=True)
class Verified:
    """How far an archive is from its source.

    Attributes:
        told: What was compared and found, in words.
        failure: What is further off than it may be, in words; empty where all is well.
    """

    told: str
    failure: str = ""


def picture() -> np.ndarray:
    """A test picture (1, height, width, 3) in [-1, 1]: waves of colour with a hard-edged patch."""
    y, x = np.mgrid[: SIZE[0], : SIZE[1]].astype(np.float32)
    waves = [np.sin(x * a + y * b) for a, b in ((0.11, 0.05), (0.03, 0.17), (0.07, -0.09))]
    result = 0.7 * np.stack(waves, axis=-1)
    result[16:32, 32:56] = (0.8, -0.7, -0.5)
    return result[None]


def verify(archive: str | os.PathLike[str], conversion: Conversion) -> Verified:
    """Reads an archive back and compares it with what it was converted from.

    Args:
        archive: The archive that was written.
        conversion: What was converted.

    Returns:
        What was found. Weights must be equal to the last bit; a picture may differ by
        `PICTURE_LIMIT`.
    """
    model = load_generator(archive)
    found = {weight.path.partition("/")[2]: weight.numpy() for weight in model.weights}
    wrong = [
        name
        for name, value in conversion.values.items()
        if name not in found or not np.array_equal(found[name], value)
    ]
    if wrong or len(found) != len(conversion.values):
        return Verified("", f"{len(wrong)} weights are not those of the source ({wrong[:3]})")
    told = f"all {len(found)} weights equal the source's to the last bit"
    if conversion.run is None:
        return Verified(f"{told}; no other implementation of its network is here to compare with")
    photo = picture()
    apart = float(np.abs(np.asarray(model(photo)) - conversion.run(photo)).max())
    told += (
        f"; a picture differs by {apart:.2g} of 2 at most from what {conversion.by} make of them"
    )
    if not apart <= PICTURE_LIMIT:
        return Verified(told, f"{told}, expected no more than {PICTURE_LIMIT:g}")
    return Verified(told)
