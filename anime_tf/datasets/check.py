"""What a training data set holds, and what is wrong with it."""

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
from anime_tf.io.folders import by_stem, find_pictures, relative_stem
from anime_tf.io.terminal import Progress
from anime_tf.metrics.perceptual_hash import perceptual_hash

COLOUR_CAST = 8.0
"""Distance of two folders' mean (a, b) in CIE Lab from which on it is called a colour cast.

2.3 is a difference that an eye just sees side by side. A network that learns the style learns this
shift as well: photos come out yellowish, or bluish.
"""

GRAY_CHROMA = 4.0
"""Mean chroma, the length of (a, b) in CIE Lab, under which a picture counts as gray."""

MANY = 0.1
"""Share of a folder's pictures from which on something that they have in common is told."""

NEAR_BITS = 10
"""Pictures whose perceptual hashes differ in fewer bits are near-duplicates, as for `frames`."""

_NEEDED = ("photos", "style", "smooth")
_COLOUR_SIDE = 64  # pixels of the thumbnails that colours are averaged over
_SAMPLED = 8  # style pictures that are smoothed to find out how much disk they take
_LISTED = 10  # names of one kind in the report that is read; JSON has all


@dataclass(frozen=True)
class PictureFacts:
    """What is kept of a picture.

    Attributes:
        path: The file.
        size_hw: Height and width.
        digest: Of its pixels: the same for two pictures only if these are.
        hash: Perceptual hash.
        rgb: Mean of each channel, 0..255.
        lab: Mean L (0..100), a and b (CIE Lab, D65).
        chroma: Mean length of (a, b).
        fault: What `quality.QualityLimits` has against it; None for nothing.
    """

    path: Path
    size_hw: tuple[int, int]
    digest: bytes
    hash: int
    rgb: tuple[float, float, float]
    lab: tuple[float, float, float]
    chroma: float
    fault: str | None


@dataclass(frozen=True)
class FolderFacts:
    """What is in a folder of a data set.

    Attributes:
        folder: The folder.
        pictures: Those that can be read, in the order of training.
        unreadable: Path -> reason.
    """

    folder: Path
    pictures: tuple[PictureFacts, ...]
    unreadable: dict[Path, str]

    def __len__(self) -> int:
        return len(self.pictures) + len(self.unreadable)


@dataclass(frozen=True)
class DatasetReport:
    """What `check_dataset` found; `problems` are what training stumbles over or leaves out.

    Attributes:
        facts: Plain values, for JSON.
        problems: Lines about what must be put right.
        remarks: Lines about what may be worse than it need be.
    """

    facts: dict[str, Any]
    problems: tuple[str, ...]
    remarks: tuple[str, ...]

    def text(self) -> str:
        """The report for people."""
        lines = []
        for name, folder in self.facts["folders"].items():
            if name in _NEEDED or folder["pictures"] or folder["unreadable"]:
                lines.append(f"{name}: {_folder_line(folder)}")
        for key, words in (("smooth_disk", "smooth pictures"), ("colour", "colours")):
            if self.facts[key]:
                lines.append(f"{words}: {self.facts[key]['words']}")
        lines += [f"problem: {line}" for line in self.problems]
        lines += [f"remark: {line}" for line in self.remarks]
        if not self.problems:
            lines.append("ready for training" if not self.remarks else "ready, with these remarks")
        return "\n".join(lines)


