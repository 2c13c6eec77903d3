"""`DoubleTailObjective`: AnimeGANv3's losses, and the targets that are made outside the graph."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from anime_tf.datasets.superpixels import revise, superpixels
from anime_tf.datasets.workers import worker_pool
from anime_tf.io.pixels import to_pm1
from anime_tf.losses import double_tail as losses
from anime_tf.losses.adversarial import square_loss
from anime_tf.losses.perceptual import l1_loss, total_variation_loss
from anime_tf.training.config import TrainConfig
from anime_tf.training.lowering import lower_for_training
from anime_tf.training.objective import TERM_WEIGHTS, Batch, Terms, weighted_sum

DRAFTS = ("draft", "smooth_draft")
"""Pictures of which targets are made."""

SUPPORT_REAL, SUPPORT_FAKE = 0.9, 0.1
"""Targets of the support tail's discriminator; G aims at the first."""

Tails = tuple[tf.Tensor, tf.Tensor]
"""Pictures of the support tail, unfiltered, and of the main tail."""


class DoubleTailObjective:
    """Maps the pictures of both tails to losses; the counterpart of `Objective`.

    The support tail learns style and content from photos and anime pictures; its picture is
    smoothed by a guided filter first. The main tail learns the support tail's picture, revised.
    `target_features` and the three losses are those of `Objective`.
    """

    init_streams = ("photo",)

    def __init__(self, config: TrainConfig, features: Any, discriminator: keras.Model) -> None:
        self.weights = {term: getattr(config, name) for term, name in TERM_WEIGHTS.items()}
        self.features = features
        self._config = config
        self._discriminator = lower_for_training(discriminator)

    @property
    def gan_streams(self) -> tuple[str, ...]:
        """Streams of the pipeline that the GAN phase reads."""
        smooth = ("smooth",) if self.weights["d/smooth"] else ()
        return ("photo", "photo_superpixel", "anime", *smooth)

    def drafts(self, support: tf.Tensor) -> Batch:
        """Convert the support tail's picture to the drafts of the targets, uint8, rounded down.

        Returns:
            `draft`, the picture itself, and `smooth_draft`, after the guided filter.
        """
        drafts = {"draft": support, "smooth_draft": losses.smooth_guided(support)}
        return {
            name: tf.cast(tf.clip_by_value((x + 1.0) * 127.5, 0.0, 255.0), tf.uint8)
            for name, x in drafts.items()
        }

    def target_features(self, batch: Batch, *, style: bool) -> dict[str, list[tf.Tensor]]:
        """Compute the pyramids of the pictures that generated ones are compared with."""
        pictures = {"g/content": batch["photo"]}
        if style:
            pictures["style"] = losses.to_gray(batch["anime"])
            pictures["g/region"] = batch["superpixel"]
            pictures["g/region_photo"] = batch["photo_superpixel"]
            pictures["g/revision_content"] = batch["revised"]
        return self._pyramids(pictures)

    def _pyramids(self, pictures: Batch) -> dict[str, list[tf.Tensor]]:
        joined = self.features.pyramid(tf.concat(list(pictures.values()), 0))
        split = [tf.split(level, len(pictures)) for level in joined]
        return {name: [level[i] for level in split] for i, name in enumerate(pictures)}

    def init_loss(
        self, _: Batch, targets: Mapping[str, Any], generated: Tails
    ) -> tuple[tf.Tensor, Terms]:
        """Compute G's loss in the initialization phase: content, unweighted."""
        pictures = {"g/content": losses.smooth_guided(generated[0])}
        if self._config.init_main_tail:
            pictures["g/content_main"] = generated[1]
        photo = targets["g/content"][-1]
        terms = {
            term: losses.feature_distance(photo, pyramid[-1])
            for term, pyramid in self._pyramids(pictures).items()
        }
        return sum(terms.values(), tf.zeros(())), terms

    def generator_loss(
        self, batch: Batch, targets: Mapping[str, Any], generated: Tails
    ) -> tuple[tf.Tensor, Terms]:
        """Compute G's loss against the discriminators as they are now."""
        support, main = losses.smooth_guided(generated[0]), generated[1]
        gray = losses.to_gray(support)
        pyramids = self._pyramids({"support": support, "gray": gray, "main": main})
        terms = {
            term: losses.feature_distance(targets[term][-1], pyramids["support"][-1])
            for term in ("g/content", "g/region", "g/region_photo")
        }
        for level, term in enumerate(losses.STYLES):
            terms[term] = losses.decentralized_style_loss(
                targets["style"][level], pyramids["gray"][level]
            )
        terms["g/lab"] = losses.lab_loss(batch["photo"], support)
        terms["g/tv"] = total_variation_loss(support)
        terms["g/adv"] = square_loss(self._discriminator.support(gray, training=True), SUPPORT_REAL)
        terms["g/tv_main"] = total_variation_loss(main)
        terms["g/revision"] = l1_loss(batch["revised"], main)
        terms["g/revision_content"] = losses.feature_distance(
            targets["g/revision_content"][-1], pyramids["main"][-1]
        )
        terms["g/adv_main"] = square_loss(self._discriminator.main(main, training=True), 1.0)
        return weighted_sum(self.weights, terms), terms

    def discriminator_loss(self, batch: Batch, generated: Tails) -> tuple[tf.Tensor, Terms]:
        """Compute the loss of both discriminators."""
        support, main = losses.smooth_guided(generated[0]), generated[1]
        # One call of each, so that spectral norm makes one power iteration.
        judged = {"d/real": batch["anime"], "d/fake": support}
        if self.weights["d/smooth"]:
            judged["d/smooth"] = batch["smooth"]
        grays = [losses.to_gray(x) for x in judged.values()]
        logits = self._discriminator.support(tf.concat(grays, 0), training=True)
        terms = {
            term: square_loss(x, SUPPORT_REAL if term == "d/real" else SUPPORT_FAKE)
            for term, x in zip(judged, tf.split(logits, len(judged)), strict=True)
        }
        logits = self._discriminator.main(tf.concat([batch["revised"], main], 0), training=True)
        real_main, fake_main = tf.split(logits, 2)
        terms["d/real_main"] = square_loss(real_main, 1.0)
        terms["d/fake_main"] = square_loss(fake_main, 0.0)
        return self._config.d_adv_weight * weighted_sum(self.weights, terms), terms


