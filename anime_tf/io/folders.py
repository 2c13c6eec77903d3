"""Pictures of a folder, and of a training data set."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from absl import logging

from anime_tf.errors import command_line, counted
from anime_tf.io.kinds import PICTURE_SUFFIXES, classify
from anime_tf.io.plain_file import read_plain_file

SMOOTH_RECORD = "smooth.json"  # written by `edge_smooth.smooth_folder` beside its pictures

RECORDS = (SMOOTH_RECORD, "manifest.jsonl", "videos.json")  # of this package
_SUFFIX_WORDS = ", ".join(PICTURE_SUFFIXES)


@dataclass(frozen=True)
class Listing:
    """Files of a folder.

    Attributes:
        pictures: Pictures, sorted by their relative path on every machine.
        unreadable: Pictures in formats that are not read, videos, and folders and files without
            permission -> the reason.
        ignored: Number of other files, hidden ones included, `RECORDS` not.
    """

    pictures: tuple[Path, ...]
    unreadable: dict[Path, str] = field(default_factory=dict)
    ignored: int = 0

    def log(self) -> None:
        """Log what is not read: a line for each file that looks like a picture or a video."""
        for path, reason in self.unreadable.items():
            logging.warning("%s: skipped, %s", path, reason)
        self.log_ignored()

    def log_ignored(self) -> None:
        """Log the number of files of other kinds."""
        if self.ignored:
            logging.info("ignored %s of other kinds", counted(self.ignored, "file"))


def list_files(paths: Iterable[Path]) -> Listing:
    """Sort files by what they are; see `Listing`."""
    pictures, unreadable, ignored = [], {}, 0
    for path in paths:
        if path.name in RECORDS:
            continue
        kind, reason = ("other", "") if path.name.startswith(".") else classify(path)
        if kind == "picture":
            pictures.append(path)
        elif kind == "other":
            ignored += 1
        else:
            unreadable[path] = reason
    return Listing(tuple(pictures), unreadable, ignored)


def list_folder(folder: str | os.PathLike[str], *, recursive: bool = True) -> Listing:
    """List the files of a folder; links to folders are followed, hidden folders skipped.

    Raises:
        FileNotFoundError: There is no such folder.
    """
    folder = Path(folder)
    if not folder.is_dir():
        if folder.exists():
            raise FileNotFoundError(f"{folder}: expected a folder of pictures, got a file")
        raise FileNotFoundError(f"{folder}: no such file or folder; expected a folder of pictures")
    paths, closed = walk_files(folder, recursive=recursive)
    listing = list_files(paths)
    return replace(listing, unreadable={**listing.unreadable, **closed})


def walk_files(folder: Path, *, recursive: bool = True) -> tuple[list[Path], dict[Path, str]]:
    """List the files below a folder; links to folders are followed, hidden folders skipped.

    Returns:
        Files, sorted by their relative path on every machine, and folders without permission ->
        the reason.
    """
    paths: list[Path] = []
    closed: dict[Path, str] = {}
    seen = {os.path.realpath(folder)}

    def fail(error: OSError) -> None:
        closed[Path(error.filename)] = (error.strerror or str(error)).lower()

    for parent, folders, files in os.walk(folder, onerror=fail, followlinks=True):
        paths += [Path(parent, name) for name in files]
        found_folders, folders[:] = sorted(folders), []
        for name in found_folders if recursive else ():
            real = os.path.realpath(os.path.join(parent, name))
            if not name.startswith(".") and real not in seen:
                seen.add(real)
                folders.append(name)
    paths.sort(key=lambda path: path.relative_to(folder).as_posix())
    return paths, closed


@dataclass(frozen=True)
class DatasetFolders:
    """The pictures of a training data set.

    Attributes:
        train_photo: Photos.
        style: Pictures in the target style.
        smooth: Edge-smoothed counterparts of `style`, in its order; empty unless requested.
        val: Validation photos; may be empty.
        paired: Painted counterparts of `train_photo`, in its order; None if there are none.
        unreadable: Files of these folders that look like pictures or videos -> why not read.
    """

    train_photo: tuple[Path, ...]
    style: tuple[Path, ...]
    smooth: tuple[Path, ...]
    val: tuple[Path, ...]
    paired: tuple[Path, ...] | None
    unreadable: dict[Path, str] = field(default_factory=dict)


def find_pictures(
    folder: str | os.PathLike[str], *, recursive: bool = True, log: bool = True
) -> list[Path]:
    """List the pictures of a folder, and log what is not read of it.

    Returns:
        Paths that begin with `folder`, sorted by their relative path on every machine.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
    """
    listing = list_folder(folder, recursive=recursive)
    if log:
        listing.log()
    return list(_some_pictures(listing, Path(folder)))


def count_unreadable(folders: Iterable[str | os.PathLike[str]]) -> int:
    """Count the files that `find_pictures` skips although they look like pictures or videos."""
    return sum(len(list_folder(folder).unreadable) for folder in dict.fromkeys(folders))


def _some_pictures(listing: Listing, folder: Path) -> tuple[Path, ...]:
    if not listing.pictures:
        raise FileNotFoundError(f"{folder}: expected pictures ({_SUFFIX_WORDS}), got none")
    return listing.pictures


def relative_stem(path: Path, folder: Path) -> str:
    """Return a picture's path within its folder without the suffix, which counterparts share."""
    return path.relative_to(folder).with_suffix("").as_posix()