def check_dataset(
    dataset_dir: str | os.PathLike[str],
    style: str,
    *,
    image_size: int = 256,
    workers: int | None = None,
) -> DatasetReport:
    """Looks at every picture of a data set.

    Args:
        dataset_dir: The folder with ``train_photo`` and the style's folder.
        style: Name of the style's folder.
        image_size: Side of the training pictures.
        workers: Threads; None for one a CPU.

    Returns:
        What was found. Problems: a folder without pictures, unreadable pictures, smooth or paired
        pictures that are missing or of another size. Remarks: pictures smaller than `image_size`,
        near-black, near-blank or blurred ones, duplicates, a colour cast, many gray pictures.

    Raises:
        FileNotFoundError: There are neither photos nor pictures of the style.
        ValueError: `image_size` is under 1.
    """
    if image_size < 1:
        raise ValueError(f"image_size must be 1 or more, got {image_size}")
    root = Path(dataset_dir)
    wanted = {
        "photos": root / "train_photo",
        "style": root / style / "style",
        "smooth": root / style / "smooth",
        "paired": root / style / "paired",
        "val": root / "val",
    }
    names = {key: _list(folder) for key, folder in wanted.items()}
    if not names["photos"] and not names["style"]:
        raise FileNotFoundError(
            f"{root}: expected photos in {wanted['photos']} and pictures of the style in "
            f"{wanted['style']}, found neither"
        )
    folders = {key: _look(wanted[key], paths, workers) for key, paths in names.items()}
    finder = _Finder(folders, image_size)
    finder.find()
    facts = {
        "dataset_dir": str(root),
        "style": style,
        "image_size": image_size,
        "folders": {key: _folder_facts(folder, image_size) for key, folder in folders.items()},
        "duplicates": finder.duplicates,
        "smooth_disk": finder.smooth_disk,
        "colour": finder.colour,
        "problems": finder.problems,
        "remarks": finder.remarks,
    }
    return DatasetReport(facts, tuple(finder.problems), tuple(finder.remarks))


def facts_of(path: Path) -> PictureFacts:
    """Reads a picture and keeps what the report needs.

    Args:
        path: The file.

    Returns:
        Its facts.

    Raises:
        ValueError: It cannot be read.
        OSError: Likewise.
    """
    rgb = pictures.read_picture(path).rgb_u8
    small = pictures.resize(rgb, (_COLOUR_SIDE, _COLOUR_SIDE))
    lab = cv2.cvtColor(small.astype(np.float32) / 255, cv2.COLOR_RGB2Lab).reshape(-1, 3)
    red, green, blue = (float(v) for v in small.reshape(-1, 3).mean(axis=0))
    lightness, a, b = (float(v) for v in lab.mean(axis=0, dtype=np.float64))
    digest = hashlib.blake2b(b"%d %d " % rgb.shape[:2] + rgb.tobytes(), digest_size=16)
    return PictureFacts(
        path,
        (rgb.shape[0], rgb.shape[1]),
        digest.digest(),
        perceptual_hash(rgb),
        (red, green, blue),
        (lightness, a, b),
        float(np.hypot(lab[:, 1], lab[:, 2]).mean(dtype=np.float64)),
        QualityLimits().fault(measure(rgb)),
    )


def _list(folder: Path) -> list[Path]:
    try:
        return find_pictures(folder)
    except FileNotFoundError:
        return []


def _look(folder: Path, paths: Sequence[Path], workers: int | None) -> FolderFacts:
    def one(path: Path) -> PictureFacts | str:
        try:
            return facts_of(path)
        except (ValueError, OSError) as error:
            return str(error)

    good, unreadable = [], {}
    with ThreadPoolExecutor(workers or os.cpu_count() or 1) as pool:
        shown = Progress(len(paths), "pictures", folder.name).track(pool.map(one, paths))
        for path, found in zip(paths, shown, strict=True):
            if isinstance(found, str):
                unreadable[path] = found
            else:
                good.append(found)
    return FolderFacts(folder, tuple(good), unreadable)


