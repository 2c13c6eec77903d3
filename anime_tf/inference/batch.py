"""Many files: which picture goes where, and reading, stylising and writing at the same time."""

from __future__ import annotations

import glob
import os
import re
import sys
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar

from absl import logging
from tqdm import tqdm

from anime_tf.io.folders import PICTURE_SUFFIXES, find_pictures
from anime_tf.io.pictures import (
    DEEP_SUFFIXES,
    WRITABLE_SUFFIXES,
    Picture,
    read_array,
    read_picture,
    write_picture,
)

_MAGIC = re.compile(r"[*?[]")

READERS = min(4, os.cpu_count() or 1)
"""Threads that read and decode; OpenCV lets go of the interpreter's lock meanwhile."""

WRITERS = 2
"""Threads that encode and write."""

Source = TypeVar("Source")
Result = TypeVar("Result")


class EngineLost(OSError):
    """What stylises is gone: the pictures that are left fail untried, for the same reason."""


_FAILURES = (ValueError, OSError, MemoryError)
"""Faults of a picture or of the machine; anything else is a fault of the program."""


@dataclass(frozen=True)
class Job:
    """A picture to be read, and the file that it becomes.

    Attributes:
        source: The file to read.
        target: The file to write.
    """

    source: Path
    target: Path


@dataclass(frozen=True)
class BatchReport:
    """How a batch of files went, in the order of the jobs.

    Attributes:
        written: The files that were written.
        failures: The files that were not read, stylised or written, and why: one line each, which
            begins with the path.
    """

    written: tuple[Path, ...]
    failures: tuple[str, ...]


def plan(source: str, output: str, *, bits: int = 8) -> list[Job]:
    """Decides which file each picture becomes; touches no file.

    A folder and a glob are written into a folder, in the structure that lies below the folder, or
    below the part of the glob before its first wildcard. Each name keeps its suffix where that can
    be written, else it gets ``.png``. Pictures that already lie in an output folder inside of the
    input folder are not taken.

    Args:
        source: A file, a folder (with all below it), or a glob, with ``**`` for any depth.
        output: A folder; for a single file also the file to write. A folder that does not exist
            yet is told from a file by an ending ``/``.
        bits: 8, or 16: then files of kinds that hold only 8 bits a value are not written, and
            names of such get ``.png``.

    Returns:
        At least one job; no two write the same file, and none writes a file that is read.

    Raises:
        FileNotFoundError: No such file, folder or match, or no picture among them.
        NotADirectoryError: A file stands where a folder is needed.
        PermissionError: The output's folder cannot be written to.
        ValueError: An output that would overwrite an input, or of a kind that is not written.
    """
    suffixes = WRITABLE_SUFFIXES if bits == 8 else DEEP_SUFFIXES
    if os.path.isfile(source):
        jobs = [Job(Path(source), _single_target(Path(source), output, suffixes))]
    else:
        folder, found = _find(source)
        root = Path(output)
        if root.suffix.lower() in WRITABLE_SUFFIXES and not root.exists():
            raise ValueError(
                f"{output}: is the name of a picture, but {source} may be many pictures; "
                f"name a folder, or write {output}/ if you mean one"
            )
        if root.exists() and not root.is_dir():
            raise NotADirectoryError(
                f"{output}: expected a folder for the pictures of {source}, found a file"
            )
        jobs = _targets(folder, _not_inside(found, folder, root), root, suffixes)
    _check_outputs(jobs)
    return jobs


def _single_target(source: Path, output: str, suffixes: Sequence[str]) -> Path:
    if os.path.isdir(output) or output.endswith(("/", os.sep)):
        return Path(output) / _written_name(source, suffixes)
    target = Path(output)
    suffix = target.suffix.lower()
    if suffix in WRITABLE_SUFFIXES and suffix not in suffixes:
        raise ValueError(
            f"{output}: a {suffix} picture holds 8 bits a value; with 16 bits use one of "
            f"{', '.join(suffixes)}"
        )
    if suffix not in suffixes:
        raise ValueError(
            f"{output}: pictures are written as {', '.join(WRITABLE_SUFFIXES)}; "
            f"use one of these suffixes, or write {output}/ if you mean a folder"
        )
    return target


def _find(source: str) -> tuple[Path, list[Path]]:
    """The folder that structure counts from, and the pictures of a folder or glob."""
    if os.path.isdir(source):
        return Path(source), find_pictures(source)
    magic = _MAGIC.search(source)
    if magic is None:
        raise FileNotFoundError(
            f"{source}: no such file or folder; expected a picture, a folder of pictures, or a "
            "pattern such as 'photos/**/*.jpg'"
        )
    matches = [Path(match) for match in sorted(set(glob.glob(source, recursive=True)))]
    found = [path for path in matches if path.suffix.lower() in PICTURE_SUFFIXES and path.is_file()]
    if not found:
        raise FileNotFoundError(
            f"{source}: matches {len(matches)} files and folders, none of them a picture "
            f"({', '.join(PICTURE_SUFFIXES)})"
        )
    return Path(os.path.dirname(source[: magic.start()])), found


