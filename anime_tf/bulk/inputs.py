"""Which files a bulk job reads, and the names of its results."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from anime_tf.bulk import storage
from anime_tf.bulk.manifest import FOLDER
from anime_tf.bulk.storage import FileInfo
from anime_tf.inference.batch import assign_targets, distinct_stems, list_input, outside
from anime_tf.io.kinds import PICTURE_SUFFIXES, VIDEO_SUFFIXES
from anime_tf.io.paths import glob_root, has_wildcard
from anime_tf.io.pictures import DEEP_SUFFIXES, WRITABLE_SUFFIXES
from anime_tf.io.video.codecs import CONTAINERS

_LISTS = (".csv", ".parquet")
PATH_COLUMN = "path"


@dataclass(frozen=True)
class Source:
    """A file to stylize.

    Attributes:
        address: Its address.
        output: Name of the result below the output folder.
        info: Its size and time of change; None if unknown.
        is_video: Whether it is a video.
        problem: Reason why it cannot be read; empty for none.
    """

    address: str
    output: str
    info: FileInfo | None = None
    is_video: bool = False
    problem: str = ""


def find_sources(source: str, output: str, bits: int = 8, *, crops: bool = False) -> list[Source]:
    """List the files of an input with their results; see `BulkConfig`.

    Names are those that ``infer`` chooses: ``a.gif`` becomes ``a.png``, beside one ``a_gif.png``.
    Results of videos that cannot be written become ``.mp4``.

    Args:
        source: The input.
        output: Address of the output folder.
        bits: 8, or 16 for formats with 16 bits per channel alone.
        crops: Names for faces, to which a number is appended, with distinct stems.

    Raises:
        FileNotFoundError: There are no such files.
        ValueError: A list without addresses, or an output that is the input.
    """
    if source.rstrip("/") == output.rstrip("/"):
        raise ValueError(f"{output}: expected another folder than the input, got the same")
    root, found = _find(source, output)
    if not found:
        raise FileNotFoundError(f"{source}: expected pictures or videos, got none")
    suffixes = WRITABLE_SUFFIXES if bits == 8 else DEEP_SUFFIXES
    videos = {name for name in found if _is_video(name)}
    targets = _targets(set(found) - videos, suffixes, crops=crops)
    targets |= _targets(videos, tuple(CONTAINERS), ".mp4")
    sources = [
        Source(
            storage.join(root, name) if root else name,
            targets[name],
            info,
            name in videos,
            "" if name in videos else problem,
        )
        for name, (info, problem) in found.items()
    ]
    return sorted(sources, key=lambda one: one.output)


def _find(source: str, output: str) -> tuple[str, dict[str, tuple[FileInfo | None, str]]]:
    """Return the input's folder, and name in it -> facts and problem."""
    path = storage.local_path(source)
    if PurePosixPath(source).suffix.lower() in _LISTS and not has_wildcard(source):
        return "", {address: (None, "") for address in _read_list(source)}
    if path is not None:
        return _find_local(path, output)
    root = source
    if has_wildcard(source):
        scheme, _, rest = source.partition("://")
        root = f"{scheme}://{glob_root(rest).as_posix()}"
    one = None if root != source else storage.info(source)
    if one is not None:
        root, _, name = source.rpartition("/")
        return root, {name: (one, "")}
    inner = output.rstrip("/")[len(root.rstrip("/")) + 1 :] if output.startswith(root) else None
    matches = _matcher(source)
    found: dict[str, tuple[FileInfo | None, str]] = {
        name: (info, "")
        for name, info in storage.list_files(root).items()
        if PurePosixPath(name).suffix.lower() in (*PICTURE_SUFFIXES, *VIDEO_SUFFIXES)
        and not any(part.startswith(".") for part in name.split("/"))
        and not (inner and name.startswith(f"{inner}/"))
        and (root == source or matches(storage.join(root, name)))
    }
    return root, found


def _matcher(pattern: str) -> Callable[[str], object]:
    """Return a function that tells whether an address matches a pattern with ``**``."""
    from fsspec.utils import glob_translate

    return re.compile(glob_translate(pattern)).match


def _find_local(path: Path, output: str) -> tuple[str, dict[str, tuple[FileInfo | None, str]]]:
    if path.is_file():
        return str(path.parent.absolute()), {path.name: (storage.info(str(path)), "")}
    folder, listing = list_input(str(path))
    files = {**dict.fromkeys(listing.pictures, ""), **listing.unreadable}
    target = storage.local_path(output)
    if target is not None:
        files = outside(target, files)
    listing.log_ignored()
    return str(folder.absolute()), {
        file.relative_to(folder).as_posix(): (storage.info(str(file)), problem)
        for file, problem in files.items()
    }


def _read_list(address: str) -> list[str]:
    """Return the addresses of a list; relative ones lie beside it."""
    from pyarrow import csv, parquet

    reader = parquet.read_table if address.lower().endswith(".parquet") else csv.read_csv
    with storage.local_copy(address) as path:
        table = reader(str(path))
    if PATH_COLUMN not in table.column_names:
        raise ValueError(
            f"{address}: expected a column {PATH_COLUMN} of addresses, got "
            f"{', '.join(table.column_names)}"
        )
    folder = address.rpartition("/")[0] or "."
    names = [str(name) for name in table[PATH_COLUMN].to_pylist()]
    return [n if "://" in n or n.startswith("/") else storage.join(folder, n) for n in names]


def _is_video(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in VIDEO_SUFFIXES


def _targets(
    names: Iterable[str], suffixes: Sequence[str], default: str = ".png", crops: bool = False
) -> dict[str, str]:
    """Return name -> name of the result; addresses lose their kind, and .. of a path."""
    places = {name: Path(*_parts(name)) for name in sorted(names)}
    unique = dict.fromkeys(places.values(), "")
    tasks = assign_targets(Path(), unique, Path(), suffixes, default)
    targets = {task.source: task.target.as_posix() for task in tasks}
    if crops:
        stems = distinct_stems(tasks)
        targets = {
            task.source: task.target.with_name(f"{stems[task.target]}.png").as_posix()
            for task in tasks
        }
    return {name: targets[place] for name, place in places.items()}


def _parts(name: str) -> list[str]:
    parts = [part for part in name.partition("://")[2 if "://" in name else 0].split("/") if part]
    parts = [part for part in parts if part not in (".", "..")]
    if parts[:1] == [FOLDER]:
        raise ValueError(f"{name}: expected another name than {FOLDER}, the folder of the manifest")
    return parts