def by_stem(pictures: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Index the pictures of a folder by `relative_stem`, in their order.

    ValueError for two that share a stem (a.jpg and a.png): their counterparts would be ambiguous.
    """
    index: dict[str, Path] = {}
    for path in pictures:
        first = index.setdefault(relative_stem(path, folder), path)
        if first is not path:
            raise ValueError(
                f"{path}: expected distinct names but for the suffix, got {first} too; rename "
                "or remove one of them"
            )
    return index


def _counterparts(
    pictures: Sequence[Path], folder: Path, other_folder: Path, remedy: str
) -> tuple[Path, ...]:
    """Return the counterparts in `other_folder` of the pictures of `folder`."""
    others = by_stem(find_pictures(other_folder), other_folder)
    missing = [path for stem, path in by_stem(pictures, folder).items() if stem not in others]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{missing[0]}{more}: expected a picture of the same name in {other_folder}; {remedy}"
        )
    return tuple(others[relative_stem(path, folder)] for path in pictures)


def _skipped_by_smoothing(smooth_dir: Path) -> frozenset[str]:
    """Return the names, relative to the style folder, of pictures that smoothing skipped."""
    try:
        record = json.loads(read_plain_file(smooth_dir / SMOOTH_RECORD, "a record of smoothing"))
        return frozenset(record["skipped"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return frozenset()  # made by another tool


def dataset_folders(
    dataset_dir: str | os.PathLike[str],
    style: str,
    *,
    need_smooth: bool = True,
    need_paired: bool = False,
) -> DatasetFolders:
    """List the pictures of a training data set.

    The layout, with D for `dataset_dir`:

    * ``D/train_photo``: photos
    * ``D/<style>/style``: pictures in the style
    * ``D/<style>/smooth``: the same pictures with smoothed edges
    * ``D/<style>/paired`` (optional): a painted counterpart of each picture of ``D/train_photo``
    * ``D/val`` (optional): validation photos

    Counterparts have the same name; their suffix may differ.

    Args:
        dataset_dir: D.
        style: Name of the style's folder.
        need_smooth: List smooth pictures; otherwise `smooth` is empty.
        need_paired: Raise an error if ``paired`` is missing.

    Returns:
        The pictures, without style pictures that smoothing reported as broken (logged).

    Raises:
        FileNotFoundError: A folder or a counterpart is missing, or a folder is empty.
        ValueError: Two pictures of a folder with counterparts share a name but for the suffix.
    """
    root = Path(dataset_dir)
    photo_dir, style_dir = root / "train_photo", root / style / "style"
    smooth_dir, paired_dir, val_dir = root / style / "smooth", root / style / "paired", root / "val"
    make_smooth = ["anime-tf", "dataset", "smooth", f"--style_dir={style_dir}"]
    smooth_remedy = f"make it with: {command_line(make_smooth)}"
    required = {photo_dir: "photos", style_dir: "pictures in the style"}
    if need_smooth:
        required[smooth_dir] = f"edge-smoothed pictures in the style ({smooth_remedy})"
    if need_paired:
        required[paired_dir] = f"painted counterparts of the pictures of {photo_dir}"
    found: dict[Path, tuple[Path, ...]] = {}
    unreadable: dict[Path, str] = {}

    def find(folder: Path) -> tuple[Path, ...]:
        listing = list_folder(folder)
        listing.log()
        unreadable.update(listing.unreadable)
        return _some_pictures(listing, folder)

    for folder, content in required.items():
        try:
            found[folder] = find(folder)
        except FileNotFoundError as error:
            layout = "; ".join(f"{key}: {value}" for key, value in required.items())
            raise FileNotFoundError(
                f"{error}, which should hold {content}; a data set has {layout}; and {val_dir}: "
                "validation photos, optional"
            ) from error
    photos, styles = found[photo_dir], found[style_dir]
    smooths: tuple[Path, ...] = ()
    if need_smooth:
        skipped = _skipped_by_smoothing(smooth_dir)
        broken = [path for path in styles if path.relative_to(style_dir).as_posix() in skipped]
        for path in broken:
            logging.warning("%s: skipped, smoothing could not read it", path)
        styles = tuple(path for path in styles if path not in broken)
        smooths = _counterparts(styles, style_dir, smooth_dir, smooth_remedy + " --overwrite")
    paired = None
    if need_paired or paired_dir.is_dir():
        paired = _counterparts(photos, photo_dir, paired_dir, "add it, or remove the photo")
    try:
        val = find(val_dir)
    except FileNotFoundError:
        val = ()
    return DatasetFolders(photos, styles, smooths, val, paired, unreadable)
