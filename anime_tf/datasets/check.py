"""Checks of a training data set."""

from __future__ import annotations

import hashlib
import os
import shutil
import statistics
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from anime_tf.datasets.edge_smooth import smooth_edges
from anime_tf.datasets.extract.duplicates import HashIndex
from anime_tf.datasets.extract.quality import QualityLimits, measure
from anime_tf.io import pictures
from anime_tf.io.folders import Listing, by_stem, list_folder, relative_stem
from anime_tf.io.geometry import resize
from anime_tf.io.terminal import Progress
from anime_tf.metrics.perceptual_hash import perceptual_hash

# Smallest reported distance of two folders' mean (a, b) in CIE Lab. An eye just sees 2.3 side by
# side. A network learns the cast with the style: photos come out yellowish or bluish.
COLOR_CAST = 8.0
GRAY_CHROMA = 4.0  # mean length of (a, b) in CIE Lab, below which a picture counts as gray
GRAY_SHARE = 0.1  # smallest reported share of gray pictures in a folder
NEAR_BITS = 10  # near-duplicates' perceptual hashes differ in fewer bits, as for `frames`

_REQUIRED = ("photos", "style", "smooth")
_COLOR_SIDE = 64  # pixels of the thumbnails that colors are averaged over
_SMOOTH_SAMPLES = 8  # style pictures that are smoothed to estimate disk usage
_LISTED = 10  # names of one kind in the text; JSON has all


@dataclass(frozen=True)
class PictureFacts:
    """Measurements of a picture."""

    path: Path
    size_hw: tuple[int, int]
    digest: bytes  # hash of the pixels
    hash: int  # perceptual hash
    rgb: tuple[float, ...]  # mean of each channel, 0..255
    lab: tuple[float, ...]  # mean L (0..100), a and b (CIE Lab, D65)
    chroma: float  # mean length of (a, b)
    fault: str | None  # result of `QualityLimits.fault`


@dataclass(frozen=True)
class FolderFacts:
    """Readable pictures of a folder of a data set in the order of training, and path -> reason."""

    folder: Path
    pictures: tuple[PictureFacts, ...]
    unreadable: dict[Path, str]

    @property
    def paths(self) -> list[Path]:
        """Paths of all pictures."""
        return [*(facts.path for facts in self.pictures), *self.unreadable]

    def stem(self, path: Path) -> str:
        """Name that a picture shares with its counterparts in other folders."""
        return relative_stem(path, self.folder)


@dataclass(frozen=True)
class DatasetReport:
    """Result of `check_dataset`.

    Attributes:
        facts: All values, for JSON.
        problems: Lines about what makes training fail or skip pictures.
        remarks: Lines about what may make the result worse.
    """

    facts: dict[str, Any]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    def text(self) -> str:
        """Format the report for people."""
        lines = []
        for name, folder in self.facts["folders"].items():
            if name in _REQUIRED or folder["pictures"] or folder["unreadable"]:
                lines.append(f"{name}: {_folder_line(folder)}")
        for key, title in (("smooth_disk", "smooth pictures"), ("color", "colors")):
            if self.facts[key]:
                lines.append(f"{title}: {self.facts[key]['summary']}")
        lines += [f"problem: {line}" for line in self.problems]
        lines += [f"remark: {line}" for line in self.remarks]
        if not self.problems:
            lines.append("ready for training" + (", with these remarks" if self.remarks else ""))
        return "\n".join(lines)


