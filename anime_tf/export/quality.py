"""How alike an export's pictures and its network's are, on photos: what docs/export.md tables."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from anime_tf.inference.engines.engine import Engine
from anime_tf.io.pictures import to_pm1, to_u8
from anime_tf.metrics.similarity import psnr, ssim_u8


@dataclass(frozen=True)
class Likeness:
    """How alike two engines' pictures of the same photos are; pixels are 0..255.

    Attributes:
        psnr_median: Median over the photos of the peak signal-to-noise ratio, dB; infinite where
            pictures are equal.
        psnr_least: That of the worst photo.
        ssim_mean: Mean over the photos of the structural similarity.
        ssim_least: That of the worst photo.
        largest: The largest difference of one value, grey levels.
    """

    psnr_median: float
    psnr_least: float
    ssim_mean: float
    ssim_least: float
    largest: int


def likeness(engine: Engine, reference: Engine, photos_u8: Sequence[np.ndarray]) -> Likeness:
    """Stylises photos by an export and by its network, and compares their pixels.

    Args:
        engine: The export, loaded as for stylising.
        reference: The network.
        photos_u8: (height, width, 3) uint8 RGB each, sides as they are.

    Returns:
        How alike the pictures are.

    Raises:
        ValueError: No photos.
    """
    if not photos_u8:
        raise ValueError("expected photos to compare on, received none")
    ratios, similarities, differences = [], [], []
    for photo_u8 in photos_u8:
        photo_pm1 = to_pm1(photo_u8[None])
        picture, expected = to_u8(engine(photo_pm1)[0]), to_u8(reference(photo_pm1)[0])
        ratios.append(psnr(picture, expected, span=255))
        similarities.append(ssim_u8(picture, expected))
        differences.append(int(np.abs(picture.astype(int) - expected).max()))
    return Likeness(
        psnr_median=statistics.median(ratios),
        psnr_least=min(ratios),
        ssim_mean=float(np.mean(similarities)),
        ssim_least=min(similarities),
        largest=max(differences),
    )