class TargetMaker:
    """Makes the targets of a step from drafts, on other cores, a picture a task.

    Attributes:
        seconds: Time that the last call waited for targets.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.seconds = 0.0
        self._min_size = config.region_min_size
        self._denoise = (config.denoise_luma, config.denoise_chroma, config.denoise_template)

    def submit(self, drafts: Mapping[str, np.ndarray]) -> list[list[Future[np.ndarray]]]:
        """Start the tasks that make the targets of drafts."""
        submit = worker_pool().submit
        return [
            [submit(superpixels, x, self._min_size) for x in drafts["smooth_draft"]],
            [submit(revise, x, *self._denoise) for x in drafts["draft"]],
        ]

    def collect(self, tasks: list[list[Future[np.ndarray]]]) -> Batch:
        """Return `superpixel` of the smooth drafts, and `revised` of the drafts; in [-1, 1]."""
        started_at = time.monotonic()
        superpixel_u8, revised = (np.stack([task.result() for task in row]) for row in tasks)
        self.seconds = time.monotonic() - started_at
        return {
            "superpixel": tf.constant(to_pm1(superpixel_u8)),
            "revised": tf.constant(revised),
        }


class TargetQueue:
    """The targets of a step, and those of the next step, started ahead of it.

    Drafts made ahead are kept in variables, so that a resumed run makes the same targets of them.

    Attributes:
        maker: Makes targets of drafts.
        variables: Name -> variable, for checkpoints; empty unless targets are made ahead.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.maker = TargetMaker(config)
        self.variables: dict[str, tf.Variable] = {}
        self._tasks: tuple[int, Any] | None = None  # a step and the tasks of its targets
        if config.targets_ahead:
            shape = (config.batch_size, config.image_size, config.image_size, 3)
            self.variables = {
                name: tf.Variable(tf.zeros(shape, tf.uint8), trainable=False, name=name)
                for name in DRAFTS
            }
            self.variables["step"] = tf.Variable(-1, dtype=tf.int64, trainable=False, name="step")

    def targets(self, step: int, make_drafts: Callable[[], dict[str, np.ndarray]]) -> Any:
        """Return the tasks of the targets of a step: those started ahead, or else new ones."""
        if self._tasks is not None and self._tasks[0] == step:
            return self._tasks[1]
        if self.variables and int(self.variables["step"].numpy()) == step:  # resumed
            drafts = {name: self.variables[name].numpy() for name in DRAFTS}
        else:
            drafts = make_drafts()
        return self.maker.submit(drafts)

    def begin(self, step: int, drafts: Mapping[str, np.ndarray]) -> None:
        """Start the tasks of a later step's targets."""
        for name in DRAFTS:
            self.variables[name].assign(drafts[name])
        self.variables["step"].assign(step)
        self._tasks = (step, self.maker.submit(drafts))
