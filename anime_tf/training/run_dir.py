"""Run directories: writing, and restoring to resume a run.

config.json      settings: enough to resume or audit, together with the checkpoints
stats.jsonl      one line per logged step: step, epoch, phase, seconds, loss terms
checkpoints/     newest checkpoints, step-N, and a copy of config.json; in kept/ permanent ones
samples/         photos of `val` and their stylized versions
events/          TensorBoard events
generator.keras  generator of the newest checkpoint
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

import tensorflow as tf
from absl import logging

from anime_tf.config import settings
from anime_tf.conversion.tf1 import check_declared
from anime_tf.errors import error_line, first_line, reading, tensorflow_reason
from anime_tf.io.arrays import TEXT_LIMIT
from anime_tf.io.atomic import sync, write_bytes
from anime_tf.io.locks import locked
from anime_tf.io.plain_file import MAX_WEIGHTS_BYTES, read_plain_file
from anime_tf.models.archive import save_generator
from anime_tf.training.config import TrainConfig
from anime_tf.training.devices import is_chief
from anime_tf.training.trainer import Trainer

CONFIG, STATS, GENERATOR = "config.json", "stats.jsonl", "generator.keras"
LOCK = ".lock"


def resumed_config(run_dir: str | os.PathLike[str], changes: Mapping[str, Any]) -> TrainConfig:
    """Return the settings of the run in `run_dir` with `changes` applied.

    Reads the copy in ``checkpoints`` where config.json is damaged.

    Raises:
        FileNotFoundError: `run_dir` holds no run.
        ValueError: Its config cannot be read, or a change is not allowed in a resumed run.
    """
    path, copy = Path(run_dir) / CONFIG, Path(run_dir) / "checkpoints" / CONFIG
    if not path.is_file() and not copy.is_file():
        raise FileNotFoundError(f"{path}: no such file; --resume needs an existing run")
    try:
        config = _read_config(path)
    except (ValueError, OSError) as error:
        if not copy.is_file():
            raise
        logging.warning("%s; reading the copy %s", error_line(error), copy)
        config = _read_config(copy)
    for name, value in changes.items():
        old = getattr(config, name)
        if value == old or name == "run_dir":
            continue
        if settings(TrainConfig)[name].fixed:
            raise ValueError(
                f"{path}: expected {name}={old}, which a resumed run cannot change, got {value}; "
                "start a new run"
            )
        logging.info("%s changes from %s to %s", name, old, value)
    return config.replace(**{**changes, "run_dir": os.fspath(run_dir)})


def _read_config(path: Path) -> TrainConfig:
    with reading(path, "the config of a run"):
        text = read_plain_file(path, "the config of a run", TEXT_LIMIT)
        try:
            return TrainConfig.from_dict(json.loads(text))
        except ValueError as error:
            raise ValueError(
                f"expected the config of a run, got another file ({first_line(error)})"
            ) from error


class RunDir:
    """Run directory of a run, a context manager.

    Entering it restores a checkpoint if the run resumes, and opens the logs. A kept checkpoint then
    becomes the newest. Of several machines only the chief writes; the others read the checkpoint.

    Args:
        config: Settings of the run.
        trainer: Networks of the run.
        resume: Whether the directory must hold a run; else it must hold none.
        from_epoch: Epoch of a kept checkpoint to resume from; 0 for the newest.
        path: Current path of the directory if it is not yet at `config.run_dir`.

    Attributes:
        path: The directory.
        samples: Folder in it for sample pictures.
        step: Steps done on entering.
        writes: Whether this process writes.

    Raises:
        FileExistsError: On entering: it holds a run and `resume` is False.
        FileNotFoundError: There is no such kept checkpoint.
        BlockingIOError: Another process trains in it.
        ValueError: The checkpoint does not fit the trainer.
    """

    def __init__(
        self,
        config: TrainConfig,
        trainer: Trainer,
        *,
        resume: bool,
        from_epoch: int = 0,
        path: Path | None = None,
    ) -> None:
        self.path = path or Path(config.run_dir)
        self.samples = self.path / "samples"
        self.trainer = trainer
        self.step = 0
        self.writes = is_chief(trainer.strategy)
        self._config = config
        self._resume = resume
        self._from_epoch = from_epoch
        self._open = contextlib.ExitStack()
        self._stats: TextIO | None = None
        self._checkpoint = tf.train.Checkpoint(**trainer.trackables)
        self._folder = self.path / "checkpoints"
        self._saved: list[Path] = []  # prefixes of the checkpoints to rotate, the newest last

    def __enter__(self) -> RunDir:
        if not self.writes:
            if self._resume:
                self._restore()
            self.step = int(self.trainer.step.numpy())
            return self
        if not self._resume:
            check_unused(self.path)
        self.samples.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(locked(self.path / LOCK, self.path, "trains"))
            if self._resume:
                self._restore()
                self._remove_leftovers()
                if self._from_epoch:
                    # Before the log is truncated: if the process ends here, both still agree.
                    self._save_newest()
            settings = json.dumps(dataclasses.asdict(self._config), indent=1).encode()
            self._folder.mkdir(exist_ok=True)
            for folder in (self._folder, self.path):  # one after the other: one of them is whole
                write_bytes(folder / CONFIG, settings)
            self.step = int(self.trainer.step.numpy())
            self._stats = stack.enter_context(self._open_stats())
            self._events = tf.summary.create_file_writer(os.fspath(self.path / "events"))
            stack.callback(self._events.close)
            self._open = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def newest_checkpoint(self) -> str | None:
        """Prefix of the newest checkpoint; None before the first."""
        return os.fspath(self._saved[-1]) if self._saved else None

    def _restore(self) -> None:
        """Restore the newest whole checkpoint, and log which were skipped and why."""
        listed = list_checkpoints(self.path)
        kept = [kept_checkpoint(self.path, self._from_epoch)] if self._from_epoch else None
        skipped: dict[Path, str] = {}
        for prefix in kept or listed:
            try:
                self._read(prefix)
            except ValueError as error:
                logging.warning("skipped: %s", error)
                skipped[prefix] = str(error)
            else:
                # Damaged ones are neither counted nor deleted.
                whole = [path for path in reversed(listed) if path not in skipped]
                self._saved = [path for path in whole if path.parent == self._folder]
                return
        if skipped:
            remedy = "resume from another" if kept else "no checkpoint of the run can be read"
            raise ValueError(f"{next(iter(skipped.values()))}; {remedy}")
        logging.info("%s: no checkpoint yet, starting from step 0", self.path)

    def _remove_leftovers(self) -> None:
        """Remove what a save left that was killed: temporary folders, and values without index."""
        for path in self._folder.rglob("*_temp"):
            shutil.rmtree(path, ignore_errors=True)
        for path in self._folder.rglob("*.data-?????-of-?????"):
            if not path.with_suffix(".index").exists():
                path.unlink()

    def _read(self, prefix: Path) -> None:
        """Read a checkpoint: TensorFlow verifies the checksum of every tensor."""
        expected = self._config.seed
        try:
            reader = tf.train.load_checkpoint(os.fspath(prefix))
            check_declared(prefix, reader.get_variable_to_shape_map())
            self._checkpoint.read(os.fspath(prefix)).assert_consumed()
        except Exception as error:  # TensorFlow raises anything
            raise ValueError(
                f"{prefix}: does not fit this run's networks, or is damaged ({first_line(error)})"
            ) from error
        seed = int(self.trainer.seed.numpy())
        if seed != expected:
            raise ValueError(f"{prefix}: expected seed {expected}, as in {CONFIG}, got {seed}")

    def _open_stats(self) -> TextIO:
        """Open the log without the lines after the checkpoint, whose steps will run again."""
        path = self.path / STATS
        if path.exists():
            lines = read_plain_file(path, "the log of a run", MAX_WEIGHTS_BYTES).splitlines()
            kept, damaged = [], []
            for number, line in enumerate(lines, 1):
                try:
                    known = json.loads(line)["step"] <= self.step
                except (ValueError, KeyError, TypeError, RecursionError):
                    damaged.append(number)  # the machine stopped while the run wrote it
                    continue
                if known:
                    kept.append(line + b"\n")
            if damaged:
                logging.warning("%s: removed the damaged lines %s", path, damaged)
            write_bytes(path, b"".join(kept))
        return path.open("a", encoding="utf-8")

    def log(self, line: Mapping[str, Any], losses: Mapping[str, float]) -> None:
        """Write a step's line to the log and its losses to TensorBoard."""
        if self._stats is None:
            return
        self._stats.write(json.dumps({**line, **losses}) + "\n")
        self._stats.flush()
        with self._events.as_default(step=line["step"]):
            for name, value in losses.items():
                tf.summary.scalar(name, value)

    def log_histograms(self) -> None:
        """Write a histogram of every weight of both networks to TensorBoard."""
        if not self.writes:
            return
        with self._events.as_default(step=int(self.trainer.step.numpy())):
            for network in (self.trainer.trained, self.trainer.discriminator):
                for weight in network.weights:
                    tf.summary.histogram(weight.path, weight.value)

    def log_picture(self, name: str, picture_u8: Any) -> None:
        """Write a picture, uint8 (h, w, 3), to TensorBoard."""
        with self._events.as_default(step=int(self.trainer.step.numpy())):
            tf.summary.image(name, picture_u8[None])

    def save(self, keep_as: str | None = None) -> None:
        """Write a checkpoint and `generator.keras`.

        Args:
            keep_as: Name of a permanent copy of both, if any.

        Raises:
            ValueError: A weight is not finite; the checkpoint before it stays the newest.
            OSError: It cannot be written, likewise.
        """
        step = int(self.trainer.step.numpy())
        for network in (self.trainer.trained, self.trainer.discriminator):
            for weight in network.weights:
                if not bool(tf.reduce_all(tf.math.is_finite(weight.value))):
                    raise ValueError(
                        f"step {step}: expected finite weights, got NaN or infinity in "
                        f"{weight.path}; the newest good checkpoint is "
                        f"{self.newest_checkpoint or 'none'}"
                    )
        if not self.writes:
            return
        if keep_as is not None:
            # First, so that a run killed in between repeats it after a resume.
            kept = self._folder / "kept" / keep_as
            kept.parent.mkdir(exist_ok=True, parents=True)
            self._write(kept)
            save_generator(self.trainer.exportable(), kept.with_name(f"{keep_as}.keras"))
        self._save_newest()
        self._events.flush()

    def _save_newest(self) -> None:
        """Write a checkpoint; all of it is on the disk before older ones are deleted."""
        if self._stats is not None:
            os.fsync(self._stats.fileno())
        prefix = self._folder / f"step-{int(self.trainer.step.numpy())}"
        self._write(prefix)
        self._saved = [*(p for p in self._saved if p != prefix), prefix]
        kept = self._saved[-self._config.keep_checkpoints :]
        lines = [f'model_checkpoint_path: "{prefix.name}"']
        lines += [f'all_model_checkpoint_paths: "{path.name}"' for path in kept]
        write_bytes(self._folder / "checkpoint", "\n".join([*lines, ""]).encode())
        save_generator(self.trainer.exportable(), self.path / GENERATOR)
        for old in self._saved[: -self._config.keep_checkpoints]:
            for file in _files(old):
                file.unlink(missing_ok=True)
        self._saved = kept

    def _write(self, prefix: Path) -> None:
        try:
            self._checkpoint.write(os.fspath(prefix))
        except tf.errors.OpError as error:
            shutil.rmtree(f"{prefix}_temp", ignore_errors=True)
            reason = tensorflow_reason(error)
            raise OSError(f"{prefix}: TensorFlow cannot write it ({reason})") from error
        for path in (*_files(prefix), prefix.parent):
            sync(path)


