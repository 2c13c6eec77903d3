"""`Trainer`: the networks, their optimisers, and the two compiled training steps."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from anime_tf.losses import perceptual
from anime_tf.losses.adversarial import GAN_TYPES
from anime_tf.models.registry import DISCRIMINATORS, GENERATORS
from anime_tf.models.vgg19 import vgg19_features
from anime_tf.training.config import TrainConfig

ADAM = {"beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-8}
"""TensorFlow 1's epsilon, not Keras' 1e-7."""

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


class Trainer:
    """Trains a generator against a discriminator; one compiled step for each phase.

    The networks are made from the config's seed. All that a checkpoint must hold hangs on
    `trackables`.

    Args:
        config: The run's settings.
        perceptual_network: A network from pictures in [-1, 1] to features; where it is left out,
            made from the config if a weight asks for it.
    """

    def __init__(self, config: TrainConfig, perceptual_network: keras.Model | None = None) -> None:
        self.config = config
        self.weights = {term: getattr(config, name) for term, name in TERM_WEIGHTS.items()}
        keras.utils.set_random_seed(config.seed)
        self.generator = GENERATORS[config.model](
            width=config.generator_width, name="generator", dtype=config.precision
        )
        self.discriminator = DISCRIMINATORS[config.discriminator](
            width=config.discriminator_width,
            depth=config.discriminator_depth,
            spectral_norm=config.spectral_norm,
            name="discriminator",
            dtype=config.precision,
        )
        self.perceptual: Any = perceptual_network
        if perceptual_network is None and (self.weights["g/content"] or self.weights["g/style"]):
            self.perceptual = vgg19_features(
                config.perceptual_weights, seed=config.seed, dtype=config.precision
            )
        self.gan_type = GAN_TYPES[config.gan_type]
        self.init_optimizer = self._adam("init", config.init_learning_rate, self.generator)
        self.g_optimizer = self._adam("g", config.g_learning_rate, self.generator)
        self.d_optimizer = self._adam("d", config.d_learning_rate, self.discriminator)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
        self.seed = tf.Variable(config.seed, dtype=tf.int64, trainable=False, name="seed")

    def _adam(
        self, name: str, learning_rate: float, network: keras.Model
    ) -> keras.optimizers.Optimizer:
        # Named, since a checkpoint finds the variables again by their paths.
        optimizer = keras.optimizers.Adam(learning_rate, **ADAM, name=f"{name}_adam")
        if self.config.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name=f"{name}_loss_scale")
        optimizer.build(network.trainable_variables)
        return optimizer

    @property
    def trackables(self) -> dict[str, Any]:
        """What a checkpoint holds, by name.

        Every random choice of a run (order, crops) is a function of `seed` and `step`, so these
        two are its random state.
        """
        holders = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "init_optimizer": self.init_optimizer,
            "g_optimizer": self.g_optimizer,
            "d_optimizer": self.d_optimizer,
        }
        # Variable by variable: tf.train.Checkpoint does not look into the lists of a Keras model,
        # and would leave the spectral norms' u in them out without a word. The learning rates are
        # left out: they are settings, and may change when a run is resumed.
        variables = {
            name: {
                variable.path: variable.value
                for variable in holder.variables
                if not variable.path.endswith("learning_rate")
            }
            for name, holder in holders.items()
        }
        return {
            **variables,
            "step": self.step,
            "epoch": self.epoch,
            "seed": self.seed,
        }

    @property
    def init_streams(self) -> tuple[str, ...]:
        """What `init_step` needs of the pipeline."""
        return ("photo", "paired") if self.config.is_paired else ("photo",)

    @property
    def gan_streams(self) -> tuple[str, ...]:
        """What `gan_step` needs of the pipeline."""
        return (*self.init_streams, "anime", "smooth")

    @tf.function(autograph=False, reduce_retracing=True)
    def init_step(self, pictures: Pictures) -> Losses:
        """Updates G on the content loss (and the distance to the paired pictures) alone.

        Args:
            pictures: `photo`, float32 (n, h, w, 3) in [-1, 1], and `paired` where it has a weight.

        Returns:
            The terms `g/content`, `g/paired`, `g/paired_detail` and `g/paired_edge`, unweighted,
            and `g/loss`, what was minimised. Here and in `gan_step` a term whose weight is 0 is
            neither computed nor returned.
        """
        features = self._target_features({"g/content": pictures["photo"]})
        with tf.GradientTape() as tape:
            generated = self.generator(pictures["photo"], training=True)
            losses = {
                **self._perceptual_terms(features, generated),
                **self._paired_terms(pictures, generated),
            }
            loss = self._weighted_sum(losses)
            scaled = self.init_optimizer.scale_loss(loss)
        self._apply(self.init_optimizer, self.generator, tape, scaled)
        self.step.assign_add(1)
        return {**losses, "g/loss": loss}

    @tf.function(autograph=False, reduce_retracing=True)
    def gan_step(self, pictures: Pictures, update_discriminator: bool = True) -> Losses:
        """Updates D, then G against the new D.

        The generated pictures come from one forward pass: G does not change between its part in
        D's loss and its own.

        Args:
            pictures: `photo`, `anime`, `anime_gray`, `smooth_gray` (or `smooth`, in colour), and
                `paired` where it has a weight, float32 (n, h, w, 3) in [-1, 1].
            update_discriminator: Whether D is updated in this step.

        Returns:
            Every term unweighted, and `g/loss` and `d/loss`, what was minimised. D's are left out
            where D is not updated.
        """
        features = self._target_features(
            {"g/content": pictures["photo"], "g/style": pictures["anime_gray"]}
        )
        with tf.GradientTape() as tape:
            generated = self.generator(pictures["photo"], training=True)
            d_losses = {}
            if update_discriminator:
                with tape.stop_recording():
                    d_losses = self._update_discriminator(pictures, generated)
            losses = {
                **self._adversarial_terms(generated),
                **self._perceptual_terms(features, generated),
                **self._pixel_terms(pictures, generated),
                **self._paired_terms(pictures, generated),
            }
            loss = self._weighted_sum(losses)
            scaled = self.g_optimizer.scale_loss(loss)
        self._apply(self.g_optimizer, self.generator, tape, scaled)
        self.step.assign_add(1)
        return {**losses, "g/loss": loss, **d_losses}

    def _update_discriminator(self, pictures: Pictures, generated: tf.Tensor) -> Losses:
        judged = {
            "d/real": pictures["anime"],
            "d/gray": pictures["anime_gray"],
            "d/fake": generated,
            "d/smooth": pictures["smooth" if self.config.smooth_color else "smooth_gray"],
        }
        judged = {term: x for term, x in judged.items() if self.weights[term]}
        with tf.GradientTape() as tape:
            # One call, so that spectral norm makes one power iteration; norms are by sample.
            logits = self.discriminator(tf.concat(list(judged.values()), 0), training=True)
            losses = {
                term: (self.gan_type.real if term == "d/real" else self.gan_type.fake)(x)
                for term, x in zip(judged, tf.split(logits, len(judged)), strict=True)
            }
            loss = self.config.d_adv_weight * self._weighted_sum(losses)
            penalty = self._penalty_terms(pictures["anime"], generated)
            loss += self._weighted_sum(penalty)
            scaled = self.d_optimizer.scale_loss(loss)
        self._apply(self.d_optimizer, self.discriminator, tape, scaled)
        return {**losses, **penalty, "d/loss": loss}

    def _penalty_terms(self, anime: tf.Tensor, generated: tf.Tensor) -> Losses:
        penalty = self.gan_type.penalty
        if penalty is None or not self.weights["d/penalty"]:
            return {}
        # A function of seed and step, so that a resumed run draws the same.
        seed = tf.stack([self.seed, self.step])
        alpha = tf.random.stateless_uniform((tf.shape(anime)[0], 1, 1, 1), seed)
        noise = tf.random.stateless_uniform(
            tf.shape(anime), seed + tf.constant([0, 1 << 32], tf.int64)
        )
        point = anime + alpha * (penalty.end(anime, generated, noise) - anime)
        return {"d/penalty": penalty.term(self.discriminator_gradient(point))}

    def discriminator_gradient(self, point: tf.Tensor) -> tf.Tensor:
        """The gradient of the sum of D's logits with respect to pictures, differentiable in D.

        Args:
            point: Pictures (n, h, w, 3) in [-1, 1].

        Returns:
            The same shape, float32.
        """
        with tf.GradientTape() as tape:
            tape.watch(point)
            # Not in training: spectral norm's one power iteration a step is that of the terms.
            logits = self.discriminator(point, training=False)
        return tape.gradient(logits, point)

    def _target_features(self, targets: Pictures) -> Pictures:
        """Features of the pictures that perceptual terms compare with: one pass, no gradient."""
        targets = {term: x for term, x in targets.items() if self.weights[term]}
        if not targets:
            return {}
        features = tf.split(self.perceptual(tf.concat(list(targets.values()), 0)), len(targets))
        return dict(zip(targets, features, strict=True))

    def _perceptual_terms(self, features: Pictures, generated: tf.Tensor) -> Losses:
        if not features:
            return {}
        generated_features = self.perceptual(generated)
        distances = {"g/content": perceptual.content_loss, "g/style": perceptual.style_loss}
        return {term: distances[term](x, generated_features) for term, x in features.items()}

    def _adversarial_terms(self, generated: tf.Tensor) -> Losses:
        if not self.weights["g/adv"]:
            return {}
        return {"g/adv": self.gan_type.generator(self.discriminator(generated, training=True))}

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
        if not self.config.is_paired:
            return {}
        paired = pictures["paired"]
        matched = perceptual.match_tone(generated, paired)
        losses = {
            "g/paired": perceptual.l1_loss(paired, generated),
            "g/paired_detail": perceptual.l1_loss(paired, matched),
            "g/paired_edge": perceptual.gradient_difference_loss(paired, matched),
        }
        return {term: loss for term, loss in losses.items() if self.weights[term]}

    def _weighted_sum(self, losses: Losses) -> tf.Tensor:
        return sum((self.weights[term] * loss for term, loss in losses.items()), tf.zeros(()))

    @staticmethod
    def _apply(
        optimizer: keras.optimizers.Optimizer,
        network: keras.Model,
        tape: tf.GradientTape,
        loss: tf.Tensor,
    ) -> None:
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
