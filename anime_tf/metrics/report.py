"""Report that compares photos, results and pictures of a style."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.io import pictures
from anime_tf.io.folders import by_stem, find_pictures
from anime_tf.io.geometry import resize, side_by_side, stack_rows
from anime_tf.io.tables import format_table
from anime_tf.metrics.descriptors import WINDOW, describe, standardize
from anime_tf.metrics.distances import frechet_distance, gaussian_kernel, kernel_distance
from anime_tf.metrics.style import (
    ContentMetrics,
    StyleMetrics,
    content_metrics,
    style_metrics,
    to_lab,
)
from anime_tf.metrics.target import TargetMetrics, luma_gradients, target_metrics


@dataclass(frozen=True)
class NetworkMetrics:
    """Optional metrics that need pretrained weights.

    `inception`: features of a picture, (height, width, 3) RGB uint8 -> (n, features); `perceptual`:
    distance of a photo and a result of the same size, RGB uint8.
    """

    inception: Callable[[np.ndarray], np.ndarray] | None = None
    perceptual: Callable[[np.ndarray, np.ndarray], float] | None = None


@dataclass(frozen=True)
class PictureSet:
    """Pictures to measure under a name; paths of results are in the order of their photos."""

    name: str
    paths: tuple[Path, ...]

    @classmethod
    def from_folder(cls, folder: Path, name: str | None = None) -> PictureSet:
        """List the pictures of a folder and its subfolders; FileNotFoundError if there is none."""
        return cls(name or str(folder), tuple(find_pictures(folder)))

    @classmethod
    def from_results(cls, folder: Path, photos_dir: Path) -> PictureSet:
        """List the results in a folder that have the names of the photos in another.

        Raises:
            FileNotFoundError: A photo has no result of its name.
            ValueError: Two results share a name.
        """
        index = by_stem(find_pictures(folder), folder)
        stems = by_stem(find_pictures(photos_dir, log=False), photos_dir)
        missing = [stem for stem in stems if stem not in index]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise FileNotFoundError(
                f"{folder / missing[0]}{more}: expected a result with the name of each photo, got "
                f"none; stylize {photos_dir} again"
            )
        return cls(str(folder), tuple(index[stem] for stem in stems))

    def read(self) -> Iterator[np.ndarray]:
        """Yield (height, width, 3) RGB uint8; ValueError names a bad or too small file."""
        for path in self.paths:
            picture_u8 = pictures.read_picture(path).rgb_u8
            if min(picture_u8.shape[:2]) < WINDOW:
                raise ValueError(
                    f"{path}: expected a picture of at least {WINDOW}x{WINDOW} pixels, got "
                    f"{picture_u8.shape[1]}x{picture_u8.shape[0]}; remove it"
                )
            yield picture_u8


@dataclass
class _Measurements:
    """Measurements of a set, one item a picture."""

    style: list[StyleMetrics] = field(default_factory=list)
    content: list[ContentMetrics] = field(default_factory=list)
    target: list[TargetMetrics] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    windows: list[np.ndarray] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)

    def add(self, picture_u8: np.ndarray, networks: NetworkMetrics) -> np.ndarray:
        """Measure a picture by itself; returns its `to_lab`."""
        lab = to_lab(picture_u8)
        self.style.append(style_metrics(lab))
        self.windows.append(describe(lab))
        if networks.inception is not None:
            self.vectors.append(networks.inception(picture_u8))
        return lab

    def row(self, name: str) -> dict[str, Any]:
        """Medians of the measurements."""
        row = {"name": name, "pictures": len(self.style), **_medians(StyleMetrics, self.style)}
        if self.content:
            row |= _medians(ContentMetrics, self.content)
        if self.target:
            row |= _medians(TargetMetrics, self.target)
        if self.distances:
            row["perceptual"] = statistics.median(self.distances)
        return row


def evaluate(
    photos: PictureSet,
    results: Sequence[PictureSet],
    style: PictureSet | None = None,
    networks: NetworkMetrics | None = None,
    targets: PictureSet | None = None,
) -> list[dict[str, Any]]:
    """Measure photos, results (a set for each network), style pictures and targets of the photos.

    Returns:
        A row for the photos, each set of results, the targets, and the style. Every row has `name`,
        `pictures` and the medians of `StyleMetrics`; with a style, `frechet` and `kernel`, the
        distances to it by `descriptors.describe` in units of the photos' deviation. Rows of results
        and targets also have the medians of `ContentMetrics`. With targets, the photos and results
        have those of `TargetMetrics`; with networks there are `fid_inception`, `kid_inception` and
        `perceptual`.

    Raises:
        ValueError: A picture cannot be read or measured.
    """
    networks = networks or NetworkMetrics()
    paired = [photos, *results, *([targets] if targets else [])]
    sets = [*paired, *([style] if style else [])]
    measured = [_Measurements() for _ in sets]
    # Photo by photo, so that each is read and measured once for all its results.
    for photo_u8, *others_u8 in zip(*(one.read() for one in paired), strict=True):
        photo = measured[0].add(photo_u8, networks)
        for measurements, picture_u8 in zip(measured[1 : len(paired)], others_u8, strict=True):
            lab = measurements.add(picture_u8, networks)
            if picture_u8.shape != photo_u8.shape:
                lab = to_lab(resize(picture_u8, photo_u8.shape[:2]))
            measurements.content.append(content_metrics(photo, lab))
            if networks.perceptual is not None:
                measurements.distances.append(networks.perceptual(photo_u8, picture_u8))
        if targets:
            target_u8 = others_u8[-1]
            gradients = luma_gradients(target_u8)
            for measurements, picture_u8 in zip(
                measured, (photo_u8, *others_u8[:-1]), strict=False
            ):
                same_size_u8 = resize(picture_u8, target_u8.shape[:2])
                measurements.target.append(target_metrics(same_size_u8, target_u8, gradients))
    for picture_u8 in style.read() if style else ():
        measured[-1].add(picture_u8, networks)
    rows = [x.row(one.name) for x, one in zip(measured, sets, strict=True)]
    if not style:
        return rows
    windows = [np.concatenate(x.windows) for x in measured]
    windows = standardize(windows, windows[0])
    for row, features in zip(rows, windows, strict=True):
        row["frechet"] = frechet_distance(features, windows[-1])
        row["kernel"] = kernel_distance(features, windows[-1], gaussian_kernel)
    vectors = [np.concatenate(x.vectors) for x in measured if x.vectors]
    for row, features in zip(rows, vectors, strict=False):
        row["fid_inception"] = frechet_distance(features, vectors[-1])
        row["kid_inception"] = kernel_distance(features, vectors[-1])
    return rows


def format_rows(rows: Sequence[dict[str, Any]]) -> str:
    """Format rows of `evaluate` as a table, with a dash for missing metrics."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    return format_table(columns, [[_format(row.get(key)) for key in columns] for row in rows])


def contact_sheet(
    photos: PictureSet, results: Sequence[PictureSet], *, count: int, side: int
) -> np.ndarray:
    """Arrange `count` evenly chosen photos in the left column and their results beside them.

    `side` is the longer side of a picture in pixels. Returns (height, width, 3) RGB uint8.
    """
    chosen = np.linspace(0, len(photos.paths) - 1, min(count, len(photos.paths))).round()
    rows = []
    for i in sorted({int(i) for i in chosen}):
        photo = pictures.limit_side(pictures.read_picture(photos.paths[i]), side)
        row = photo.rgb_u8
        for one in results:
            result_u8 = pictures.read_picture(one.paths[i]).rgb_u8
            row = side_by_side(row, resize(result_u8, photo.size_hw))
        rows.append(row)
    return stack_rows(rows)


def _medians(kind: type, metrics: Sequence[Any]) -> dict[str, float]:
    values = [asdict(one) for one in metrics]
    return {
        field.name: statistics.median(value[field.name] for value in values)
        for field in fields(kind)
    }


def _format(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
