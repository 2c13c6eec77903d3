"""Many files: which picture becomes which file; reading, stylizing and writing in parallel."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain, count, islice
from pathlib import Path
from typing import Any, TypeVar

from absl import logging

from anime_tf.errors import counted, error_line
from anime_tf.io.folders import Listing, list_files, list_folder
from anime_tf.io.kinds import PICTURE_SUFFIXES
from anime_tf.io.marks import check_replaceable
from anime_tf.io.paths import check_writable, expand_glob, glob_root, has_wildcard
from anime_tf.io.pictures import (
    DEEP_SUFFIXES,
    WRITABLE_SUFFIXES,
    Picture,
    read_array,
    read_picture,
    write_picture,
)
from anime_tf.io.terminal import Progress, write_line

# threads that read and decode; OpenCV releases the interpreter's lock meanwhile
READERS = min(4, os.cpu_count() or 1)

WRITERS = 2  # threads that encode and write
Item = TypeVar("Item")
Source = TypeVar("Source")
Result = TypeVar("Result")


class BackendUnavailableError(OSError):
    """The backend is gone: the remaining pictures fail untried, for the same reason."""


# errors of a picture or of the machine; any other is a bug of the program
_FAILURES = (ValueError, OSError, MemoryError)


@dataclass(frozen=True)
class Task:
    """A picture to read, and the file that it becomes; or the reason why it cannot be read."""

    source: Path
    target: Path
    problem: str = ""


@dataclass(frozen=True)
class BatchReport:
    """Written files in the order of the tasks, and a line for each failure, its path first."""

    written: tuple[Path, ...]
    failures: tuple[str, ...]


def plan(
    source: str, output: str | None, *, bits: int = 8, keep_foreign: bool = False
) -> list[Task]:
    """Decide which file each picture becomes; touch no file.

    The pictures of a folder or glob go into a folder with the same structure, below the folder or
    below the part of the glob before its first wildcard. Each name keeps its suffix if that format
    can be written, else it gets ``.png``. Pictures in an output folder inside the input folder are
    skipped. No two tasks write the same file, and none writes a file that is read.

    Args:
        source: A file, a folder (with all subfolders), or a glob, with ``**`` for any depth.
        output: A folder, or for a single file also the file to write; a new folder for a single
            file ends in ``/``. None for `default_output`.
        bits: 8, or 16 for formats with 16 bits per channel alone.
        keep_foreign: Refuse to replace pictures and videos that other programs wrote.

    Raises:
        FileExistsError: An output is such a file.
        FileNotFoundError: No such file, folder or match, or no picture among them.
        NotADirectoryError: A file stands where a folder is needed.
        PermissionError: The output's folder cannot be written to.
        ValueError: An output that would overwrite an input, or in a format that is not written.
    """
    output = output or default_output(source)
    suffixes = WRITABLE_SUFFIXES if bits == 8 else DEEP_SUFFIXES
    if _is_file(source):
        tasks = [Task(Path(source), _single_target(Path(source), output, suffixes))]
    else:
        folder, listing = list_input(source)
        root = Path(output)
        if root.suffix.lower() in WRITABLE_SUFFIXES and not root.exists():
            raise ValueError(
                f"{output}: expected a folder for the pictures of {source}, got the name of a "
                f"picture; write {output}/ for a folder"
            )
        if root.exists() and not root.is_dir():
            raise NotADirectoryError(
                f"{output}: expected a folder for the pictures of {source}, got a file"
            )
        tasks = assign_targets(folder, _not_inside(listing, folder, root), root, suffixes)
        listing.log_ignored()
    _check_outputs(tasks)
    if keep_foreign:
        check_replaceable(task.target for task in tasks)
    return tasks


def default_output(source: str) -> str:
    """Return ``NAME_anime`` beside a picture or a folder; ValueError for a pattern."""
    path = Path(source)
    if path.name in ("", ".."):
        path = path.resolve()
    if path.is_dir():
        return f"{path.with_name(f'{path.name}_anime')}/"
    if _is_file(source):
        suffix = path.suffix if path.suffix.lower() in WRITABLE_SUFFIXES else ".png"
        return str(path.with_name(f"{path.stem}_anime{suffix}"))
    if has_wildcard(source):
        raise ValueError("output: expected a folder for the pictures of a pattern, got none")
    return source  # missing, which the search reports


def _single_target(source: Path, output: str, suffixes: Sequence[str]) -> Path:
    if os.path.isdir(output) or output.endswith(("/", os.sep)):
        return Path(output) / _written_name(source, suffixes)
    target = Path(output)
    suffix = target.suffix.lower()
    if suffix in WRITABLE_SUFFIXES and suffix not in suffixes:
        raise ValueError(
            f"{output}: expected {', '.join(suffixes)} with 16 bits per channel, got {suffix}, "
            "which has 8"
        )
    if suffix not in suffixes:
        raise ValueError(
            f"{output}: expected a name in {', '.join(WRITABLE_SUFFIXES)}; write {output}/ for a "
            "folder"
        )
    return target


def list_input(source: str) -> tuple[Path, Listing]:
    """Return the root of the output's structure, and the files of a folder or glob."""
    expected = f"{source}: expected pictures ({', '.join(PICTURE_SUFFIXES)})"
    if os.path.isdir(source):
        listing = list_folder(source)
        if not (listing.pictures or listing.unreadable):
            raise FileNotFoundError(f"{expected}, got none")
        return Path(source), listing
    if not has_wildcard(source):
        raise FileNotFoundError(
            f"{source}: no such file or folder; expected a picture, a folder of pictures, or a "
            'pattern such as "photos/**/*.jpg"'
        )
    matches = expand_glob(source)
    listing = list_files(path for path in matches if not path.is_dir())
    if not (listing.pictures or listing.unreadable):
        found = "other files" if listing.ignored else "folders"
        raise FileNotFoundError(f"{expected}, but the pattern matches only {found}")
    return glob_root(source), listing