def _not_inside(found: list[Path], folder: Path, root: Path) -> list[Path]:
    """Leaves out what an earlier run has written to a folder inside of the input folder."""
    inner = root.resolve()
    if inner == folder.resolve():
        return found
    kept = [path for path in found if inner not in path.resolve().parents]
    if not kept:
        raise FileNotFoundError(
            f"{folder}: all its pictures lie in the output folder {root}; name another --output"
        )
    return kept


def _written_name(source: Path, suffixes: Sequence[str]) -> str:
    """A file's name with a suffix that can be written."""
    known = source.suffix.lower() in suffixes
    return source.name if known else source.with_suffix(".png").name


def _targets(folder: Path, found: list[Path], root: Path, suffixes: Sequence[str]) -> list[Job]:
    """Distinct targets in the structure below `folder`; names that need no change come first."""
    places = {path: root / path.relative_to(folder) for path in found}
    targets = {
        path: place for path, place in places.items() if _written_name(path, suffixes) == path.name
    }
    taken = set(targets.values())
    for path, place in places.items():
        if path in targets:
            continue
        target = place.with_name(_written_name(path, suffixes))
        number = 1
        while target in taken:  # a.gif beside a.png becomes a_gif.png
            tail = f"_{number}" if number > 1 else ""
            target = place.with_name(f"{path.stem}_{path.suffix[1:]}{tail}.png")
            number += 1
        targets[path] = target
        taken.add(target)
    return [Job(path, targets[path]) for path in found]


def _check_outputs(jobs: Sequence[Job]) -> None:
    """Refuses to overwrite an input, and folders that cannot be written to."""
    inputs = {job.source.resolve() for job in jobs}
    identities = {_identity(job.source) for job in jobs}
    for job in jobs:
        # Also by identity: a name in other case is the same file on some disks.
        same = job.target.exists() and _identity(job.target) in identities
        if same or job.target.resolve() in inputs:
            raise ValueError(
                f"{job.target}: this output would overwrite an input; name another --output"
            )
    for parent in {job.target.parent for job in jobs}:
        existing = next(place for place in (parent, *parent.absolute().parents) if place.exists())
        if not existing.is_dir():
            raise NotADirectoryError(f"{parent}: expected a folder, but {existing} is a file")
        if not os.access(existing, os.W_OK | os.X_OK):
            raise PermissionError(f"{parent}: no permission to write there; name another --output")


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino


def run(
    jobs: Sequence[Job],
    stylise: Callable[[Any], Any],
    *,
    quality: int = 95,
    bits: int = 8,
    tell: Callable[[str], None] | None = None,
) -> BatchReport:
    """Reads, stylises and writes pictures, each on threads of its own.

    A file that fails does not stop the others. At most a few pictures are held at a time.

    Args:
        jobs: What to read and write; missing folders are made.
        stylise: What happens to a picture; called from this thread alone. It takes and gives a
            `Picture`; with 16 bits it takes an array as of `pictures.read_array`, and gives one of
            uint16.
        quality: Of JPEG and WebP, 1..100.
        bits: 8 or 16 a value.
        tell: Called with the line of each failure as it happens; writes to stderr by default.

    Returns:
        What was written and what failed.
    """
    read: Callable[[Path], Any] = read_picture if bits == 8 else read_array
    return run_batches(
        jobs,
        read=lambda job: read(job.source),
        work=lambda pictures: [stylise(picture) for picture in pictures],
        write=lambda job, picture: write_picture(job.target, picture, quality=quality),
        tell=tell,
    )


def run_several(
    jobs: Sequence[Job],
    stylise: Callable[[Picture], Sequence[Picture]],
    name: str,
    *,
    tell: Callable[[str], None] | None = None,
) -> BatchReport:
    """Makes any number of pictures out of each: `run` for what is cut out of pictures.

    Args:
        jobs: What to read, and where to write: ``out/a.jpg`` becomes ``out/a_NAME1.png`` and so on.
        stylise: What is made of a picture, from none to many; called from this thread alone.
        name: What follows the name of the picture.
        tell: As of `run`.

    Returns:
        The pictures that were written, and what failed; a picture out of which nothing is made is
        neither.
    """
    stems = _distinct_stems(jobs)
    inputs = {job.source.resolve() for job in jobs}
    written: dict[Path, list[Path]] = {}

    def write(job: Job, made: Sequence[Picture]) -> None:
        done = written.setdefault(job.target, [])
        for number, picture in enumerate(made, start=1):
            path = job.target.with_name(f"{stems[job.target]}_{name}{number}.png")
            if path.resolve() in inputs:
                raise ValueError(f"{path}: would overwrite an input; name another --output")
            write_picture(path, picture)
            done.append(path)
        if not made:
            logging.info("%s: no %s found", job.source, name)

    report = run_batches(
        jobs,
        read=lambda job: read_picture(job.source),
        work=lambda pictures: [stylise(picture) for picture in pictures],
        write=write,
        tell=tell,
    )
    in_order = [path for job in jobs for path in written.get(job.target, [])]
    return BatchReport(tuple(in_order), report.failures)


