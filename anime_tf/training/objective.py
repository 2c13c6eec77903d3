"""`Objective`: the loss terms of generator and discriminator, and their weighted sums."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import keras
import tensorflow as tf

from anime_tf.losses import double_tail, painting, perceptual
from anime_tf.losses.adversarial import GAN_TYPES
from anime_tf.training.config import TrainConfig
from anime_tf.training.lowering import lower_for_training

# Name of each loss term in the log -> the setting that holds its weight. New terms go last: the
# random numbers of dropout depend on a term's place.
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
    "g/paired_yuv": "paired_yuv_weight",
    "g/paired_gradient": "paired_gradient_weight",
    "g/paired_flat": "paired_flat_weight",
    "g/paired_magnitude": "paired_magnitude_weight",
    "g/paired_feature": "paired_feature_weight",
    "g/style_2_2": "style_2_2_weight",
    "g/style_3_3": "style_3_3_weight",
    "g/style_4_4": "style_4_4_weight",
    "g/region_photo": "region_photo_weight",
    # Of `DoubleTailObjective` alone:
    "g/region": "region_weight",
    "g/lab": "lab_weight",
    "g/tv_main": "tv_weight",
    "g/revision": "revision_weight",
    "g/revision_content": "revision_content_weight",
    "g/adv_main": "main_adv_weight",
    "d/real_main": "d_main_weight",
    "d/fake_main": "d_main_weight",
}

# Folded into a picture's seed, so that no two random choices share their numbers; each term's
# dropout adds its place in TERM_WEIGHTS.
POINT, NOISE, DROPOUT = 0, 1, 2

Batch = dict[str, tf.Tensor]
Terms = dict[str, tf.Tensor]


def network_inputs(batch: Batch) -> Batch:
    """Convert a uint8 batch of the pipeline to [-1, 1] and add the gray pictures.

    Returns float32 (n, h, w, 3) in [-1, 1] under the same names, of `photo`, `paired`, `anime` and
    `smooth`, and `anime_gray` and `smooth_gray`, the luma rounded to whole levels as in the
    originals.
    """
    inputs = {}
    for name, picture_u8 in batch.items():
        inputs[name] = _to_pm1(picture_u8)
        if name in ("anime", "smooth"):
            inputs[f"{name}_gray"] = _to_pm1(tf.round(perceptual.to_gray(picture_u8)))
    return inputs


def weighted_sum(weights: Mapping[str, float], terms: Terms) -> tf.Tensor:
    """Sum the terms, each multiplied by its weight."""
    return sum((weights[term] * loss for term, loss in terms.items()), tf.zeros(()))


def _to_pm1(picture_255: tf.Tensor) -> tf.Tensor:
    return tf.cast(picture_255, tf.float32) / 127.5 - 1.0


def _uniform(seeds: tf.Tensor, purpose: int, shape: Any) -> tf.Tensor:
    """Draw a tensor of `shape` in [0, 1) for each picture from its row of `seeds` (n, 2)."""
    each = [tf.random.fold_in(seed, purpose) for seed in tf.unstack(seeds)]
    return tf.stack([tf.random.stateless_uniform(shape, seed) for seed in each])


def _noise(seeds: tf.Tensor) -> Callable[[Any], tf.Tensor]:
    """Make a source of noise: shape (n, h, w, c) -> numbers in [0, 1), new ones at each call."""
    calls = itertools.count()
    return lambda shape: _uniform(seeds, next(calls), shape[1:])


class Objective:
    """Maps pictures to losses and changes no state.

    The three losses return `(loss, terms)`: the scalar to minimize and the unweighted terms under
    their names in `TERM_WEIGHTS`. A term of weight 0 is neither computed nor returned. Pictures are
    float32 (n, h, w, 3) in [-1, 1].

    Args:
        config: Settings of the run.
        features: Perceptual network; None where no term needs it.
        discriminator: Network from pictures to logits.

    Attributes:
        weights: Name of each term -> its weight.
        features: The perceptual network.
    """

    def __init__(
        self, config: TrainConfig, features: keras.Model | None, discriminator: keras.Model
    ) -> None:
        self.weights = {term: getattr(config, name) for term, name in TERM_WEIGHTS.items()}
        self.features: Any = features
        self._config = config
        self._discriminator = discriminator
        self._lowered_discriminator = lower_for_training(discriminator)
        self._gan_type = GAN_TYPES[config.gan_type]

    @property
    def init_streams(self) -> tuple[str, ...]:
        """Streams of the pipeline that the initialization phase reads."""
        return ("photo", "paired") if self._config.is_paired else ("photo",)

    @property
    def gan_streams(self) -> tuple[str, ...]:
        """Streams of the pipeline that the GAN phase reads."""
        regions = ("photo_superpixel",) if self.weights["g/region_photo"] else ()
        smooth = ("smooth",) if self.weights["d/smooth"] else ()
        return (*self.init_streams, *regions, "anime", *smooth)

    def target_features(self, batch: Batch, *, style: bool) -> Batch:
        """Compute the features that the generated pictures' features are compared with.

        Of `photo`, and with `style` also of `anime_gray`, `anime` or `photo_superpixel`, by term.
        """
        targets = {"g/content": batch["photo"]}
        if style:
            targets["g/style"] = batch["anime" if self._config.style_color else "anime_gray"]
            if self.weights["g/region_photo"]:
                targets["g/region_photo"] = batch["photo_superpixel"]
        targets = {term: x for term, x in targets.items() if self.weights[term]}
        features = {}
        if targets:
            joined = self.features(tf.concat(list(targets.values()), 0))
            features = dict(zip(targets, tf.split(joined, len(targets)), strict=True))
        if style and self._config.needs_pyramid:
            pyramid = self.features.pyramid(double_tail.to_gray(batch["anime"]))
            features |= dict(zip(double_tail.STYLES, pyramid, strict=True))
        return features

    def init_loss(
        self, batch: Batch, targets: Batch, generated: tf.Tensor
    ) -> tuple[tf.Tensor, Terms]:
        """Compute G's loss in the initialization phase: content and paired distances."""
        terms = self._perceptual_terms(targets, generated) | self._paired_terms(batch, generated)
        return weighted_sum(self.weights, terms), terms

    def generator_loss(
        self, batch: Batch, targets: Batch, generated: tf.Tensor
    ) -> tuple[tf.Tensor, Terms]:
        """Compute G's loss against the discriminator as it is now."""
        terms: Terms = {}
        if self.weights["g/adv"]:
            logits = self.logits({"g/adv": generated}, batch)
            terms["g/adv"] = self._gan_type.generator(logits)
        terms |= self._perceptual_terms(targets, generated)
        if self.weights["g/color"]:
            terms["g/color"] = perceptual.color_loss(batch["photo"], generated)
        if self.weights["g/tv"]:
            terms["g/tv"] = perceptual.total_variation_loss(generated)
        if self.weights["g/edge"]:
            terms["g/edge"] = perceptual.edge_loss(batch["photo"], generated)
        terms |= self._paired_terms(batch, generated)
        return weighted_sum(self.weights, terms), terms

    def discriminator_loss(self, batch: Batch, generated: tf.Tensor) -> tuple[tf.Tensor, Terms]:
        """Compute D's loss: d_adv_weight (real + gray + fake + smooth) + penalty, weighted.

        Args:
            batch: `anime`, `anime_gray`, `smooth_gray` (or `smooth` for `smooth_color`), and, for
                dropout and penalty, `seed`, int64 (n, 2).
            generated: G's pictures of the photos.
        """
        judged = {
            "d/real": batch["anime"],
            "d/gray": batch["anime_gray"],
            "d/fake": generated,
        }
        if self.weights["d/smooth"]:
            judged["d/smooth"] = batch["smooth" if self._config.smooth_color else "smooth_gray"]
        judged = {term: x for term, x in judged.items() if self.weights[term]}
        # One call, so that spectral norm makes one power iteration; norms are per sample.
        logits = tf.split(self.logits(judged, batch), len(judged))
        terms = {
            term: (self._gan_type.real if term == "d/real" else self._gan_type.fake)(x)
            for term, x in zip(judged, logits, strict=True)
        }
        loss = self._config.d_adv_weight * weighted_sum(self.weights, terms)
        penalty = self._gan_type.penalty
        if penalty is None or not self.weights["d/penalty"]:
            return loss, terms

        anime = batch["anime"]
        alpha = _uniform(batch["seed"], POINT, (1, 1, 1))
        noise = _uniform(batch["seed"], NOISE, tf.shape(anime)[1:])
        point = anime + alpha * (penalty.end(anime, generated, noise) - anime)
        terms["d/penalty"] = penalty.term(self.discriminator_gradient(point))
        return loss + weighted_sum(self.weights, {"d/penalty": terms["d/penalty"]}), terms

    def discriminator_gradient(self, point: tf.Tensor) -> tf.Tensor:
        """Differentiate the sum of D's logits with respect to `point`, itself differentiable."""
        with tf.GradientTape() as tape:
            tape.watch(point)
            seen = self._seen_by_discriminator(point)
            # The reference, not the lowered network: the gradient is differentiated once more.
            # training=False: the terms make the one power iteration of a step.
            logits = self._discriminator(seen, training=False)
        return tape.gradient(logits, point)

    def logits(self, judged: Batch, batch: Batch) -> tf.Tensor:
        """Run D in training mode on the pictures of several terms; its dropout follows `seed`."""
        joined = self._seen_by_discriminator(tf.concat(list(judged.values()), 0))
        if not self._config.discriminator_dropout:
            return self._lowered_discriminator(joined, training=True)
        terms = list(TERM_WEIGHTS)
        seeds = [
            tf.random.fold_in(seed, DROPOUT + terms.index(term))
            for term in judged
            for seed in tf.unstack(batch["seed"])
        ]
        return self._lowered_discriminator(joined, training=True, noise=_noise(tf.stack(seeds)))

    def _seen_by_discriminator(self, pictures: tf.Tensor) -> tf.Tensor:
        return pictures if self._config.discriminator_color else perceptual.to_gray(pictures)

    def _perceptual_terms(self, targets: Batch, generated: tf.Tensor) -> Terms:
        losses = {
            "g/content": perceptual.content_loss,
            "g/style": perceptual.style_loss,
            "g/region_photo": perceptual.content_loss,
        }
        terms: Terms = {}
        if any(term in losses for term in targets):
            features = self.features(generated)
            terms = {k: losses[k](target, features) for k, target in targets.items() if k in losses}
        if double_tail.STYLES[0] in targets:
            pyramid = self.features.pyramid(double_tail.to_gray(generated))
            for term, features in zip(double_tail.STYLES, pyramid, strict=True):
                terms[term] = double_tail.decentralized_style_loss(targets[term], features)
        return {term: loss for term, loss in terms.items() if self.weights[term]}

    def _paired_terms(self, batch: Batch, generated: tf.Tensor) -> Terms:
        if not self._config.is_paired:
            return {}
        paired = batch["paired"]
        losses: dict[str, Callable[[tf.Tensor, tf.Tensor], tf.Tensor]] = {
            "g/paired": perceptual.l1_loss,
            "g/paired_detail": _detail_loss,
            "g/paired_edge": _edge_loss,
            "g/paired_yuv": painting.yuv_loss,
            "g/paired_gradient": painting.multi_scale_gradient_loss,
            "g/paired_flat": painting.flat_area_loss,
            "g/paired_magnitude": painting.gradient_magnitude_loss,
            "g/paired_feature": self._feature_loss,
        }
        return {k: loss(generated, paired) for k, loss in losses.items() if self.weights[k]}

    def _feature_loss(self, generated: tf.Tensor, paired: tf.Tensor) -> tf.Tensor:
        pyramid = self.features.pyramid
        return painting.feature_loss(pyramid(generated), pyramid(paired))


def _detail_loss(generated: tf.Tensor, paired: tf.Tensor) -> tf.Tensor:
    return perceptual.l1_loss(paired, perceptual.match_tone(generated, paired))


def _edge_loss(generated: tf.Tensor, paired: tf.Tensor) -> tf.Tensor:
    matched = perceptual.match_tone(generated, paired)
    return perceptual.gradient_difference_loss(paired, matched)
