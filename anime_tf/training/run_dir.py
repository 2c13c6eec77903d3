"""Run directories: writing, and restoring to resume a run.

config.json      settings: enough to resume or audit, together with the checkpoints
stats.jsonl      one line per logged step: step, epoch, phase, seconds, loss terms
checkpoints/     newest checkpoints, step-N; in kept/ permanent ones, epoch-N
samples/         photos of `val` and their stylized versions
events/          TensorBoard events
generator.keras  generator of the newest checkpoint
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, TextIO

import tensorflow as tf
from absl import logging

from anime_tf.config import settings
from anime_tf.errors import first_line
from anime_tf.io.atomic import write_bytes
from anime_tf.models.archive import save_generator
from anime_tf.training.config import TrainConfig
from anime_tf.training.devices import is_chief
from anime_tf.training.trainer import Trainer

CONFIG, STATS, GENERATOR = "config.json", "stats.jsonl", "generator.keras"


def resumed_config(run_dir: str | os.PathLike[str], changes: Mapping[str, Any]) -> TrainConfig:
    """Return the settings of the run in `run_dir` with `changes` applied.

    Raises:
        FileNotFoundError: `run_dir` holds no run.
        ValueError: Its config cannot be read, or a change is not allowed in a resumed run.
    """
    path = Path(run_dir) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; --resume needs an existing run")
    try:
        config = TrainConfig.from_dict(json.loads(path.read_text()))
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise ValueError(
            f"{path}: expected the config of a run, got another file ({error})"
        ) from error
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
        self._checkpoint = tf.train.Checkpoint(**trainer.trackables)
        self._manager = tf.train.CheckpointManager(
            self._checkpoint,
            os.fspath(self.path / "checkpoints"),
            max_to_keep=config.keep_checkpoints,
            checkpoint_name="step",
        )

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
            stack.enter_context(_locked(self.path))
            if self._resume:
                self._restore()
                if self._from_epoch:
                    # Before the log is truncated: if the process ends here, both still agree.
                    self._save_newest()
            settings = json.dumps(dataclasses.asdict(self._config), indent=1)
            write_bytes(self.path / CONFIG, settings.encode())
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
        return self._manager.latest_checkpoint

    def _restore(self) -> None:
        if self._from_epoch:
            # Kept checkpoints carry no save counter, unlike the manager's.
            prefix = os.fspath(kept_checkpoint(self.path, self._from_epoch))
            read = self._checkpoint.read
            remedy = "resume from another"
        elif self.newest_checkpoint:
            prefix, read = self.newest_checkpoint, self._checkpoint.restore
            remedy = "remove it to resume from the one before"
        else:
            logging.info("%s: no checkpoint yet, starting from step 0", self.path)
            return
        expected = int(self.trainer.seed.numpy())
        try:
            read(prefix).assert_consumed()
        except (tf.errors.OpError, AssertionError, ValueError) as error:
            raise ValueError(
                f"{prefix}: does not fit this run's networks, or is damaged "
                f"({first_line(error)}); {remedy}"
            ) from error
        seed = int(self.trainer.seed.numpy())
        if seed != expected:
            raise ValueError(f"{prefix}: expected seed {expected}, as in {CONFIG}, got {seed}")

    def _open_stats(self) -> TextIO:
        """Open the log without the lines after the checkpoint, whose steps will run again."""
        path = self.path / STATS
        if path.exists():
            kept = []
            for line in path.read_text().splitlines():
                try:
                    known = json.loads(line)["step"] <= self.step
                except (json.JSONDecodeError, KeyError):
                    known = False  # the run was killed while writing it
                if known:
                    kept.append(line + "\n")
            write_bytes(path, "".join(kept).encode())
        return path.open("a", encoding="utf-8")

    def log(self, line: Mapping[str, Any], losses: Mapping[str, float]) -> None:
        """Write a step's line to the log and its losses to TensorBoard."""
        if not self.writes:
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
            kept = self.path / "checkpoints" / "kept" / keep_as
            kept.parent.mkdir(exist_ok=True, parents=True)
            self._checkpoint.write(os.fspath(kept))
            save_generator(self.trainer.exportable(), kept.with_name(f"{keep_as}.keras"))
        self._save_newest()
        self._events.flush()

    def _save_newest(self) -> None:
        self._manager.save(checkpoint_number=int(self.trainer.step.numpy()))
        save_generator(self.trainer.exportable(), self.path / GENERATOR)


def check_unused(run_dir: Path) -> None:
    """Raise FileExistsError if a folder holds a run."""
    if (run_dir / CONFIG).exists():
        raise FileExistsError(
            f"{run_dir}: already holds a run; continue it with --resume, or choose another run_dir"
        )


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


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock a run directory against a second process.

    The operating system releases the lock when the process ends, however it ends.
    """
    try:
        import fcntl
    except ImportError:  # Windows cannot lock a folder
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        raise BlockingIOError(
            f"{path}: another process trains here; wait until it ends, or choose another run_dir"
        ) from error
    finally:
        os.close(descriptor)