def _distinct_stems(jobs: Sequence[Job]) -> dict[Path, str]:
    """Target -> its name without the suffix, where that is another's, too, with it: a, a_png."""
    stems: dict[Path, str] = {}
    taken: set[Path] = set()
    for target in [job.target for job in jobs]:
        stem, tail = target.stem, 1
        while target.with_name(stem) in taken:
            stem = f"{target.stem}_{target.suffix[1:]}" + (f"_{tail}" if tail > 1 else "")
            tail += 1
        taken.add(target.with_name(stem))
        stems[target] = stem
    return stems


def run_batches(
    jobs: Sequence[Job],
    *,
    read: Callable[[Job], Source],
    work: Callable[[list[Source]], Sequence[Result | Exception]],
    write: Callable[[Job, Result], None],
    batch_size: int = 1,
    tell: Callable[[str], None] | None = None,
) -> BatchReport:
    """Reads, works on and writes files, each on threads of its own: `run` for any kind of work.

    Args:
        jobs: What to read and write; missing folders are made.
        read: Reads the source of a job; called from several threads.
        work: What happens to what was read, `batch_size` at a time or fewer; called from this
            thread alone. Returns a result for each, or the error that stands in its place. What it
            raises itself counts for all that it was given, and an `EngineLost` for all that
            follow, too; that is raised where nothing has been written yet.
        write: Writes a result to the target of a job; called from several threads.
        batch_size: At least 1.
        tell: As of `run`.

    Returns:
        What was written and what failed.

    Raises:
        EngineLost: Nothing could be done.
    """
    tell = tell or _tell
    written: list[Path] = []
    failures: list[str] = []
    pending: deque[tuple[Job, Future[None]]] = deque()
    readers = ThreadPoolExecutor(READERS, "reader")
    writers = ThreadPoolExecutor(WRITERS, "writer")
    # disable=None: no bar where stderr is not a terminal.
    bar = tqdm(total=len(jobs), unit=" pictures", disable=None, file=sys.stderr)

    def fail(path: Path, error: Exception) -> None:
        line = _line(path, error)
        failures.append(line)
        tell(line)
        bar.update()

    def settle(job: Job, future: Future[None]) -> None:
        try:
            future.result()
        except _FAILURES as error:
            fail(job.target, error)
        else:
            written.append(job.target)
            bar.update()

    def put(job: Job, result: Result) -> None:
        job.target.parent.mkdir(parents=True, exist_ok=True)
        write(job, result)

    try:
        ahead = _read_ahead(readers, jobs, read)
        begun = 0
        while group := list(islice(ahead, batch_size)):
            begun += len(group)
            ready: list[tuple[Job, Source]] = []
            for job, reading in group:
                try:
                    ready.append((job, reading.result()))
                except _FAILURES as error:
                    fail(job.source, error)
            if not ready:
                continue
            try:
                results = work([source for _, source in ready])
            except EngineLost as error:
                while pending:
                    settle(*pending.popleft())
                if not written:
                    raise
                for job in [job for job, _ in ready] + list(jobs[begun:]):
                    fail(job.source, error)
                break
            except _FAILURES as error:
                results = [error] * len(ready)
            for (job, _), result in zip(ready, results, strict=True):
                if isinstance(result, Exception):
                    fail(job.source, result)
                    continue
                if len(pending) >= 2 * WRITERS:
                    settle(*pending.popleft())
                pending.append((job, writers.submit(put, job, result)))
        while pending:
            settle(*pending.popleft())
    finally:
        # Without cancelling, an interrupt would wait for every picture that is queued.
        readers.shutdown(cancel_futures=True)
        writers.shutdown(cancel_futures=True)
        bar.close()
    return BatchReport(tuple(written), tuple(failures))


def _read_ahead(
    readers: ThreadPoolExecutor, jobs: Sequence[Job], read: Callable[[Job], Source]
) -> Iterator[tuple[Job, Future[Source]]]:
    """Yields each job with what was read for it, while the next ones are being read."""
    ahead: deque[tuple[Job, Future[Source]]] = deque()
    for job in jobs:
        ahead.append((job, readers.submit(read, job)))
        if len(ahead) > READERS:
            yield ahead.popleft()
    yield from ahead


def _tell(line: str) -> None:
    """Writes to stderr without tearing a progress bar."""
    tqdm.write(line, file=sys.stderr)


def _line(path: Path, error: Exception) -> str:
    """One line that begins with the path and says what went wrong."""
    if isinstance(error, OSError) and error.strerror:
        return f"{path}: {error.strerror[0].lower()}{error.strerror[1:]}"
    reason = " ".join((str(error) or type(error).__name__).split())
    return reason if reason.startswith(f"{path}: ") else f"{path}: {reason}"