class _Finder:
    """Finds what is wrong."""

    def __init__(self, folders: dict[str, FolderFacts], image_size: int) -> None:
        self.folders = folders
        self.image_size = image_size
        self.problems: list[str] = []
        self.remarks: list[str] = []
        self.duplicates: dict[str, list[list[str]]] = {}
        self.smooth_disk: dict[str, Any] | None = None
        self.colour: dict[str, Any] | None = None

    def find(self) -> None:
        for key in ("photos", "style"):
            if not len(self.folders[key]):
                self.problems.append(f"{self.folders[key].folder}: no pictures")
        for folder in self.folders.values():
            self.problems += [f"unreadable: {reason}" for reason in folder.unreadable.values()]
        self._names("style", "smooth")
        if len(self.folders["paired"]):
            self._names("photos", "paired")
        self._counterparts("smooth", "style")
        self._counterparts("paired", "photos")
        for key in ("photos", "style"):
            self._sizes_and_faults(self.folders[key])
        self._duplicates()
        self._colours()
        self._disk()

    def _names(self, leader_key: str, key: str) -> None:
        """Pictures that must be told apart by their names without suffix."""
        leader = self.folders[leader_key]
        try:
            by_stem([*(f.path for f in leader.pictures), *leader.unreadable], leader.folder)
        except ValueError as error:
            self.problems.append(f"{error} ({key} pictures go by the name)")

    def _counterparts(self, key: str, leader_key: str) -> None:
        """Pictures that must have a counterpart of the same name."""
        folder, leader = self.folders[key], self.folders[leader_key]
        if not len(folder):
            return
        there = {
            relative_stem(path, folder.folder)
            for path in [*(facts.path for facts in folder.pictures), *folder.unreadable]
        }
        sizes = {relative_stem(f.path, folder.folder): f.size_hw for f in folder.pictures}
        lone = [
            f.path for f in leader.pictures if relative_stem(f.path, leader.folder) not in there
        ]
        remedy = "make it again: dataset smooth --overwrite" if key == "smooth" else "add it"
        self._name(self.problems, lone, f"without a picture in {folder.folder} ({remedy})")
        # Training brings all to one size, or cuts windows where both have their full size.
        usual = statistics.mode(sizes.values()) if sizes else None
        odd = [
            f.path
            for f in leader.pictures
            if sizes.get(relative_stem(f.path, leader.folder), f.size_hw) not in (f.size_hw, usual)
        ]
        self._name(self.problems, odd, f"of another size than their counterpart in {folder.folder}")
        stems = {relative_stem(f.path, leader.folder) for f in leader.pictures}
        stems |= {relative_stem(path, leader.folder) for path in leader.unreadable}
        extra = [
            f.path for f in folder.pictures if relative_stem(f.path, folder.folder) not in stems
        ]
        self._name(self.remarks, extra, f"without a picture in {leader.folder}, of no use")

    def _sizes_and_faults(self, folder: FolderFacts) -> None:
        side = self.image_size
        small = [f.path for f in folder.pictures if min(f.size_hw) < side]
        self._name(self.remarks, small, f"smaller than {side} pixels, enlarged in training")
        for fault in dict.fromkeys(f.fault for f in folder.pictures if f.fault):
            found = [f.path for f in folder.pictures if f.fault == fault]
            self._name(self.remarks, found, fault)

    def _duplicates(self) -> None:
        style, photos = self.folders["style"].pictures, self.folders["photos"].pictures
        for key, exact, near, ends in (
            ("style", *_alike(style), "within the style"),
            ("photos", *_alike(photos), "within the photos"),
            ("style and photos", *_alike(photos, style), "in style and photos"),
        ):
            self.duplicates[f"{key}, exact"] = [[str(a), str(b)] for a, b in exact]
            self.duplicates[f"{key}, near"] = [[str(a), str(b)] for a, b in near]
            for pairs, kind in ((exact, "the same picture"), (near, "nearly the same picture")):
                if pairs:
                    count, (first, other) = len(pairs), pairs[0]
                    self.remarks.append(
                        f"{kind} {ends}, {count} time{'s' * (count > 1)}: {other} and {first}"
                        + ("; ..." if count > 1 else "")
                    )

    def _colours(self) -> None:
        style, photos = self.folders["style"].pictures, self.folders["photos"].pictures
        for folder in (self.folders["style"], self.folders["photos"]):
            gray = [f.path for f in folder.pictures if f.chroma < GRAY_CHROMA]
            if folder.pictures and len(gray) >= MANY * len(folder.pictures):
                self._name(self.remarks, gray, f"gray (mean chroma under {GRAY_CHROMA:g})")
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
        words = (
            f"mean RGB of the style {_numbers(means['style']['rgb'])}, of the photos "
            f"{_numbers(means['photos']['rgb'])}; in Lab L {shift[0]:+}, a {shift[1]:+}, "
            f"b {shift[2]:+}, a cast of {cast} ({COLOUR_CAST:g} and more is told)"
        )
        self.colour = {**means, "shift": shift, "cast": cast, "words": words}
        if cast >= COLOUR_CAST:
            towards = [
                name
                for value, name in (
                    (shift[1], "red"),
                    (-shift[1], "green"),
                    (shift[2], "yellow"),
                    (-shift[2], "blue"),
                )
                if value >= COLOUR_CAST / 2
            ]
            self.remarks.append(
                f"colour cast: the style lies {cast} from the photos in Lab's (a, b), towards "
                f"{' and '.join(towards)}; G will learn it. Balance the pictures, or weigh the "
                "colour loss higher"
            )

    def _disk(self) -> None:
        """How much disk the smooth pictures need, by those of a few that are made for it."""
        style = self.folders["style"].pictures
        if not style:
            return
        step = -(-len(style) // _SAMPLED)
        sizes: dict[str, list[int]] = {"image_size": [], "full_size": []}
        for facts in islice(style, 0, None, step):
            rgb = pictures.read_picture(facts.path).rgb_u8
            square = pictures.resize(rgb, (self.image_size, self.image_size))
            for key, picture in (("image_size", square), ("full_size", rgb)):
                smooth = smooth_edges(picture, None)
                sizes[key].append(len(pictures.encode_picture(smooth, ".png")))
        needed = {k: round(statistics.fmean(v) * len(style)) for k, v in sizes.items()}
        free = shutil.disk_usage(self.folders["style"].folder).free
        there = len(self.folders["smooth"])
        words = (
            f"{there} there; all would need about {_bytes(needed['image_size'])} at "
            f"{self.image_size} pixels, {_bytes(needed['full_size'])} at full size, of "
            f"{_bytes(free)} free"
        )
        self.smooth_disk = {**needed, "free": free, "there": there, "words": words}
        if not there and needed["image_size"] > free:
            self.problems.append(f"no room for the smooth pictures: {words}")

    @staticmethod
    def _name(lines: list[str], paths: Sequence[Path], what: str) -> None:
        """Adds a line about pictures, if there are any; names a few of them."""
        if not paths:
            return
        more = "" if len(paths) <= _LISTED else f" and {len(paths) - _LISTED} more"
        names = ", ".join(map(str, paths[:_LISTED]))
        lines.append(f"{len(paths)} {what}: {names}{more}")


def _alike(
    firsts: Sequence[PictureFacts], others: Sequence[PictureFacts] | None = None
) -> tuple[list[tuple[Path, Path]], list[tuple[Path, Path]]]:
    """Pairs of the same pixels, and pairs that look alike; within `firsts`, or across.

    Each picture is paired with one at most: the first that has its pixels, else the nearest.
    """
    digests: dict[bytes, Path] = {}
    index, indexed = HashIndex(), []
    exact, near = [], []

    def add(facts: PictureFacts) -> None:
        digests.setdefault(facts.digest, facts.path)
        index.add(str(facts.path), facts.hash)
        indexed.append(facts.path)

    if others is not None:
        for facts in firsts:
            add(facts)
    for facts in firsts if others is None else others:
        same, nearest = digests.get(facts.digest), index.nearest(facts.hash)
        if same is not None:
            exact.append((same, facts.path))
        elif nearest is not None and nearest[1] < NEAR_BITS:
            near.append((Path(nearest[0]), facts.path))
        if others is None:
            add(facts)
    return exact, near


def _folder_facts(folder: FolderFacts, image_size: int) -> dict[str, Any]:
    """A folder in plain values."""
    sizes = [facts.size_hw for facts in folder.pictures]
    by_area = sorted(sizes, key=lambda size: (size[0] * size[1], size))
    found: dict[str, Any] = {
        "folder": str(folder.folder),
        "pictures": len(folder.pictures),
        "unreadable": {str(path): reason for path, reason in folder.unreadable.items()},
        "smaller_than_image_size": sum(min(size) < image_size for size in sizes),
    }
    if by_area:
        middle = by_area[len(by_area) // 2]
        found["size_hw"] = {"min": by_area[0], "median": middle, "max": by_area[-1]}
    return found


def _folder_line(folder: dict[str, Any]) -> str:
    words = f"{folder['pictures']} pictures"
    sizes = folder.get("size_hw")
    if sizes:
        low, middle, high = (f"{sizes[k][1]}x{sizes[k][0]}" for k in ("min", "median", "max"))
        words += f", {low}" if low == high else f", {low} to {high}, median {middle}"
    if folder["unreadable"]:
        words += f", {len(folder['unreadable'])} unreadable"
    return f"{words} ({folder['folder']})"


def _mean(triples: Sequence[tuple[float, float, float]]) -> list[float]:
    return [round(float(v), 1) for v in np.mean(triples, axis=0)]


def _numbers(values: Sequence[float]) -> str:
    return " ".join(f"{value:.0f}" for value in values)


def _bytes(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:.1f} TB"
