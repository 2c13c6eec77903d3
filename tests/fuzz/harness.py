"""Drives parts of the package with mutated files, and reports what they do wrong.

A fault is a crash, a hang of more than 10 seconds, an error that is no ValueError or OSError, one
of several lines, one that does not name the file, or more than 1 GB of additional memory.

A part is a module of this folder with ``seeds()``, whole files, and ``run(path)``, which may refuse
a file; ``SUFFIX`` is the name's end where seeds are bytes. A seed of several files is a `Seed`.
Run a part for long, with what is found in a folder:

    python -m tests.fuzz.harness weights --cases=2000 --keep=/tmp/found
    python -m tests.fuzz.harness all --hours=8 --seed=2
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import importlib
import math
import multiprocessing
import os
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

PARTS = ("pictures", "films", "weights", "checkpoints", "configs", "web", "models")
HANG_SECONDS = 10.0
LEAST_CASES = 20  # of a part, whatever the time: a machine may be busy
START_SECONDS = 120.0  # to import, and to make the seeds
MEMORY = 10**9  # bytes that a part may take more than with whole files


@dataclasses.dataclass
class Report:
    """Counts of cases and outcomes, and a line for each fault."""

    cases: int = 0
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    faults: list[str] = dataclasses.field(default_factory=list)
    peak: int = 0  # additional bytes
    seconds: float = 0.0  # without the start of processes

    def __str__(self) -> str:
        counts = ", ".join(f"{count} {name}" for name, count in self.outcomes.most_common())
        peak = f"at most {self.peak / 1e6:.0f} MB more memory"
        return f"{self.cases} cases: {counts}; {peak}; {len(self.faults)} faults"


def fuzz(
    part: str, *, cases: int, seconds: float, seed: int = 0, keep: Path | None = None
) -> Report:
    """Run cases of a part in a process of their own, until one of the limits is reached.

    `seconds` does not cut the first `LEAST_CASES` off.
    """
    report = Report()
    context = multiprocessing.get_context("spawn")
    folder = Path(tempfile.mkdtemp(prefix=f"fuzz-{part}-"))
    try:
        while report.cases < cases and (report.cases < LEAST_CASES or report.seconds < seconds):
            ours, theirs = context.Pipe()
            arguments = (part, seed, report.cases, cases, seconds - report.seconds, folder, theirs)
            process = context.Process(target=_work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            fault = _follow(report, ours)
            process.kill()
            process.join()
            if not fault:
                break  # it reached a limit; by this process's clock, moments may be left
            report.cases += 1
            _add_fault(report, part, seed, f"{fault}, exit code {process.exitcode}")
            _keep(folder, keep, f"{part}-{seed}-{report.cases - 1}")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return report


def _follow(report: Report, ours: Connection) -> str:
    """Count the outcomes that a worker reports; return the fault that ended it, or ""."""
    patience, told_at = START_SECONDS, math.inf
    while ours.poll(patience):
        try:
            told = ours.recv()
        except EOFError:
            return "crash"
        if told is None:
            return ""
        patience = HANG_SECONDS
        report.seconds += max(0.0, time.monotonic() - told_at)
        told_at = time.monotonic()
        outcome, fault, peak = told
        if outcome:
            report.cases += 1
            report.outcomes[outcome] += 1
            report.peak = max(report.peak, peak)
            if fault:
                report.faults.append(fault)
    report.seconds += HANG_SECONDS
    return "hang"


def _add_fault(report: Report, part: str, seed: int, text: str) -> None:
    report.outcomes["faults of the process"] += 1
    report.faults.append(f"{part}, seed {seed}, case {report.cases - 1}: {text}")


def _keep(folder: Path, keep: Path | None, name: str) -> None:
    if keep is not None and any(folder.iterdir()):
        shutil.copytree(folder, keep / name, dirs_exist_ok=True)


def _work(
    part: str, seed: int, first: int, cases: int, seconds: float, folder: Path, pipe: Connection
) -> None:
    """Run cases and report each outcome."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    sys.path.insert(0, str(Path(__file__).parents[1]))  # a folder of its own would hide `http`
    from fuzz.cases import Seed
    from fuzz.mutations import mutate

    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)  # decoders write much
    module = importlib.import_module(f"fuzz.{part}")
    seeds = [
        made if isinstance(made, Seed) else Seed({f"case{module.SUFFIX}": made}, module.run)
        for made in module.seeds()
    ]
    others = [data for one in seeds for data in one.files.values() if data]
    for one in seeds:
        _write(folder, one.files)
        one.run(folder / next(iter(one.files)))
    usual = _peak()
    _limit_memory(8 * MEMORY)
    pipe.send(("", "", 0))
    end = time.monotonic() + seconds
    for number in range(first, cases):
        if number >= LEAST_CASES and time.monotonic() > end:
            break
        chance = random.Random(f"{seed}-{number}")
        one = chance.choice(seeds)
        name = chance.choice(list(one.files))
        data = mutate(one.files[name], others, chance)
        path = _write(folder, {**one.files, name: data})
        outcome, fault = _run_one(one.run, path)
        peak = _peak() - usual
        if peak > MEMORY and not fault:
            fault, usual = f"{peak / 1e6:.0f} MB of memory", _peak()
        if fault:
            fault = f"{part}, seed {seed}, case {number}, {name}: {fault}"
        pipe.send((outcome, fault, peak))
    pipe.send(None)


def _write(folder: Path, files: dict[str, bytes]) -> Path:
    for child in folder.iterdir():
        shutil.rmtree(child) if child.is_dir() else child.unlink()
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder / next(iter(files))


def _run_one(run: Callable[[Path], object], path: Path) -> tuple[str, str]:
    try:
        run(path)
    except (ValueError, OSError) as error:
        text = str(error)
        if str(path.parent) not in text:
            return "refused", f"names no file: {type(error).__name__}: {text}"
        return "refused", f"several lines: {text}" if "\n" in text else ""
    except BaseException as error:
        return "other errors", "".join(traceback.format_exception(error)[-3:])
    return "read", ""


def _limit_memory(more: int) -> None:
    """Let allocations beyond this fail, before they take the machine's memory."""
    import resource

    status = Path("/proc/self/statm")
    if status.exists():
        used = int(status.read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (used + more, resource.RLIM_INFINITY))


def _peak() -> int:
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def main() -> int:
    """Run parts from the command line; return 1 if there are faults."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("part", choices=("all", *PARTS))
    parser.add_argument("--cases", type=int, default=10**9, help="of each part")
    parser.add_argument("--hours", type=float, default=1.0, help="of all parts together")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--keep", type=Path, help="folder for the files that crash or hang")
    options = parser.parse_args()
    parts = PARTS if options.part == "all" else (options.part,)
    failed = False
    for part in parts:
        seconds = 3600 * options.hours / len(parts)
        report = fuzz(
            part, cases=options.cases, seconds=seconds, seed=options.seed, keep=options.keep
        )
        failed = failed or bool(report.faults)
        print(f"{part}: {report}", *report.faults, sep="\n  ", flush=True)
    return int(failed)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
