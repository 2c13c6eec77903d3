"""What a run directory holds, and how a run is found again in it.

config.json      the settings: with the checkpoints enough to go on, or to audit
stats.jsonl      a line a logged step: step, epoch, phase, seconds, loss terms
checkpoints/     the newest checkpoints, step-N; in kept/ those kept for good, epoch-N
samples/         photos of `val`, before and after
events/          TensorBoard
generator.keras  the generator of the newest checkpoint
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

from anime_tf.io.pictures import write_bytes_whole
from anime_tf.models.archive import save_generator
from anime_tf.training.config import TrainConfig
from anime_tf.training.devices import is_chief
from anime_tf.training.trainer import Trainer

CONFIG, STATS, GENERATOR = "config.json", "stats.jsonl", "generator.keras"


def resumed_config(run_dir: str | os.PathLike[str], changes: Mapping[str, Any]) -> TrainConfig:
    """The settings of a run that goes on, with those changed that may be.

    Args:
        run_dir: The run directory.
        changes: Settings given anew.

    Returns:
        The run's config with the changes.

    Raises:
        FileNotFoundError: `run_dir` holds no run.
        ValueError: Its config cannot be read, or a change is one that would make another run.
    """
    path = Path(run_dir) / CONFIG
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file; --resume goes on with a run that was begun")
    try:
        config = TrainConfig.from_dict(json.loads(path.read_text()))
    except (json.JSONDecodeError, TypeError, ValueError) as error:
        raise ValueError(f"{path}: not the config of a run ({error})") from error
    for name, value in changes.items():
        old = getattr(config, name)
        if value == old or name == "run_dir":
            continue
        if TrainConfig.__dataclass_fields__[name].metadata["fixed"]:
            raise ValueError(
                f"{path}: the run has {name}={old}, which cannot become {value} when it is "
                "resumed; begin a new run for that"
            )
        logging.info("%s changes from %s to %s", name, old, value)
    return config.replace(**{**changes, "run_dir": os.fspath(run_dir)})


class RunDir:
    """A run directory that a run writes: a context manager.

    Entering it restores the newest checkpoint where the run goes on, or one that was kept, which
    then becomes the newest, and opens the logs. It raises FileExistsError where the directory holds
    a run and `resume` is False, FileNotFoundError where that checkpoint was not kept,
    BlockingIOError where another process trains in it at this moment, and ValueError where the
    checkpoint does not fit the trainer. Of several machines that train together the chief alone
    writes; the others read the checkpoint.

    Args:
        config: The run's settings.
        trainer: The run's networks.
        resume: Whether the directory's run goes on; else it must hold none.
        from_epoch: After how many epochs it goes on, by the checkpoint kept then; 0 for the newest.
        path: Where the directory is now, if not yet at `config.run_dir`.

    Attributes:
        path: The directory.
        samples: The folder in it for sample pictures.
        step: Steps that the run had done when it was entered.
        writes: Whether this process writes.
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
        if (self.path / CONFIG).exists() and not self._resume:
            raise FileExistsError(
                f"{self.path}: already holds a run; go on with --resume, or choose another run_dir"
            )
        self.samples.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as stack:
            stack.enter_context(_locked(self.path))
            if self._resume:
                self._restore()
                if self._from_epoch:
                    # Before the log is cut back: should the process end here, both still fit.
                    self._save_newest()
            settings = json.dumps(dataclasses.asdict(self._config), indent=1)
            write_bytes_whole(self.path / CONFIG, settings.encode())
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
        """Prefix of the newest checkpoint, None before the first."""
        return self._manager.latest_checkpoint

    def _restore(self) -> None:
        kept, newest = self._from_epoch, self.newest_checkpoint
        if kept:
            found_at = os.fspath(kept_checkpoint(self.path, kept))
        elif newest:
            found_at = newest
        else:
            logging.info("%s: no checkpoint yet, the run begins anew", self.path)
            return
        seed = int(self.trainer.seed.numpy())
        # Those that are kept are not numbered, as those of the manager are.
        read = self._checkpoint.read if kept else self._checkpoint.restore
        try:
            read(found_at).assert_consumed()
        except (tf.errors.OpError, AssertionError, ValueError) as error:
            reason = str(error).strip().splitlines()[0]
            raise ValueError(
                f"{found_at}: does not fit this run's networks, or is damaged ({reason}); "
                + ("go on from another" if kept else "remove it to go on from the one before")
            ) from error
        found = int(self.trainer.seed.numpy())
        if found != seed:
            raise ValueError(f"{found_at}: written with seed {found}, {CONFIG} says {seed}")

    def _open_stats(self) -> TextIO:
        """Opens the log; lines later than the checkpoint, of steps to be run again, go."""
        path = self.path / STATS
        if path.exists():
            kept = []
            for line in path.read_text().splitlines():
                try:
                    known = json.loads(line)["step"] <= self.step
                except (json.JSONDecodeError, KeyError):
                    known = False  # cut off when the run was killed
                if known:
                    kept.append(line + "\n")
            write_bytes_whole(path, "".join(kept).encode())
        return path.open("a", encoding="utf-8")

    def log(self, line: Mapping[str, Any], losses: Mapping[str, float]) -> None:
        """Writes a step's line to the log and its losses to TensorBoard."""
        if not self.writes:
            return
        self._stats.write(json.dumps({**line, **losses}) + "\n")
        self._stats.flush()
        with self._events.as_default(step=line["step"]):
            for name, value in losses.items():
                tf.summary.scalar(name, value)

    def show_weights(self) -> None:
        """Shows a histogram of every weight of both networks in TensorBoard."""
        if not self.writes:
            return
        with self._events.as_default(step=int(self.trainer.step.numpy())):
            for network in (self.trainer.generator, self.trainer.discriminator):
                for weight in network.weights:
                    tf.summary.histogram(weight.path, weight.value)

    def show(self, name: str, picture_u8: Any) -> None:
        """Shows a sample picture, uint8 (h, w, 3), in TensorBoard."""
        with self._events.as_default(step=int(self.trainer.step.numpy())):
            tf.summary.image(name, picture_u8[None])

    def save(self, keep_as: str | None = None) -> None:
        """Writes a checkpoint and `generator.keras`.

        Args:
            keep_as: Name under which both are kept for good as well, if they are.

        Raises:
            ValueError: A weight is not finite; the checkpoint before it stays the newest.
        """
        step = int(self.trainer.step.numpy())
        for network in (self.trainer.generator, self.trainer.discriminator):
            for weight in network.weights:
                if not bool(tf.reduce_all(tf.math.is_finite(weight.value))):
                    raise ValueError(
                        f"step {step}: the weight {weight.path} is not finite; the newest good "
                        f"checkpoint is {self.newest_checkpoint or 'none'}"
                    )
        if not self.writes:
            return
        if keep_as is not None:
            # First, so that a run that is killed in between does it anew when it goes on.
            kept = self.path / "checkpoints" / "kept" / keep_as
            kept.parent.mkdir(exist_ok=True, parents=True)
            self._checkpoint.write(os.fspath(kept))
            save_generator(self.trainer.exported, kept.with_name(f"{keep_as}.keras"))
        self._save_newest()
        self._events.flush()

    def _save_newest(self) -> None:
        self._manager.save(checkpoint_number=int(self.trainer.step.numpy()))
        save_generator(self.trainer.exported, self.path / GENERATOR)


def kept_checkpoint(run_dir: Path, epoch: int) -> Path:
    """The prefix of the checkpoint that was kept after so many epochs.

    Raises:
        FileNotFoundError: None was; tells those that were.
    """
    folder = run_dir / "checkpoints" / "kept"
    path = folder / f"epoch-{epoch}"
    if not path.with_name(f"{path.name}.index").is_file():
        names = [file.stem.removeprefix("epoch-") for file in folder.glob("epoch-*.index")]
        there = ", ".join(sorted(names, key=lambda name: (len(name), name))) or "none"
        raise FileNotFoundError(
            f"{path}: no such checkpoint; expected one that --keep_every_epochs kept, found those "
            f"after epochs: {there}"
        )
    return path


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Keeps a second process out of a run directory.

    The operating system lets go of the lock when the process ends, however it ends.
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
            f"{path}: another process trains here; wait for its end, or choose another run_dir"
        ) from error
    finally:
        os.close(descriptor)