def _not_inside(listing: Listing, folder: Path, root: Path) -> dict[Path, str]:
    """Return path -> problem, without what an earlier run wrote to a folder inside the input."""
    found = {**dict.fromkeys(listing.pictures, ""), **listing.unreadable}
    if _real(root) == _real(folder):
        return found
    kept = outside(root, found)
    if not kept:
        raise FileNotFoundError(
            f"{folder}: expected pictures outside of the output folder {root}, got none; choose "
            "another --output"
        )
    return kept


def outside(folder: Path, found: dict[Path, str]) -> dict[Path, str]:
    """Return path -> problem, without the files below a folder."""
    inner = _real(folder)
    return {path: why for path, why in found.items() if inner not in _real(path).parents}


def _written_name(source: Path, suffixes: Sequence[str]) -> str:
    """Return a file's name with a suffix that can be written."""
    known = source.suffix.lower() in suffixes
    return source.name if known else source.with_suffix(".png").name


def assign_targets(
    folder: Path,
    found: dict[Path, str],
    root: Path,
    suffixes: Sequence[str],
    default: str = ".png",
) -> list[Task]:
    """Return distinct targets in the structure of `folder`; unchanged names have priority."""
    places = {path: root / path.relative_to(folder) for path in found}
    targets = {path: place for path, place in places.items() if path.suffix.lower() in suffixes}
    taken = set(targets.values())
    for path, place in places.items():
        if path in targets:
            continue
        # a.gif beside a.png becomes a_gif.png
        names = (place.with_name(f"{stem}{default}") for stem in _stems(path))
        targets[path] = next(name for name in names if name not in taken)
        taken.add(targets[path])
    tasks = [Task(path, targets[path], problem) for path, problem in found.items()]
    return sorted(tasks, key=lambda task: task.source.relative_to(folder).as_posix())


def _stems(path: Path) -> Iterator[str]:
    """Yield names to try in turn: a, a_png, a_png_2, a_png_3 ..."""
    long = f"{path.stem}_{path.suffix[1:]}"
    return chain((path.stem, long), (f"{long}_{number}" for number in count(2)))


def _check_outputs(tasks: Sequence[Task]) -> None:
    """Check that no input is overwritten, and that all folders are writable."""
    inputs = {_real(task.source) for task in tasks}
    identities = {(s.st_dev, s.st_ino) for s in (_status(task.source) for task in tasks) if s}
    for task in tasks:
        # Also by identity: a name in other case is the same file on some disks.
        status = _status(task.target)
        same = status is not None and (status.st_dev, status.st_ino) in identities
        if same or _real(task.target) in inputs:
            raise ValueError(f"{task.target}: would overwrite an input; choose another --output")
    for parent in {task.target.parent for task in tasks}:
        check_writable(parent)


