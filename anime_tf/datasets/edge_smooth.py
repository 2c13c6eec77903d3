"""Edge smoothing: style pictures with blurred edges, which the discriminator learns to reject.

All else stays, so that only clear lines distinguish a style picture (CartoonGAN, CVPR 2018, section
3.2; AnimeGAN keeps it).
"""

from __future__ import annotations

import json
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from absl import logging

from anime_tf.datasets.config import RESAMPLINGS
from anime_tf.io import pictures
from anime_tf.io.atomic import atomic_folder
from anime_tf.io.folders import SMOOTH_RECORD, by_stem, list_folder
from anime_tf.io.geometry import resize
from anime_tf.io.terminal import Progress

KERNEL_SIDE = 5  # side of the Gaussian, and of the square that dilates the edges
CANNY_THRESHOLDS = (100, 200)
_STRIP = 32  # rows at a time, because the float64 sums take over 8 times the picture's memory


def smooth_edges(picture_u8: np.ndarray, size_hw: tuple[int, int] | None) -> np.ndarray:
    """Blur a picture along its edges, bit for bit as the original implementation.

    Converts the full-size picture to gray, resizes both (bilinear), dilates the Canny edges of the
    gray by a 5x5 square, and there replaces the picture by its 5x5 Gaussian (reflected at the
    border), truncated to uint8.

    Args:
        picture_u8: (height, width, 3) RGB uint8; anything else is a ValueError.
        size_hw: Height and width of the result; None for the picture's own.

    Reference: edge-smoothing tool of AnimeGAN's and AnimeGANv2's authors.
    """
    if picture_u8.dtype != np.uint8 or picture_u8.ndim != 3 or picture_u8.shape[2] != 3:
        raise ValueError(
            f"expected an RGB uint8 picture (height, width, 3), got {picture_u8.dtype} "
            f"{picture_u8.shape}"
        )
    gray = cv2.cvtColor(np.ascontiguousarray(picture_u8), cv2.COLOR_RGB2GRAY)
    if size_hw is not None and size_hw != picture_u8.shape[:2]:
        picture_u8 = cv2.resize(picture_u8, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
        gray = cv2.resize(gray, size_hw[::-1], interpolation=cv2.INTER_LINEAR)
    edges = cv2.Canny(gray, *CANNY_THRESHOLDS)
    wide = cv2.dilate(edges, np.ones((KERNEL_SIDE, KERNEL_SIDE), np.uint8))
    return np.where(wide[..., None] != 0, _gaussian(picture_u8), picture_u8)


def _gaussian(picture_u8: np.ndarray) -> np.ndarray:
    """Apply the 5x5 Gaussian with reflected borders, truncated to uint8."""
    column = cv2.getGaussianKernel(KERNEL_SIDE, 0)
    weights = (column * column.T).ravel()
    height, width = picture_u8.shape[:2]
    radius = KERNEL_SIDE // 2
    padded = np.pad(picture_u8, ((radius, radius), (radius, radius), (0, 0)), "reflect")
    blurred = np.empty_like(picture_u8)
    for top in range(0, height, _STRIP):
        rows = min(_STRIP, height - top)
        strip = padded[top : top + rows + 2 * radius].astype(np.float64)
        products = [
            strip[i // KERNEL_SIDE :][:rows, i % KERNEL_SIDE :][:, :width] * weights[i]
            for i in range(KERNEL_SIDE * KERNEL_SIDE)
        ]
        # The weights add up to one except for rounding, so on a flat area truncation depends on the
        # order of the sum. This is numpy's order for 25 numbers, as in the original: eight partial
        # sums, added in pairs, then the remaining number.
        part = [products[i] + products[i + 8] + products[i + 16] for i in range(8)]
        pairs = [part[i] + part[i + 1] for i in (0, 2, 4, 6)]
        total = (pairs[0] + pairs[1]) + (pairs[2] + pairs[3]) + products[24]
        blurred[top : top + rows] = total.astype(np.uint8)
    return blurred


@dataclass(frozen=True)
class SmoothReport:
    """Result of `smooth_folder`."""

    folder: Path
    written: int  # number of written pictures
    skipped: dict[str, str]  # name of an unreadable picture within the style folder -> reason


def smooth_folder(
    style_dir: str | os.PathLike[str],
    smooth_dir: str | os.PathLike[str],
    size_hw: tuple[int, int] | None,
    *,
    workers: int | None = None,
    resampling: str = "area",
    overwrite: bool = False,
) -> SmoothReport:
    """Make the smooth half of a style data set.

    Writes each picture as a PNG of the same name, and `SMOOTH_RECORD` with the size and the skipped
    pictures. Unreadable pictures are logged and skipped. The folder appears when it is complete.

    Args:
        style_dir: Folder of the style pictures.
        smooth_dir: Folder to write.
        size_hw: Height and width of the results, those of training; None keeps each picture's own,
            for training on crops.
        workers: Number of threads; None for one per CPU.
        resampling: "area" resizes by area averages, as training resizes the style pictures, so that
            only edges distinguish the two. "linear" resizes within `smooth_edges`, as the original
            implementation does.
        overwrite: Whether to replace a `smooth_dir` that this function made.

    Raises:
        FileNotFoundError: `style_dir` is missing or holds no pictures.
        FileExistsError: `smooth_dir` is not empty, and `overwrite` is not set or this function did
            not make it.
        ValueError: No picture is readable, two differ only in the suffix, or an argument is out of
            range.
    """
    style_dir, smooth_dir = Path(style_dir), Path(smooth_dir)
    if resampling not in RESAMPLINGS:
        words = ", ".join(RESAMPLINGS)
        raise ValueError(f"resampling: expected one of {words}, got {resampling!r}")
    if size_hw is not None and min(size_hw) < 1:
        raise ValueError(f"expected a size of at least 1x1, got {size_hw}")
    listing = list_folder(style_dir)
    listing.log()
    sources = by_stem(listing.pictures, style_dir)
    _check_target(smooth_dir, overwrite)
    with atomic_folder(smooth_dir, replace=True, durable=False) as temporary:
        skipped = _smooth_all(sources, temporary, size_hw, resampling, workers)
        written = len(sources) - len(skipped)
        skipped.update(listing.unreadable)
        if not written:
            count = len(skipped)
            raise ValueError(
                f"{style_dir}: expected readable pictures, got {count} unreadable ones"
            )
        names = {path.relative_to(style_dir).as_posix(): reason for path, reason in skipped.items()}
        record = {
            "size_hw": size_hw,
            "resampling": None if size_hw is None else resampling,
            "pictures": written,
            "skipped": names,
        }
        text = json.dumps(record, indent=2, ensure_ascii=False) + "\n"
        (temporary / SMOOTH_RECORD).write_text(text, encoding="utf-8")
    return SmoothReport(smooth_dir, written, names)


def _check_target(smooth_dir: Path, overwrite: bool) -> None:
    if not smooth_dir.exists() or (smooth_dir.is_dir() and not any(smooth_dir.iterdir())):
        return
    if not (smooth_dir / SMOOTH_RECORD).is_file():
        # It may be the only copy.
        raise FileExistsError(
            f"{smooth_dir}: expected a folder made by smoothing, got a folder without "
            f"{SMOOTH_RECORD}; remove it, or name another folder"
        )
    if not overwrite:
        raise FileExistsError(f"{smooth_dir}: exists already; remove it, or overwrite it")


def _smooth_all(
    sources: dict[str, Path],
    target_dir: Path,
    size_hw: tuple[int, int] | None,
    resampling: str,
    workers: int | None,
) -> dict[Path, str]:
    """Write the smooth picture of each source; return the unreadable ones with reasons."""

    def smooth_one(stem: str, path: Path) -> str | None:
        try:
            rgb = pictures.read_picture(path).rgb_u8
        except ValueError as error:
            return str(error)
        if size_hw is not None and resampling == "area":
            rgb = resize(rgb, size_hw)
        target = target_dir / f"{stem}.png"
        target.parent.mkdir(parents=True, exist_ok=True)
        pictures.write_picture(target, smooth_edges(rgb, size_hw))
        return None

    skipped = {}
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)
    try:
        jobs = {path: pool.submit(smooth_one, stem, path) for stem, path in sources.items()}
        progress = Progress(len(jobs), "pictures", "smoothing")
        for path, job in progress.track(jobs.items()):
            reason = job.result()
            if reason is not None:
                skipped[path] = reason
                logging.warning("skipped: %s", reason)
    finally:
        pool.shutdown(cancel_futures=True)
    return skipped
