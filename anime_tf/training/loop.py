"""The training loop: phases, epochs, checkpoints, samples and signals around `Trainer`'s steps."""

from __future__ import annotations

import dataclasses
import math
import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import tensorflow as tf
from absl import logging
from tqdm import tqdm

from anime_tf.datasets.edge_smooth import smooth_folder
from anime_tf.datasets.pipeline import TrainingPictures
from anime_tf.io.folders import DatasetFolders, dataset_folders
from anime_tf.io.pictures import write_picture
from anime_tf.io.signals import caught_signals
from anime_tf.training.collapse import ADVICE, CollapseWatch
from anime_tf.training.config import TrainConfig
from anime_tf.training.devices import make_strategy, part_of
from anime_tf.training.objective import network_inputs
from anime_tf.training.run_dir import RunDir
from anime_tf.training.samples import sample_sheet
from anime_tf.training.trainer import Trainer


class NonFiniteLossError(ValueError):
    """A loss became NaN or infinite; the message names the step and the terms."""


def train(config: TrainConfig, *, resume: bool = False, from_epoch: int = 0) -> int:
    """Trains until the last epoch, or until a signal asks for an end.

    Args:
        config: The run's settings.
        resume: Whether the run of `config.run_dir` goes on from its newest checkpoint.
        from_epoch: After how many epochs it goes on instead, by a checkpoint that was kept then.

    Returns:
        0 when all epochs are done; 1 when the run was ended early since D had collapsed; 128 + the
        signal's number when SIGINT or SIGTERM ended it. A checkpoint is written in each case.

    Raises:
        FileNotFoundError: The data set lacks a folder or pictures, or there is no such checkpoint.
        FileExistsError: `run_dir` holds a run already and `resume` is False.
        NonFiniteLossError: A loss became NaN or infinite; no checkpoint is written after that.
        ValueError: A setting, a picture pair or a checkpoint is wrong.
    """
    strategy = make_strategy(config.distribute)
    source = training_pictures(config, part_of(strategy) if strategy else (0, 1))
    config = dataclasses.replace(
        config, steps_per_epoch=config.steps_per_epoch or source.steps_per_epoch
    )
    trainer = Trainer(config, strategy=strategy)
    with RunDir(config, trainer, resume=resume, from_epoch=from_epoch) as run:
        code = _Run(config, trainer, source, run).go_on()
    if source.broken:
        logging.warning("%d broken pictures were left out", len(source.broken))
    return code


def training_pictures(config: TrainConfig, part: tuple[int, int] = (0, 1)) -> TrainingPictures:
    """Finds the data set's pictures; makes the edge-smoothed ones where they are missing.

    Args:
        config: The run's settings.
        part: Which part of every batch is read here, and of how many.

    Raises:
        FileNotFoundError: A folder is missing or empty; with several parts also the edge-smoothed
            one, which several machines cannot make at once.
    """
    adversarial = config.init_epochs < config.epochs
    if adversarial:
        style_dir = Path(config.dataset_dir) / config.style / "style"
        smooth_dir = style_dir.with_name("smooth")
        if not smooth_dir.exists() and part[1] == 1:
            # All else that is needed is looked for before the work begins.
            dataset_folders(
                config.dataset_dir, config.style, need_smooth=False, need_paired=config.is_paired
            )
            logging.info("%s: missing, made now", smooth_dir)
            size_hw = (config.image_size, config.image_size) if config.fit == "resize" else None
            smooth_folder(style_dir, smooth_dir, size_hw)
    folders = dataset_folders(
        config.dataset_dir, config.style, need_smooth=adversarial, need_paired=config.is_paired
    )
    return TrainingPictures(
        folders,
        image_size=config.image_size,
        batch_size=config.batch_size,
        seed=config.seed,
        fit=config.fit,
        part=part,
        augment_flip=config.augment_flip,
        augment_resize=config.augment_resize,
    )