def check_dataset(
    dataset_dir: str | os.PathLike[str],
    style: str,
    *,
    image_size: int = 256,
    workers: int | None = None,
) -> DatasetReport:
    """Check every picture of a data set.

    Problems: a folder without pictures, unreadable pictures, smooth or paired pictures that are
    missing or of another size. Remarks: pictures smaller than `image_size`, near-black, near-blank
    or blurred ones, duplicates, a color cast, many gray pictures.

    Args:
        dataset_dir: The folder with ``train_photo`` and the style's folder.
        style: Name of the style's folder.
        image_size: Side of the training pictures.
        workers: Number of threads; None for one per CPU.

    Raises:
        FileNotFoundError: There are neither photos nor style pictures.
        ValueError: `image_size` is below 1.
    """
    if image_size < 1:
        raise ValueError(f"expected an image_size of at least 1, got {image_size}")
    root = Path(dataset_dir)
    paths = {
        "photos": root / "train_photo",
        "style": root / style / "style",
        "smooth": root / style / "smooth",
        "paired": root / style / "paired",
        "val": root / "val",
    }
    listings = {key: _list(folder) for key, folder in paths.items()}
    names = {key: listing.pictures for key, listing in listings.items()}
    if not names["photos"] and not names["style"]:
        raise FileNotFoundError(
            f"{root}: expected photos in {paths['photos']} and style pictures in "
            f"{paths['style']}, got neither"
        )
    folders = {key: _read_folder(paths[key], files, workers) for key, files in names.items()}
    checker = _Checker(folders, image_size)
    checker.run()
    for listing in listings.values():
        listing.log_ignored()
        checker.problems += [
            f"unreadable: {path}: {why}" for path, why in listing.unreadable.items()
        ]
    facts = {
        "dataset_dir": str(root),
        "style": style,
        "image_size": image_size,
        "folders": {key: _folder_facts(folder, image_size) for key, folder in folders.items()},
        "duplicates": checker.duplicates,
        "smooth_disk": checker.smooth_disk,
        "color": checker.color,
        "problems": checker.problems,
        "remarks": checker.remarks,
    }
    return DatasetReport(facts, tuple(checker.problems), tuple(checker.remarks))


def measure_picture(path: Path) -> PictureFacts:
    """Read and measure a picture; raises ValueError or OSError if it cannot be read."""
    rgb = pictures.read_picture(path).rgb_u8
    small = resize(rgb, (_COLOR_SIDE, _COLOR_SIDE))
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab).reshape(-1, 3)
    digest = hashlib.blake2b(b"%d %d " % rgb.shape[:2] + rgb.tobytes(), digest_size=16)
    return PictureFacts(
        path,
        (rgb.shape[0], rgb.shape[1]),
        digest.digest(),
        perceptual_hash(rgb),
        tuple(small.reshape(-1, 3).mean(axis=0).tolist()),
        tuple(lab.mean(axis=0, dtype=np.float64).tolist()),
        float(np.hypot(lab[:, 1], lab[:, 2]).mean(dtype=np.float64)),
        QualityLimits().fault(measure(rgb)),
    )


def _list(folder: Path) -> Listing:
    return list_folder(folder) if folder.is_dir() else Listing(())


def _read_folder(folder: Path, paths: Sequence[Path], workers: int | None) -> FolderFacts:
    def read(path: Path) -> PictureFacts | str:
        try:
            return measure_picture(path)
        except (ValueError, OSError) as error:
            return str(error)

    readable, unreadable = [], {}
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        results = Progress(len(paths), "pictures", folder.name).track(pool.map(read, paths))
        for path, result in zip(paths, results, strict=True):
            if isinstance(result, str):
                unreadable[path] = result
            else:
                readable.append(result)
    return FolderFacts(folder, tuple(readable), unreadable)


