"""Which pictures a folder or a data set holds."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from absl import logging

PICTURE_SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif")
"""Suffixes of files that are taken for pictures; compared in lower case."""

SMOOTH_RECORD = "smooth.json"
"""Name of the record that `edge_smooth.smooth_folder` leaves beside the pictures it makes."""

_SUFFIX_WORDS = ", ".join(PICTURE_SUFFIXES)


@dataclass(frozen=True)
class DatasetFolders:
    """The pictures of a training data set.

    Attributes:
        train_photo: Photos to be stylised.
        style: Pictures in the style to be learnt.
        smooth: The edge-smoothed counterpart of each of `style`, in its order; empty where it was
            not asked for.
        val: Photos to look at during training; may be empty.
        paired: The painted counterpart of each of `train_photo`, in its order; None where the data
            set has none.
    """

    train_photo: tuple[Path, ...]
    style: tuple[Path, ...]
    smooth: tuple[Path, ...]
    val: tuple[Path, ...]
    paired: tuple[Path, ...] | None


def find_pictures(folder: str | os.PathLike[str], *, recursive: bool = True) -> list[Path]:
    """Lists the pictures of a folder; hidden files and folders are passed over.

    Args:
        folder: The folder.
        recursive: Whether to go into its sub-folders.

    Returns:
        Paths that begin with `folder`, sorted by their place within it, so that the order is the
        same on every machine.

    Raises:
        FileNotFoundError: There is no such folder, or no picture in it.
    """
    folder = Path(folder)
    if not folder.is_dir():
        found = "a file" if folder.exists() else "nothing"
        raise FileNotFoundError(f"{folder}: expected a folder of pictures, found {found}")
    pictures = []
    for parent, folders, files in os.walk(folder):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        pictures += [
            Path(parent, name)
            for name in files
            if not name.startswith(".") and Path(name).suffix.lower() in PICTURE_SUFFIXES
        ]
    if not pictures:
        raise FileNotFoundError(f"{folder}: expected pictures ({_SUFFIX_WORDS}), found none")
    return sorted(pictures, key=lambda path: path.relative_to(folder).as_posix())


def relative_stem(path: Path, folder: Path) -> str:
    """A picture's place within its folder without the suffix: what counterparts share."""
    return path.relative_to(folder).with_suffix("").as_posix()


def by_stem(pictures: Iterable[Path], folder: Path) -> dict[str, Path]:
    """Indexes the pictures of a folder by `relative_stem`.

    Args:
        pictures: Paths within `folder`.
        folder: The folder.

    Returns:
        Relative stem -> path, in the order of `pictures`.

    Raises:
        ValueError: Two pictures share a stem (a.jpg and a.png), so that a counterpart of the one
            could not be told from a counterpart of the other.
    """
    index: dict[str, Path] = {}
    for path in pictures:
        first = index.setdefault(relative_stem(path, folder), path)
        if first is not path:
            raise ValueError(
                f"{path}: shares its name with {first}, so their counterparts cannot be told "
                "apart; rename or remove one of them"
            )
    return index


def _counterparts(
    pictures: Sequence[Path], folder: Path, other_folder: Path, remedy: str
) -> tuple[Path, ...]:
    """The picture of `other_folder` that belongs to each of `pictures`, which lie in `folder`."""
    others = by_stem(find_pictures(other_folder), other_folder)
    missing = [path for stem, path in by_stem(pictures, folder).items() if stem not in others]
    if missing:
        more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
        raise FileNotFoundError(
            f"{missing[0]}{more}: no picture of the same name in {other_folder}; {remedy}"
        )
    return tuple(others[relative_stem(path, folder)] for path in pictures)


def _skipped_by_smoothing(smooth_dir: Path) -> frozenset[str]:
    """Names, relative to the style folder, of the broken pictures that smoothing left out."""
    try:
        record = json.loads((smooth_dir / SMOOTH_RECORD).read_text(encoding="utf-8"))
        return frozenset(record["skipped"])
    except (FileNotFoundError, ValueError, KeyError, TypeError):
        return frozenset()  # made by other means, which is as good


def dataset_folders(
    dataset_dir: str | os.PathLike[str],
    style: str,
    *,
    need_smooth: bool = True,
    need_paired: bool = False,
) -> DatasetFolders:
    """Lists the pictures of a training data set.

    The layout, with D for `dataset_dir`: ``D/train_photo`` photos, ``D/<style>/style`` pictures of
    the style, ``D/<style>/smooth`` the same pictures with smoothed edges, ``D/val`` photos to look
    at (may be missing), ``D/<style>/paired`` a painted counterpart of every picture of
    ``D/train_photo`` (may be missing). Counterparts have the same name within their folder; their
    suffix may differ.

    Args:
        dataset_dir: D.
        style: Name of the style's folder.
        need_smooth: Whether smooth pictures are wanted; without, `smooth` is empty.
        need_paired: Whether it is an error that there is no ``paired``.

    Returns:
        The pictures; style pictures that smoothing reported as broken are left out, with a line on
        the log.

    Raises:
        FileNotFoundError: A folder or a counterpart is missing, or a folder is empty.
        ValueError: Two pictures of a folder with counterparts share a name but for the suffix.
    """
    root = Path(dataset_dir)
    photo_dir, style_dir = root / "train_photo", root / style / "style"
    smooth_dir, paired_dir, val_dir = root / style / "smooth", root / style / "paired", root / "val"
    smooth_remedy = f"make it with: anime-tf dataset smooth --style_dir={style_dir}"
    required = {photo_dir: "photos", style_dir: "pictures of the style"}
    if need_smooth:
        required[smooth_dir] = f"edge-smoothed pictures of the style ({smooth_remedy})"
    if need_paired:
        required[paired_dir] = f"painted counterparts of the pictures of {photo_dir}"
    found: dict[Path, list[Path]] = {}
    for folder, what in required.items():
        try:
            found[folder] = find_pictures(folder)
        except FileNotFoundError as error:
            layout = "; ".join(f"{key}: {value}" for key, value in required.items())
            raise FileNotFoundError(
                f"{error}, where {what} must be; a data set has {layout}; and {val_dir}: photos to "
                "look at, optional"
            ) from error
    photos, styles = found[photo_dir], found[style_dir]
    smooths: tuple[Path, ...] = ()
    if need_smooth:
        skipped = _skipped_by_smoothing(smooth_dir)
        broken = [path for path in styles if path.relative_to(style_dir).as_posix() in skipped]
        for path in broken:
            logging.warning("%s: left out, smoothing could not read it", path)
        styles = [path for path in styles if path not in broken]
        smooths = _counterparts(styles, style_dir, smooth_dir, smooth_remedy + " --overwrite")
    paired = None
    if need_paired or paired_dir.is_dir():
        paired = _counterparts(photos, photo_dir, paired_dir, "add it, or remove the photo")
    try:
        val = find_pictures(val_dir)
    except FileNotFoundError:
        val = []
    return DatasetFolders(tuple(photos), tuple(styles), smooths, tuple(val), paired)
