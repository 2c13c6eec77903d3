"""`Objective`: the terms that generator and discriminator are trained on, and their weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from anime_tf.losses import perceptual
from anime_tf.losses.adversarial import GAN_TYPES
from anime_tf.models.gradients import plain_operations
from anime_tf.training.config import TrainConfig

TERM_WEIGHTS = {
    "g/adv": "g_adv_weight",
    "g/content": "content_weight",
    "g/style": "style_weight",
    "g/color": "color_weight",
    "g/tv": "tv_weight",
    "g/edge": "edge_weight",
    "g/paired": "paired_weight",
    "g/paired_detail": "paired_detail_weight",
    "g/paired_edge": "paired_edge_weight",
    "d/real": "d_real_weight",
    "d/gray": "d_gray_weight",
    "d/fake": "d_fake_weight",
    "d/smooth": "d_smooth_weight",
    "d/penalty": "penalty_weight",
}
"""Name of each loss term, as it is logged -> the setting that weighs it."""

# What a picture's seed is folded with, so that no two choices share their numbers: dropout by one
# more for each term.
POINT, NOISE, DROPOUT = 0, 1, 2

Pictures = dict[str, tf.Tensor]
Losses = dict[str, tf.Tensor]


def network_inputs(batch: Pictures) -> Pictures:
    """Turns a batch of the pipeline into what the networks see.

    Args:
        batch: uint8 (n, h, w, 3), RGB, under the names `photo`, `paired`, `anime` and `smooth`,
            not all of which need be there.

    Returns:
        float32 (n, h, w, 3) in [-1, 1]: the same, and of the anime and the smooth pictures the
        luma, rounded to whole levels as the originals' gray pictures are: `anime_gray` and
        `smooth_gray`.
    """
    inputs = {}
    for name, picture_u8 in batch.items():
        inputs[name] = _to_pm1(picture_u8)
        if name in ("anime", "smooth"):
            inputs[f"{name}_gray"] = _to_pm1(tf.round(perceptual.to_gray(picture_u8)))
    return inputs


def _to_pm1(picture_255: tf.Tensor) -> tf.Tensor:
    return tf.cast(picture_255, tf.float32) / 127.5 - 1.0


def _uniform(seeds: tf.Tensor, purpose: int, shape: Any) -> tf.Tensor:
    """Numbers in [0, 1) of a shape for each picture, by its seed alone; seeds are (n, 2)."""
    each = [tf.random.fold_in(seed, purpose) for seed in tf.unstack(seeds)]
    return tf.stack([tf.random.stateless_uniform(shape, seed) for seed in each])


def _noise(seeds: tf.Tensor) -> Callable[[Any], tf.Tensor]:
    """Shape (n, h, w, c) -> numbers in [0, 1), others at each call."""
    calls = itertools.count()
    return lambda shape: _uniform(seeds, next(calls), shape[1:])


class Objective:
    """What the networks are trained on: pictures in, terms out; it changes nothing.

    Every method returns its terms unweighted, under their names in `TERM_WEIGHTS`; a term whose
    weight is 0 is neither computed nor returned. Pictures are float32 (n, h, w, 3) in [-1, 1].

    Args:
        config: The run's settings.
        features: A network from pictures to features; None where no term needs it.
        discriminator: A network from pictures to logits.

    Attributes:
        weights: Name of each term -> its weight.
        features: As given.
    """

    def __init__(
        self, config: TrainConfig, features: keras.Model | None, discriminator: keras.Model
    ) -> None:
        self.weights = {term: getattr(config, name) for term, name in TERM_WEIGHTS.items()}
        self._config = config
        self.features: Any = features
        self._discriminator = discriminator
        self._gan_type = GAN_TYPES[config.gan_type]

    @property
    def init_streams(self) -> tuple[str, ...]:
        """What the initialisation phase needs of the pipeline."""
        return ("photo", "paired") if self._config.is_paired else ("photo",)

    @property
    def gan_streams(self) -> tuple[str, ...]:
        """What the phase after it needs of the pipeline."""
        return (*self.init_streams, "anime", "smooth")

    def weighted_sum(self, losses: Losses) -> tf.Tensor:
        """The sum of terms, each times its weight."""
        return sum((self.weights[term] * loss for term, loss in losses.items()), tf.zeros(()))

    def target_features(self, pictures: Pictures, *, style: bool) -> Pictures:
        """Features of the pictures that perceptual terms compare with: one pass, no gradient.

        Args:
            pictures: `photo`, and with `style` also `anime_gray` (or `anime`, in colour).
            style: Whether the style term is wanted.

        Returns:
            Name of a perceptual term -> features.
        """
        targets = {"g/content": pictures["photo"]}
        if style:
            targets["g/style"] = pictures["anime" if self._config.style_color else "anime_gray"]
        targets = {term: x for term, x in targets.items() if self.weights[term]}
        if not targets:
            return {}
        features = tf.split(self.features(tf.concat(list(targets.values()), 0)), len(targets))
        return dict(zip(targets, features, strict=True))

    def init_terms(self, pictures: Pictures, features: Pictures, generated: tf.Tensor) -> Losses:
        """The generator's terms in the initialisation phase: content, and the paired distances."""
        return {
            **self._perceptual_terms(features, generated),
            **self._paired_terms(pictures, generated),
        }

    def generator_terms(
        self, pictures: Pictures, features: Pictures, generated: tf.Tensor
    ) -> Losses:
        """All of the generator's terms, judged by the discriminator as it is now."""
        return {
            **self._adversarial_terms(pictures, generated),
            **self._perceptual_terms(features, generated),
            **self._pixel_terms(pictures, generated),
            **self._paired_terms(pictures, generated),
        }

    def discriminator_terms(self, pictures: Pictures, generated: tf.Tensor) -> Losses:
        """The discriminator's adversarial terms, unweighted.

        Args:
            pictures: `anime`, `anime_gray`, and `smooth_gray` (or `smooth`, in colour); where the
                discriminator drops values also `seed`, int64 (n, 2).
            generated: What the generator makes of the photos.
        """
        judged = {
            "d/real": pictures["anime"],
            "d/gray": pictures["anime_gray"],
            "d/fake": generated,
            "d/smooth": pictures["smooth" if self._config.smooth_color else "smooth_gray"],
        }
        judged = {term: x for term, x in judged.items() if self.weights[term]}
        # One call, so that spectral norm makes one power iteration; norms are by sample.
        logits = self._logits(judged, pictures)
        return {
            term: (self._gan_type.real if term == "d/real" else self._gan_type.fake)(x)
            for term, x in zip(judged, tf.split(logits, len(judged)), strict=True)
        }

    def discriminator_loss(self, terms: Losses) -> tf.Tensor:
        """What the discriminator minimises: d_adv (terms) + lambda penalty."""
        penalty = {term: x for term, x in terms.items() if term == "d/penalty"}
        judged = {term: x for term, x in terms.items() if term not in penalty}
        return self._config.d_adv_weight * self.weighted_sum(judged) + self.weighted_sum(penalty)

    def penalty_terms(self, anime: tf.Tensor, generated: tf.Tensor, seeds: tf.Tensor) -> Losses:
        """The penalty on the discriminator's gradient, for the GAN types that have one.

        Args:
            anime: Real pictures.
            generated: What the generator makes of the photos.
            seeds: Of each picture's random point, int64 (n, 2).
        """
        penalty = self._gan_type.penalty
        if penalty is None or not self.weights["d/penalty"]:
            return {}

        alpha = _uniform(seeds, POINT, (1, 1, 1))
        noise = _uniform(seeds, NOISE, tf.shape(anime)[1:])
        point = anime + alpha * (penalty.end(anime, generated, noise) - anime)
        return {"d/penalty": penalty.term(self.discriminator_gradient(point))}

    def discriminator_gradient(self, point: tf.Tensor) -> tf.Tensor:
        """The gradient of the sum of the logits with respect to pictures, itself differentiable.

        Args:
            point: Pictures.

        Returns:
            The same shape, float32.
        """
        # The gradient is differentiated once more.
        with plain_operations(), tf.GradientTape() as tape:
            tape.watch(point)
            # Not in training: spectral norm's one power iteration a step is that of the terms.
            logits = self._discriminator(point, training=False)
        return tape.gradient(logits, point)

    def _logits(self, judged: Pictures, pictures: Pictures) -> tf.Tensor:
        """The discriminator's logits in training, of the pictures of each term after each other."""
        joined = tf.concat(list(judged.values()), 0)
        if not self._config.discriminator_dropout:
            return self._discriminator(joined, training=True)
        terms = list(TERM_WEIGHTS)
        seeds = [
            tf.random.fold_in(seed, DROPOUT + terms.index(term))
            for term in judged
            for seed in tf.unstack(pictures["seed"])
        ]
        return self._discriminator(joined, training=True, noise=_noise(tf.stack(seeds)))

    def _perceptual_terms(self, features: Pictures, generated: tf.Tensor) -> Losses:
        if not features:
            return {}
        generated_features = self.features(generated)
        distances = {"g/content": perceptual.content_loss, "g/style": perceptual.style_loss}
        return {term: distances[term](x, generated_features) for term, x in features.items()}

    def _adversarial_terms(self, pictures: Pictures, generated: tf.Tensor) -> Losses:
        if not self.weights["g/adv"]:
            return {}
        return {"g/adv": self._gan_type.generator(self._logits({"g/adv": generated}, pictures))}

    def _pixel_terms(self, pictures: Pictures, generated: tf.Tensor) -> Losses:
        losses = {}
        if self.weights["g/color"]:
            losses["g/color"] = perceptual.color_loss(pictures["photo"], generated)
        if self.weights["g/tv"]:
            losses["g/tv"] = perceptual.total_variation_loss(generated)
        if self.weights["g/edge"]:
            losses["g/edge"] = perceptual.edge_loss(pictures["photo"], generated)
        return losses

    def _paired_terms(self, pictures: Pictures, generated: tf.Tensor) -> Losses:
        if not self._config.is_paired:
            return {}
        paired = pictures["paired"]
        matched = perceptual.match_tone(generated, paired)
        losses = {
            "g/paired": perceptual.l1_loss(paired, generated),
            "g/paired_detail": perceptual.l1_loss(paired, matched),
            "g/paired_edge": perceptual.gradient_difference_loss(paired, matched),
        }
        return {term: loss for term, loss in losses.items() if self.weights[term]}