class _Checker:
    """Collects problems and remarks."""

    def __init__(self, folders: dict[str, FolderFacts], image_size: int) -> None:
        self.folders = folders
        self.image_size = image_size
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.duplicates: dict[str, list[list[str]]] = {}
        self.smooth_disk: dict[str, Any] | None = None
        self.color: dict[str, Any] | None = None

    def run(self) -> None:
        for key in ("photos", "style"):
            if not self.folders[key].paths:
                self.problems.append(f"{self.folders[key].folder}: no pictures")
        for folder in self.folders.values():
            self.problems += [f"unreadable: {reason}" for reason in folder.unreadable.values()]
        self._check_names("style", "smooth")
        if self.folders["paired"].paths:
            self._check_names("photos", "paired")
        self._check_counterparts("smooth", "style", "make it again: dataset smooth --overwrite")
        self._check_counterparts("paired", "photos", "add it")
        for key in ("photos", "style"):
            self._check_quality(self.folders[key])
        self._check_duplicates()
        self._check_gray()
        self._check_color_cast()
        self._check_disk()

    def _check_names(self, leader_key: str, key: str) -> None:
        """Pictures with counterparts need different names without suffix."""
        leader = self.folders[leader_key]
        try:
            by_stem(leader.paths, leader.folder)
        except ValueError as error:
            self.problems.append(f"{error} ({key} pictures are matched by name)")

    def _check_counterparts(self, key: str, leader_key: str, remedy: str) -> None:
        folder, leader = self.folders[key], self.folders[leader_key]
        stems = {folder.stem(path) for path in folder.paths}
        if not stems:
            return
        leader_stems = {leader.stem(path) for path in leader.paths}
        sizes = {folder.stem(f.path): f.size_hw for f in folder.pictures}
        # Training resizes all to one size, or crops pairs of equal full size.
        usual = statistics.mode(sizes.values()) if sizes else None
        missing = [f.path for f in leader.pictures if leader.stem(f.path) not in stems]
        other_size = [
            f.path
            for f in leader.pictures
            if sizes.get(leader.stem(f.path), f.size_hw) not in (f.size_hw, usual)
        ]
        unused = [f.path for f in folder.pictures if folder.stem(f.path) not in leader_stems]
        self._add(self.problems, missing, f"without a picture in {folder.folder} ({remedy})")
        size_differs = f"of another size than their counterpart in {folder.folder}"
        self._add(self.problems, other_size, size_differs)
        self._add(self.remarks, unused, f"without a picture in {leader.folder}, not used")

    def _check_quality(self, folder: FolderFacts) -> None:
        side = self.image_size
        small = [f.path for f in folder.pictures if min(f.size_hw) < side]
        self._add(self.remarks, small, f"smaller than {side} pixels, enlarged in training")
        for fault in dict.fromkeys(f.fault for f in folder.pictures if f.fault):
            self._add(self.remarks, [f.path for f in folder.pictures if f.fault == fault], fault)

    def _check_duplicates(self) -> None:
        style, photos = self.folders["style"].pictures, self.folders["photos"].pictures
        for key, (exact, near), where in (
            ("style", _duplicates(style), "within the style"),
            ("photos", _duplicates(photos), "within the photos"),
            ("style and photos", _duplicates(photos, style), "in style and photos"),
        ):
            self.duplicates[f"{key}, exact"] = [[str(a), str(b)] for a, b in exact]
            self.duplicates[f"{key}, near"] = [[str(a), str(b)] for a, b in near]
            for pairs, kind in ((exact, "the same picture"), (near, "nearly the same picture")):
                if pairs:
                    count, (first, other) = len(pairs), pairs[0]
                    self.remarks.append(
                        f"{kind} {where}, {count} time{'s' * (count > 1)}: {other} and {first}"
                        + ("; ..." if count > 1 else "")
                    )

    def _check_gray(self) -> None:
        for folder in (self.folders["style"], self.folders["photos"]):
            gray = [f.path for f in folder.pictures if f.chroma < GRAY_CHROMA]
            if folder.pictures and len(gray) >= GRAY_SHARE * len(folder.pictures):
                self._add(self.remarks, gray, f"gray (mean chroma under {GRAY_CHROMA:g})")

    def _check_color_cast(self) -> None:
        style, photos = self.folders["style"].pictures, self.folders["photos"].pictures
        if not style or not photos:
            return
        means: dict[str, dict[str, Any]] = {
            name: {
                "rgb": _mean([f.rgb for f in facts]),
                "lab": _mean([f.lab for f in facts]),
                "chroma": round(statistics.fmean(f.chroma for f in facts), 1),
            }
            for name, facts in (("style", style), ("photos", photos))
        }
        lab, other = means["style"]["lab"], means["photos"]["lab"]
        shift = [round(lab[i] - other[i], 1) for i in range(3)]
        cast = round(float(np.hypot(shift[1], shift[2])), 1)
        style_rgb, photo_rgb = (
            " ".join(f"{value:.0f}" for value in means[key]["rgb"]) for key in ("style", "photos")
        )
        summary = (
            f"mean RGB of the style {style_rgb}, of the photos {photo_rgb}; difference in Lab "
            f"L {shift[0]:+}, a {shift[1]:+}, b {shift[2]:+}, a cast of {cast} "
            f"(reported from {COLOR_CAST:g})"
        )
        self.color = {**means, "shift": shift, "cast": cast, "summary": summary}
        if cast < COLOR_CAST:
            return
        hues = {"red": shift[1], "green": -shift[1], "yellow": shift[2], "blue": -shift[2]}
        strong = " and ".join(hue for hue, value in hues.items() if value >= COLOR_CAST / 2)
        self.remarks.append(
            f"color cast: the style differs by {cast} from the photos in Lab's (a, b), toward "
            f"{strong}; G will learn it. Balance the pictures, or raise the weight of the color "
            "loss"
        )

    def _check_disk(self) -> None:
        """Estimate the disk usage of the smooth pictures from a few."""
        style = self.folders["style"].pictures
        if not style:
            return
        sizes: dict[str, list[int]] = {"image_size": [], "full_size": []}
        for facts in islice(style, 0, None, -(-len(style) // _SMOOTH_SAMPLES)):
            rgb = pictures.read_picture(facts.path).rgb_u8
            square = resize(rgb, (self.image_size, self.image_size))
            for key, picture in (("image_size", square), ("full_size", rgb)):
                smooth = smooth_edges(picture, None)
                sizes[key].append(len(pictures.encode_picture(smooth, ".png")))
        needed = {k: round(statistics.fmean(v) * len(style)) for k, v in sizes.items()}
        free = shutil.disk_usage(self.folders["style"].folder).free
        existing = len(self.folders["smooth"].paths)
        summary = (
            f"{existing} exist; all need about {_bytes(needed['image_size'])} at "
            f"{self.image_size} pixels, {_bytes(needed['full_size'])} at full size; "
            f"{_bytes(free)} free"
        )
        self.smooth_disk = {**needed, "free": free, "existing": existing, "summary": summary}
        if not existing and needed["image_size"] > free:
            self.problems.append(f"no disk space for the smooth pictures: {summary}")

    @staticmethod
    def _add(lines: list[str], paths: Sequence[Path], description: str) -> None:
        """Add a line about pictures, if any, with the names of a few."""
        if paths:
            more = "" if len(paths) <= _LISTED else f" and {len(paths) - _LISTED} more"
            names = ", ".join(map(str, paths[:_LISTED]))
            lines.append(f"{len(paths)} {description}: {names}{more}")


Pairs = list[tuple[Path, Path]]


def _duplicates(
    firsts: Sequence[PictureFacts], others: Sequence[PictureFacts] | None = None
) -> tuple[Pairs, Pairs]:
    """Find pairs with the same pixels, and near-duplicates: across if `others` is given.

    Each picture is in one pair at most: with the first of the same pixels, else with the nearest.
    """
    digests: dict[bytes, Path] = {}
    index = HashIndex()
    exact, near = [], []
    for number, facts in enumerate([*firsts, *(others or ())]):
        is_known, is_judged = number < len(firsts), others is None or number >= len(firsts)
        same, nearest = digests.get(facts.digest), index.nearest(facts.hash)
        if is_judged and same is not None:
            exact.append((same, facts.path))
        elif is_judged and nearest is not None and nearest[1] < NEAR_BITS:
            near.append((Path(nearest[0]), facts.path))
        if is_known:
            digests.setdefault(facts.digest, facts.path)
            index.add(str(facts.path), facts.hash)
    return exact, near


def _folder_facts(folder: FolderFacts, image_size: int) -> dict[str, Any]:
    sizes = [facts.size_hw for facts in folder.pictures]
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    facts: dict[str, Any] = {
        "folder": str(folder.folder),
        "pictures": len(folder.pictures),
        "unreadable": {str(path): reason for path, reason in folder.unreadable.items()},
        "smaller_than_image_size": sum(min(size) < image_size for size in sizes),
    }
    if by_area:
        median = by_area[len(by_area) // 2]
        facts["size_hw"] = {"min": by_area[0], "median": median, "max": by_area[-1]}
    return facts


def _folder_line(folder: dict[str, Any]) -> str:
    line = f"{folder['pictures']} pictures"
    sizes = folder.get("size_hw")
    if sizes:
        low, median, high = (f"{sizes[k][1]}x{sizes[k][0]}" for k in ("min", "median", "max"))
        line += f", {low}" if low == high else f", {low} to {high}, median {median}"
    if folder["unreadable"]:
        line += f", {len(folder['unreadable'])} unreadable"
    return f"{line} ({folder['folder']})"


def _mean(triples: Sequence[tuple[float, ...]]) -> list[float]:
    return [round(float(v), 1) for v in np.mean(triples, axis=0)]


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
