"""The training loop: phases, epochs, checkpoints, samples and signals around `Trainer`'s steps."""

from __future__ import annotations

import dataclasses
import math
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

from absl import logging

from anime_tf.datasets.edge_smooth import smooth_folder
from anime_tf.datasets.pipeline import TrainingPictures
from anime_tf.errors import command_line, counted
from anime_tf.io.folders import DatasetFolders, dataset_folders
from anime_tf.io.pictures import write_picture
from anime_tf.io.signals import caught_signals
from anime_tf.io.terminal import Progress, is_terminal
from anime_tf.training.collapse import ADVICE, CollapseDetector
from anime_tf.training.config import TrainConfig
from anime_tf.training.devices import make_strategy, worker_rank
from anime_tf.training.objective import Batch, network_inputs
from anime_tf.training.run_dir import GENERATOR, RunDir
from anime_tf.training.samples import sample_sheet
from anime_tf.training.trainer import Trainer


class NonFiniteLossError(ValueError):
    """A loss became NaN or infinite; the message names the step and the terms."""


def train(config: TrainConfig, *, resume: bool = False, from_epoch: int = 0) -> int:
    """Train until the last epoch, a collapse of D, or SIGINT or SIGTERM.

    Args:
        config: Settings of the run.
        resume: Whether to resume the run in `config.run_dir` from its newest checkpoint.
        from_epoch: Epoch of a kept checkpoint to resume from instead; 0 for the newest.

    Returns:
        0 after all epochs, 1 after a collapse of D or if a picture could not be read, 128 + the
        signal's number after a signal. Each writes a checkpoint.

    Raises:
        FileNotFoundError: The data set lacks a folder or pictures, or there is no such checkpoint.
        FileExistsError: `run_dir` holds a run and `resume` is False.
        NonFiniteLossError: A loss became NaN or infinite; no checkpoint is written after that.
        ValueError: A setting, a picture pair or a checkpoint is invalid.
    """
    strategy = make_strategy(config.distribute)
    pictures = prepare_pictures(config, worker_rank(strategy) if strategy else (0, 1))
    config = dataclasses.replace(
        config, steps_per_epoch=config.steps_per_epoch or pictures.steps_per_epoch
    )
    trainer = Trainer(config, strategy=strategy)
    if config.init_weights and not resume:
        trainer.begin_with(config.init_weights)
    with RunDir(config, trainer, resume=resume, from_epoch=from_epoch) as run_dir:
        code = _Loop(config, trainer, pictures, run_dir).run()
    if pictures.broken:
        logging.warning("skipped %d broken pictures", len(pictures.broken))
        code = code or 1
    return code


def prepare_pictures(
    config: TrainConfig, rank: tuple[int, int] = (0, 1), *, make_smooth: bool = True
) -> TrainingPictures:
    """List the pictures of the data set and make missing edge-smoothed ones that a loss reads.

    The worker is number `rank[0]` of `rank[1]`. Without `make_smooth` the style pictures stand in
    for missing edge-smoothed ones.
    """

    def list_folders(need_smooth: bool) -> DatasetFolders:
        return dataset_folders(
            config.dataset_dir, config.style, need_smooth=need_smooth, need_paired=config.is_paired
        )

    style_dir = Path(config.dataset_dir) / config.style / "style"
    smooth_dir = style_dir.with_name("smooth")
    missing = config.needs_smooth and not smooth_dir.exists()
    if missing and not make_smooth:
        logging.info("%s: missing, the run will make it", smooth_dir)
        folders = list_folders(need_smooth=False)
        folders = dataclasses.replace(folders, smooth=folders.style)
    else:
        # Several machines cannot make them at the same time.
        if missing and rank[1] == 1:
            list_folders(need_smooth=False)  # fails before the long work if others are missing
            logging.info("%s: missing, making it now", smooth_dir)
            size_hw = (config.image_size, config.image_size) if config.fit == "resize" else None
            smooth_folder(style_dir, smooth_dir, size_hw)
        folders = list_folders(need_smooth=config.needs_smooth)
    return TrainingPictures(
        folders,
        image_size=config.image_size,
        batch_size=config.batch_size,
        seed=config.seed,
        fit=config.fit,
        part=rank,
        augment_flip=config.augment_flip,
        augment_resize=config.augment_resize,
        exposed=config.has_exposure,
        salt=config.smooth_salt,
    )