def check_unused(run_dir: Path) -> None:
    """Raise FileExistsError if a folder holds a run."""
    if (run_dir / CONFIG).exists() or list_checkpoints(run_dir):
        raise FileExistsError(
            f"{run_dir}: already holds a run; continue it with --resume (resume=True in Python), "
            "or choose another run_dir"
        )


def list_checkpoints(run_dir: Path) -> list[Path]:
    """Return the prefixes of all checkpoints of a run, whole or not, the newest first.

    The file ``checkpoint`` gives their order; those that it does not name come by their time,
    before the others if they are newer than it. Permanent checkpoints come last.
    """
    folder = run_dir / "checkpoints"
    record = folder / "checkpoint"
    text = record.read_text(encoding="utf-8", errors="replace") if record.is_file() else ""
    named = re.findall(r'^all_model_checkpoint_paths: "(step-\d+)"$', text, re.MULTILINE)
    saved_at = record.stat().st_mtime_ns if named else 0

    def order(index: Path) -> tuple[int, int, int, int]:
        changed_at, step = index.stat().st_mtime_ns, int(index.stem.rpartition("-")[2])
        place = named.index(index.stem) if index.stem in named else -1
        return place < 0 and changed_at > saved_at, place, changed_at, step

    found: list[Path] = []
    for place, pattern in ((folder, "step-*.index"), (folder / "kept", "epoch-*.index")):
        indices = [file for file in place.glob(pattern) if file.stem.rpartition("-")[2].isdigit()]
        found += sorted(indices, key=order, reverse=True)
    return [index.with_suffix("") for index in found]


def _files(prefix: Path) -> list[Path]:
    """List the files of a checkpoint, the index last."""
    data = sorted(prefix.parent.glob(f"{prefix.name}.data-?????-of-?????"))
    return [*data, prefix.with_name(f"{prefix.name}.index")]


def kept_checkpoint(run_dir: Path, epoch: int) -> Path:
    """Return the prefix of the checkpoint kept after so many epochs.

    Raises:
        FileNotFoundError: There is none; lists the existing ones.
    """
    folder = run_dir / "checkpoints" / "kept"
    path = folder / f"epoch-{epoch}"
    if not path.with_name(f"{path.name}.index").is_file():
        names = [file.stem.removeprefix("epoch-") for file in folder.glob("epoch-*.index")]
        there = ", ".join(sorted(names, key=lambda name: (len(name), name))) or "none"
        raise FileNotFoundError(
            f"{path}: no such checkpoint; expected one that --keep_every_epochs kept, got those "
            f"after epochs: {there}"
        )
    return path