class _Run:
    """One call of `train`: what the loop needs to know from step to step."""

    def __init__(
        self, config: TrainConfig, trainer: Trainer, source: TrainingPictures, run: RunDir
    ) -> None:
        self.config = config
        self.trainer = trainer
        self.source = source
        self.run = run
        self.step = run.step
        self.saved_at = time.monotonic()
        self.stop_signal = 0
        self.watch = CollapseWatch(config.gan_type, config.collapse_epochs)
        self.collapsed: str | None = None

    def go_on(self) -> int:
        """Runs every step that is left; returns the exit code."""
        per_epoch = self.config.steps_per_epoch
        begin_gan, end = self.config.init_epochs * per_epoch, self.config.epochs * per_epoch
        begin_gan = min(begin_gan, end)
        if self.step >= end:
            logging.info("%s: all %d epochs are done", self.run.path, self.config.epochs)
        with caught_signals(self._stop):
            for phase, until in (("init", begin_gan), ("gan", end)):
                while self.step < until and not self.stop_signal and not self.collapsed:
                    epoch = self.step // per_epoch
                    self._train_epoch(phase, epoch, (epoch + 1) * per_epoch)
        if self.stop_signal:
            return 128 + self.stop_signal
        if self.collapsed and self.step < end:
            logging.error(
                "%s: ended after epoch %d of %d: for %d epochs %s",
                self.run.path,
                self.step // per_epoch,
                self.config.epochs,
                self.config.collapse_epochs,
                ADVICE[self.collapsed],
            )
            return 1
        return 0

    def _stop(self, number: int, _: FrameType | None) -> None:
        self.stop_signal = number
        logging.warning("%s: saving before the end", signal.Signals(number).name)

    def _train_epoch(self, phase: str, epoch: int, until: int) -> None:
        """Runs the steps of an epoch that are left, from `self.step` to `until`."""
        begun_at, first = time.monotonic(), self.step
        with tqdm(
            total=self.config.steps_per_epoch,
            initial=self.config.steps_per_epoch - (until - self.step),
            desc=f"epoch {epoch + 1}/{self.config.epochs} {phase}",
            disable=not sys.stderr.isatty(),
        ) as bar:
            losses: dict[str, float] = {}
            for inputs in self._batches(phase, until):
                losses, seconds = self._train_step(phase, inputs)
                self.watch.add(losses)
                self._log(phase, epoch, seconds, losses)
                bar.set_postfix_str(_postfix(losses, seconds, self.config.batch_size))
                bar.update()
                if self.trainer.any_worker(bool(self.stop_signal)):
                    self.stop_signal = self.stop_signal or signal.SIGTERM  # another's was
                    break
                if self._checkpoint_is_due() and self.step < until:
                    self._save(epoch)
        done = self.step == until
        if done and not self.stop_signal:
            self._show(epoch + 1)
        for_good = done and _is_due(self.config.keep_every_epochs, epoch + 1)
        self._save(epoch + 1 if done else epoch, f"epoch-{epoch + 1}" if for_good else None)
        if done:
            # Of an epoch that was gone on with only what was seen: enough for a rule of means.
            self.collapsed = self.watch.end_epoch()
        if not sys.stderr.isatty():
            terms = " ".join(f"{name}={value:.4g}" for name, value in losses.items())
            pace = (time.monotonic() - begun_at) / max(1, self.step - first)
            logging.info(
                "step %d epoch %d %s %.2f s/step %s", self.step, epoch + 1, phase, pace, terms
            )

    def _batches(self, phase: str, until: int) -> Iterator[dict[str, tf.Tensor]]:
        objective = self.trainer.objective
        streams = objective.init_streams if phase == "init" else objective.gan_streams
        for batch in self.source.iterate(self.step, until - self.step, streams):
            yield network_inputs(batch)

    def _train_step(
        self, phase: str, inputs: dict[str, tf.Tensor]
    ) -> tuple[dict[str, float], float]:
        begun_at = time.monotonic()
        if phase == "init":
            outcome = self.trainer.init_step(inputs)
        else:
            update_discriminator = self.step % self.config.training_rate == 0
            outcome = self.trainer.gan_step(inputs, update_discriminator)
        losses = {name: float(value) for name, value in outcome.items()}
        self.step += 1
        wrong = [name for name, value in losses.items() if not math.isfinite(value)]
        if wrong:
            values = ", ".join(f"{name} is {losses[name]}" for name in wrong)
            raise NonFiniteLossError(
                f"step {self.step}: {values}; the newest good checkpoint is "
                f"{self.run.newest_checkpoint or 'none'}; lower the learning rate or the weight of "
                "that term, or train in float32, and --resume"
            )
        return losses, time.monotonic() - begun_at

    def _log(self, phase: str, epoch: int, seconds: float, losses: dict[str, float]) -> None:
        if self.step % self.config.log_steps == 0:
            line = {"step": self.step, "epoch": epoch, "phase": phase}
            self.run.log({**line, "seconds": round(seconds, 4)}, losses)

    def _checkpoint_is_due(self) -> bool:
        if self.config.checkpoint_steps and self.step % self.config.checkpoint_steps == 0:
            return True
        return time.monotonic() - self.saved_at > 60 * self.config.checkpoint_minutes

    def _save(self, epoch: int, keep_as: str | None = None) -> None:
        self.trainer.epoch.assign(epoch)
        self.run.save(keep_as)
        self.saved_at = time.monotonic()

    def _show(self, epochs: int) -> None:
        """Shows what the run has come to after so many epochs: samples and histograms."""
        if not self.run.writes:
            return
        if _is_due(self.config.histogram_epochs, epochs):
            self.run.show_weights()
        if self.config.samples and _is_due(self.config.sample_epochs, epochs):
            folders: DatasetFolders = self.source.folders
            photos = (folders.val or folders.train_photo)[: self.config.samples]
            sheet = sample_sheet(self.trainer.exported, photos)
            if sheet is not None:
                write_picture(self.run.samples / f"epoch_{epochs:04d}.png", sheet)
                self.run.show("samples", sheet)


def _is_due(every: int, epochs: int) -> bool:
    return bool(every) and epochs % every == 0


def _postfix(losses: dict[str, float], seconds: float, batch_size: int) -> str:
    terms = " ".join(f"{name}={value:.3g}" for name, value in losses.items())
    return f"{seconds:.2f} s/step {batch_size / seconds:.2f} pictures/s {terms}"