class _Loop:
    """State of one call of `train`."""

    def __init__(
        self, config: TrainConfig, trainer: Trainer, pictures: TrainingPictures, run_dir: RunDir
    ) -> None:
        self.config = config
        self.trainer = trainer
        self.pictures = pictures
        self.run_dir = run_dir
        self.step = run_dir.step
        self.saved_at = time.monotonic()
        self.stop_signal = 0
        gan_type = "double_tail" if config.is_double_tail else config.gan_type
        self.detector = CollapseDetector(gan_type, config.collapse_epochs)
        self.collapse: str | None = None

    def run(self) -> int:
        """Run all remaining steps; return the exit code."""
        per_epoch = self.config.steps_per_epoch
        end = self.config.epochs * per_epoch
        begin_gan = min(self.config.init_epochs * per_epoch, end)
        if self.step >= end:
            logging.info(
                "%s: all of %s done; more epochs continue it: --resume --epochs=N",
                *(self.run_dir.path, counted(self.config.epochs, "epoch")),
            )
        with caught_signals(self._on_signal):
            for phase, until in (("init", begin_gan), ("gan", end)):
                if self.step < until and not self.stop_signal and not self.collapse:
                    message = "%s: step %d compiles the step first, minutes of work on a CPU"
                    logging.info(message, phase, self.step + 1)
                while self.step < until and not self.stop_signal and not self.collapse:
                    epoch = self.step // per_epoch
                    self._train_epoch(phase, epoch, (epoch + 1) * per_epoch)
        if self.stop_signal:
            return 128 + self.stop_signal
        if self.collapse and self.step < end:
            epochs = f"epoch {self.step // per_epoch} of {self.config.epochs}"
            advice = f"for {self.config.collapse_epochs} epochs {ADVICE[self.collapse]}"
            logging.error("%s: stopped after %s: %s", self.run_dir.path, epochs, advice)
            return 1
        if self.run_dir.writes:
            weights = self.run_dir.path / GENERATOR
            words = ["anime-tf", "infer", f"--weights={weights}", "photos", "anime"]
            logging.info("trained: %s; stylize with: %s", weights, command_line(words))
        return 0

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        self.stop_signal = number
        logging.warning("%s: saving, then stopping", signal.Signals(number).name)

    def _train_epoch(self, phase: str, epoch: int, until: int) -> None:
        """Run the epoch's remaining steps, from `self.step` to `until`."""
        started_at, first = time.monotonic(), self.step
        losses: dict[str, float] = {}
        with Progress(
            self.config.steps_per_epoch,
            "steps",
            f"epoch {epoch + 1}/{self.config.epochs} {phase}",
            done=self.config.steps_per_epoch - (until - self.step),
        ) as progress:
            for batch, following in _with_next(self._batches(phase, until)):
                losses, seconds = self._train_step(phase, batch, following)
                self.detector.add(losses)
                self._log(phase, epoch, seconds, losses)
                pace = f"{seconds:.2f} s/step {self.config.batch_size / seconds:.2f} pictures/s"
                progress.update(f"{pace} {_format(losses)}")
                if self.trainer.any_worker(bool(self.stop_signal)):
                    self.stop_signal = self.stop_signal or signal.SIGTERM  # of another worker
                    break
                if self._checkpoint_is_due() and self.step < until:
                    self._save(epoch)
        done = self.step == until
        if done and not self.stop_signal:
            self._write_samples(epoch + 1)
        keep = done and _is_due(self.config.keep_every_epochs, epoch + 1)
        self._save(epoch + 1 if done else epoch, f"epoch-{epoch + 1}" if keep else None)
        if done:
            # After a resume mid-epoch from the steps since then, which suffice for means.
            self.collapse = self.detector.end_epoch()
        if not is_terminal():
            seconds = (time.monotonic() - started_at) / max(1, self.step - first)
            message = f"step {self.step} epoch {epoch + 1} {phase} {seconds:.2f} s/step"
            logging.info("%s %s", message, _format(losses))

    def _batches(self, phase: str, until: int) -> Iterator[Batch]:
        objective = self.trainer.objective
        streams = objective.init_streams if phase == "init" else objective.gan_streams
        for batch in self.pictures.iterate(self.step, until - self.step, streams):
            yield network_inputs(batch)

    def _train_step(
        self, phase: str, batch: Batch, following: Batch | None
    ) -> tuple[dict[str, float], float]:
        """Run a step, before that of `following`; return its losses and seconds."""
        started_at = time.monotonic()
        if phase == "init":
            terms = self.trainer.init_step(batch)
        else:
            update_discriminator = self.step % self.config.training_rate == 0
            terms = self.trainer.gan_step(batch, update_discriminator, following)
        losses = {name: float(value) for name, value in terms.items()}
        self.step += 1
        wrong = {name: value for name, value in losses.items() if not math.isfinite(value)}
        if wrong:
            values = ", ".join(f"{name} is {value}" for name, value in wrong.items())
            raise NonFiniteLossError(
                f"step {self.step}: {values}; the newest good checkpoint is "
                f"{self.run_dir.newest_checkpoint or 'none'}; lower the learning rate or the "
                "weight of that term, or train in float32, and --resume"
            )
        return losses, time.monotonic() - started_at

    def _log(self, phase: str, epoch: int, seconds: float, losses: dict[str, float]) -> None:
        if self.step % self.config.log_steps == 0:
            line = {"step": self.step, "epoch": epoch, "phase": phase}
            line["seconds"] = round(seconds, 4)
            if phase == "gan" and self.trainer.targets is not None:
                line["target_seconds"] = round(self.trainer.targets.maker.seconds, 4)
            self.run_dir.log(line, losses)

    def _checkpoint_is_due(self) -> bool:
        if self.config.checkpoint_steps and self.step % self.config.checkpoint_steps == 0:
            return True
        return time.monotonic() - self.saved_at > 60 * self.config.checkpoint_minutes

    def _save(self, epoch: int, keep_as: str | None = None) -> None:
        self.trainer.epoch.assign(epoch)
        self.run_dir.save(keep_as)
        self.saved_at = time.monotonic()

    def _write_samples(self, epochs: int) -> None:
        """Write the sheet of samples and the histograms that are due after so many epochs."""
        if not self.run_dir.writes:
            return
        if _is_due(self.config.histogram_epochs, epochs):
            self.run_dir.log_histograms()
        if self.config.samples and _is_due(self.config.sample_epochs, epochs):
            folders = self.pictures.folders
            photos = (folders.val or folders.train_photo)[: self.config.samples]
            sheet = sample_sheet(self.trainer.exportable(), photos)
            if sheet is not None:
                write_picture(self.run_dir.samples / f"epoch_{epochs:04d}.png", sheet)
                self.run_dir.log_picture("samples", sheet)


def _with_next(batches: Iterator[Batch]) -> Iterator[tuple[Batch, Batch | None]]:
    """Yield each batch with the next one, the last with None."""
    batch = next(batches, None)
    while batch is not None:
        following = next(batches, None)
        yield batch, following
        batch = following


def _is_due(every: int, epochs: int) -> bool:
    return bool(every) and epochs % every == 0


def _format(losses: dict[str, float]) -> str:
    return " ".join(f"{name}={value:.4g}" for name, value in losses.items())