def _is_file(path: str | os.PathLike[str]) -> bool:
    """Return whether a name means anything but a folder; opening it tells whether it is a file."""
    return os.path.lexists(path) and not os.path.isdir(path)


def _real(path: Path) -> Path:
    return Path(os.path.realpath(path))  # unlike Path.resolve, also for a loop of links


def _status(path: Path) -> os.stat_result | None:
    """Return the status of a file; None if it is missing, or a link to nothing."""
    try:
        return path.stat()
    except OSError:
        return None


def stylize_files(
    tasks: Sequence[Task],
    stylize: Callable[[Any], Any],
    *,
    quality: int = 95,
    bits: int = 8,
    allow_truncated: bool = False,
    log: Callable[[str], None] = write_line,
) -> BatchReport:
    """Read, stylize and write pictures in parallel; a file that fails does not stop the others.

    Args:
        tasks: Files to read and write; missing folders are made.
        stylize: Maps `Picture` to `Picture`, with 16 bits an array of `pictures.read_array` to one
            of uint16; called from this thread alone.
        quality: Quality of JPEG and WebP, 1..100.
        bits: 8 or 16 bits per channel.
        allow_truncated: Decode files that are cut in the middle.
        log: Takes the line of each failure at once; by default to stderr.
    """
    read: Callable[..., Any] = read_picture if bits == 8 else read_array
    return run_tasks(
        tasks,
        read=lambda task: read(task.source, allow_truncated=allow_truncated),
        work=lambda pictures: [stylize(picture) for picture in pictures],
        write=lambda task, picture: write_picture(task.target, picture, quality=quality),
        log=log,
    )


def extract_files(
    tasks: Sequence[Task],
    extract: Callable[[Picture], Sequence[Picture]],
    name: str,
    *,
    allow_truncated: bool = False,
    log: Callable[[str], None] = write_line,
) -> BatchReport:
    """Make any number of pictures from each, such as one per face.

    ``out/a.jpg`` becomes ``out/a_NAME1.png`` and so on; a picture without results is neither
    written nor a failure. `extract` is called from this thread alone; others as `stylize_files`.
    """
    stems = distinct_stems(tasks)
    inputs = {_real(task.source) for task in tasks}
    written: dict[Path, list[Path]] = {}

    def write(task: Task, made: Sequence[Picture]) -> None:
        done = written.setdefault(task.target, [])
        for number, picture in enumerate(made, start=1):
            path = task.target.with_name(f"{stems[task.target]}_{name}{number}.png")
            if _real(path) in inputs:
                raise ValueError(f"{path}: would overwrite an input; choose another --output")
            write_picture(path, picture)
            done.append(path)
        if not made:
            logging.info("%s: no %s found", task.source, name)

    report = run_tasks(
        tasks,
        read=lambda task: read_picture(task.source, allow_truncated=allow_truncated),
        work=lambda pictures: [extract(picture) for picture in pictures],
        write=write,
        log=log,
    )
    in_order = [path for task in tasks for path in written.get(task.target, [])]
    return BatchReport(tuple(in_order), report.failures)


def outcome(
    tasks: Sequence[Task], report: BatchReport, output: str | os.PathLike[str], item: str = ""
) -> str:
    """Return what was written and where, in words.

    Args:
        tasks: All pictures.
        report: The results.
        output: The folder of the results of several pictures.
        item: Name of what `extract_files` made, such as "face"; empty for `stylize_files`.
    """
    failed, written = len(report.failures), report.written
    if not written:
        facts = [f"{counted(failed, 'picture')} failed"] if failed else []
        if item and failed < len(tasks):
            facts.insert(0, f"no {item} found in {counted(len(tasks) - failed, 'picture')}")
        return ", ".join([*facts, "nothing written"])
    if len(tasks) > 1:
        place = os.fspath(output)
    else:
        names = written if len(written) < 4 else (written[0], "...", written[-1])
        place = ", ".join(map(str, names))
    made = counted(len(written), item) if item else f"{len(written)}"
    return f"{made} of {counted(len(tasks), 'picture')} written to {place}"


