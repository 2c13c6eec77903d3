"""Photos, results and pictures of a style, measured and set side by side."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from anime_tf.io import pictures
from anime_tf.io.folders import by_stem, find_pictures
from anime_tf.metrics.descriptors import WINDOW, describe, standardised
from anime_tf.metrics.distances import frechet_distance, gaussian, kernel_distance
from anime_tf.metrics.style import Kept, Look, kept_of, lab_of, look_of

Features = Callable[[np.ndarray], np.ndarray]
"""(height, width, 3) RGB uint8 -> (any number, features): what describes a picture."""

Likeness = Callable[[np.ndarray, np.ndarray], float]
"""A photo and a result of one size, RGB uint8 -> a distance that needs a network."""


@dataclass(frozen=True)
class Networks:
    """Measures that need weights, and are left out without.

    Attributes:
        inception: Describes a picture by InceptionV3, (1, 2048).
        perceptual: Distance of a photo and a result in a perceptual network's features.
    """

    inception: Features | None = None
    perceptual: Likeness | None = None


@dataclass(frozen=True)
class Folder:
    """Pictures to be measured.

    Attributes:
        name: What the report calls them.
        paths: Their paths; of results, in the order of the photos that they were made of.
    """

    name: str
    paths: tuple[Path, ...]

    def pictures_u8(self) -> Iterator[np.ndarray]:
        """Reads them, one after the other: (height, width, 3) RGB uint8.

        Raises:
            ValueError: One cannot be read, or is too small; names the file.
        """
        for path in self.paths:
            picture_u8 = pictures.read_picture(path).rgb_u8
            if min(picture_u8.shape[:2]) < WINDOW:
                raise ValueError(
                    f"{path}: pictures of at least {WINDOW}x{WINDOW} pixels can be measured, "
                    f"found {picture_u8.shape[0]}x{picture_u8.shape[1]}; leave it out"
                )
            yield picture_u8


def folder_of(folder: Path, name: str | None = None) -> Folder:
    """The pictures of a folder and of those in it.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
    """
    return Folder(name or str(folder), tuple(find_pictures(folder)))


def results_of(folder: Path, photos_dir: Path) -> Folder:
    """The results in a folder, one for each photo of another.

    Raises:
        FileNotFoundError: A photo has no result of its name.
        ValueError: Two share a name.
    """
    index = by_stem(find_pictures(folder), folder)
    stems = by_stem(find_pictures(photos_dir), photos_dir)
    missing = [stem for stem in stems if stem not in index]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{folder / missing[0]}{more}: expected a result of each photo under its name, found "
            f"none; stylise {photos_dir} anew"
        )
    return Folder(str(folder), tuple(index[stem] for stem in stems))


@dataclass
class _Found:
    """What was measured of the pictures of a folder so far, one item each."""

    looks: list[Look] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)
    distances: list[float] = field(default_factory=list)
    windows: list[np.ndarray] = field(default_factory=list)
    vectors: list[np.ndarray] = field(default_factory=list)

    def add(self, picture_u8: np.ndarray, networks: Networks) -> np.ndarray:
        """Measures a picture by itself; returns its `lab_of`."""
        lab = lab_of(picture_u8)
        self.looks.append(look_of(lab))
        self.windows.append(describe(lab))
        if networks.inception is not None:
            self.vectors.append(networks.inception(picture_u8))
        return lab

    def row(self, name: str) -> dict[str, Any]:
        """The medians of all that was measured picture by picture."""
        row = {"name": name, "pictures": len(self.looks), **_medians(Look, self.looks)}
        if self.kept:
            row |= _medians(Kept, self.kept)
        if self.distances:
            row["perceptual"] = statistics.median(self.distances)
        return row


def evaluate(
    photos: Folder, results: Sequence[Folder], style: Folder, networks: Networks | None = None
) -> list[dict[str, Any]]:
    """Measures photos, results and style pictures.

    Args:
        photos: The photos.
        results: What was made of them, by one or by several networks.
        style: Pictures in the style.
        networks: Measures that need weights.

    Returns:
        A row for the photos, for each of the results, and for the style: `name`, `pictures`, the
        medians of `Look`, `frechet` and `kernel` to the style by `descriptors.describe` in units of
        the photos' deviation, and of results also the medians of `Kept`; with networks
        `fid_inception`, `kid_inception` and `perceptual`.

    Raises:
        ValueError: A picture cannot be read or measured.
    """
    networks = networks or Networks()
    folders = (photos, *results, style)
    found = [_Found() for _ in folders]
    # Photo by photo, so that each is read and measured once for all that was made of it.
    readers = [folder.pictures_u8() for folder in folders[:-1]]
    for photo_u8, *results_u8 in zip(*readers, strict=True):
        photo = found[0].add(photo_u8, networks)
        for measured, result_u8 in zip(found[1:-1], results_u8, strict=True):
            result = measured.add(result_u8, networks)
            if result_u8.shape != photo_u8.shape:
                result = lab_of(pictures.resize(result_u8, photo_u8.shape[:2]))
            measured.kept.append(kept_of(photo, result))
            if networks.perceptual is not None:
                measured.distances.append(networks.perceptual(photo_u8, result_u8))
    for picture_u8 in style.pictures_u8():
        found[-1].add(picture_u8, networks)
    rows = [measured.row(folder.name) for measured, folder in zip(found, folders, strict=True)]
    deep = [np.concatenate(measured.vectors) for measured in found if measured.vectors]
    described = [np.concatenate(measured.windows) for measured in found]
    described = standardised(described, described[0])
    for row, features in zip(rows, described, strict=True):
        row["frechet"] = frechet_distance(features, described[-1])
        row["kernel"] = kernel_distance(features, described[-1], gaussian)
    for row, features in zip(rows, deep, strict=False):
        row["fid_inception"] = frechet_distance(features, deep[-1])
        row["kid_inception"] = kernel_distance(features, deep[-1])
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows as aligned text, with a dash for what was not measured."""
    columns = list(dict.fromkeys(key for row in rows for key in row))
    lines = [columns] + [[_shown(row.get(key)) for key in columns] for row in rows]
    widths = [max(len(line[i]) for line in lines) for i in range(len(columns))]
    return "\n".join(
        "  ".join(
            cell.rjust(width) if i else cell.ljust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )


def contact_sheet(
    photos: Folder, results: Sequence[Folder], *, count: int, side: int
) -> np.ndarray:
    """Photos on the left, and beside each what was made of it.

    Args:
        photos: The photos.
        results: The results, a column each.
        count: How many photos, evenly taken from all.
        side: Longer side of a picture in the sheet, pixels.

    Returns:
        (height, width, 3) RGB uint8.
    """
    chosen = np.linspace(0, len(photos.paths) - 1, min(count, len(photos.paths))).round()
    rows = []
    for i in sorted({int(i) for i in chosen}):
        photo = pictures.limit_side(pictures.read_picture(photos.paths[i]), side)
        row = photo.rgb_u8
        for folder in results:
            result_u8 = pictures.read_picture(folder.paths[i]).rgb_u8
            row = pictures.side_by_side(row, pictures.resize(result_u8, photo.size_hw))
        rows.append(row)
    return pictures.stacked(rows)


def _medians(kind: type, measures: Sequence[Any]) -> dict[str, float]:
    values = [asdict(measure) for measure in measures]
    return {
        field.name: statistics.median(value[field.name] for value in values)
        for field in fields(kind)
    }


def _shown(value: Any) -> str:
    if value is None:
        return "-"
    if not isinstance(value, float):
        return str(value)
    return f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"