def distinct_stems(tasks: Sequence[Task]) -> dict[Path, str]:
    """Return target -> stem, with the suffix where two stems are equal: a, a_png."""
    stems: dict[Path, str] = {}
    taken: set[Path] = set()
    for target in [task.target for task in tasks]:
        stems[target] = next(s for s in _stems(target) if target.with_name(s) not in taken)
        taken.add(target.with_name(stems[target]))
    return stems


def run_tasks(
    tasks: Sequence[Task],
    *,
    read: Callable[[Task], Source],
    work: Callable[[list[Source]], Sequence[Result | Exception]],
    write: Callable[[Task, Result], None],
    batch_size: int = 1,
    log: Callable[[str], None] = write_line,
) -> BatchReport:
    """Read, process and write files in parallel.

    Args:
        tasks: Files to read and write; missing folders are made.
        read: Reads the source of a task; called from several threads.
        work: Processes up to `batch_size` sources; called from this thread alone. Returns a result
            or an error for each. An error that it raises counts for the whole batch, and a
            `BackendUnavailableError` for all later tasks, too; before the first written file it is
            raised.
        write: Writes a result to the target of a task; called from several threads.
        batch_size: At least 1.
        log: As of `stylize_files`.
    """
    written: list[Path] = []
    failures: list[str] = []
    pending: deque[tuple[Task, Future[None]]] = deque()
    readers = ThreadPoolExecutor(READERS, "reader")
    writers = ThreadPoolExecutor(WRITERS, "writer")
    progress = Progress(len(tasks), "pictures")

    def fail(path: Path, error: Exception) -> None:
        line = failure_line(path, error)
        failures.append(line)
        log(line)
        progress.update()

    def settle(task: Task, future: Future[None]) -> None:
        try:
            future.result()
        except _FAILURES as error:
            fail(task.target, error)
        else:
            written.append(task.target)
            progress.update()

    def read_task(task: Task) -> Source:
        if task.problem:
            raise ValueError(f"{task.source}: {task.problem}")
        return read(task)

    def put(task: Task, result: Result) -> None:
        task.target.parent.mkdir(parents=True, exist_ok=True)
        write(task, result)

    try:
        ahead = read_ahead(readers, tasks, read_task)
        begun = 0
        while group := list(islice(ahead, batch_size)):
            begun += len(group)
            ready: list[tuple[Task, Source]] = []
            for task, reading in group:
                try:
                    ready.append((task, reading.result()))
                except _FAILURES as error:
                    fail(task.source, error)
            if not ready:
                continue
            try:
                results = work([source for _, source in ready])
            except BackendUnavailableError as error:
                while pending:
                    settle(*pending.popleft())
                if not written:
                    raise
                for task in [task for task, _ in ready] + list(tasks[begun:]):
                    fail(task.source, error)
                break
            except _FAILURES as error:
                results = [error] * len(ready)
            for (task, _), result in zip(ready, results, strict=True):
                if isinstance(result, Exception):
                    fail(task.source, result)
                    continue
                if len(pending) >= 2 * WRITERS:
                    settle(*pending.popleft())
                pending.append((task, writers.submit(put, task, result)))
        while pending:
            settle(*pending.popleft())
    finally:
        # Without cancelling, an interrupt would wait for all queued pictures.
        readers.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)
        progress.close()
    return BatchReport(tuple(written), tuple(failures))


def read_ahead(
    readers: ThreadPoolExecutor,
    tasks: Iterable[Item],
    read: Callable[[Item], Source],
    count: int = READERS,
) -> Iterator[tuple[Item, Future[Source]]]:
    """Yield each task with its source while the next ones are read."""
    ahead: deque[tuple[Item, Future[Source]]] = deque()
    for task in tasks:
        ahead.append((task, readers.submit(read, task)))
        if len(ahead) > count:
            yield ahead.popleft()
    yield from ahead


def failure_line(path: str | os.PathLike[str], error: Exception) -> str:
    """Return one line that begins with the path and says what went wrong."""
    if isinstance(error, OSError) and error.strerror:
        return f"{path}: {error.strerror[0].lower()}{error.strerror[1:]}"
    reason = error_line(error).rstrip()
    return reason if reason.startswith(f"{path}: ") else f"{path}: {reason}"
