"""`Trainer`: the networks, their optimisers, and the two compiled training steps."""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf

from anime_tf.losses import perceptual
from anime_tf.losses.adversarial import GAN_TYPES
from anime_tf.models.discriminator import AnimeGANDiscriminator
from anime_tf.models.registry import GENERATORS
from anime_tf.models.vgg19 import vgg19_features
from anime_tf.training.config import TrainConfig

ADAM = {"beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-8}
"""TensorFlow 1's epsilon, not Keras' 1e-7."""

Pictures = dict[str, tf.Tensor]
Losses = dict[str, tf.Tensor]


def network_inputs(batch: Pictures) -> Pictures:
    """Turns a batch of the pipeline into what the networks see.

    Args:
        batch: uint8 (n, h, w, 3), RGB, under the names `photo`, `paired`, `anime` and `smooth`,
            not all of which need be there.

    Returns:
        float32 (n, h, w, 3) in [-1, 1]: `photo`, `paired` and `anime`, and of the anime and the
        smooth pictures the luma, rounded to whole levels as the originals' gray pictures are:
        `anime_gray` and `smooth_gray`.
    """
    inputs = {}
    for name, picture_u8 in batch.items():
        if name != "smooth":
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
        perceptual_network: A network from pictures in [-1, 1] to features; made from the config
            where it is left out.
    """

    def __init__(self, config: TrainConfig, perceptual_network: keras.Model | None = None) -> None:
        self.config = config
        keras.utils.set_random_seed(config.seed)
        self.generator = GENERATORS[config.model](
            width=config.generator_width, name="generator", dtype=config.precision
        )
        self.discriminator = AnimeGANDiscriminator(
            width=config.discriminator_width,
            depth=config.discriminator_depth,
            spectral_norm=config.spectral_norm,
            name="discriminator",
            dtype=config.precision,
        )
        self.perceptual = perceptual_network or vgg19_features(
            config.perceptual_weights, seed=config.seed, dtype=config.precision
        )
        self.gan_type = GAN_TYPES[config.gan_type]
        self.init_optimizer = self._adam(config.init_learning_rate, self.generator)
        self.g_optimizer = self._adam(config.g_learning_rate, self.generator)
        self.d_optimizer = self._adam(config.d_learning_rate, self.discriminator)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.seed = tf.Variable(config.seed, dtype=tf.int64, trainable=False, name="seed")

    def _adam(self, learning_rate: float, network: keras.Model) -> keras.optimizers.Optimizer:
        optimizer = keras.optimizers.Adam(learning_rate, **ADAM)
        if self.config.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer)
        optimizer.build(network.trainable_variables)
        return optimizer

    @property
    def trackables(self) -> dict[str, Any]:
        """What a checkpoint holds, by name.

        Every random choice of a run (order, crops) is a function of `seed` and `step`, so these
        two are its random state.
        """
        return {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "init_optimizer": self.init_optimizer,
            "g_optimizer": self.g_optimizer,
            "d_optimizer": self.d_optimizer,
            "step": self.step,
            "seed": self.seed,
        }

    @property
    def init_streams(self) -> tuple[str, ...]:
        """What `init_step` needs of the pipeline."""
        return ("photo", "paired") if self.config.paired_weight else ("photo",)

    @property
    def gan_streams(self) -> tuple[str, ...]:
        """What `gan_step` needs of the pipeline."""
        return (*self.init_streams, "anime", "smooth")

    @tf.function(reduce_retracing=True)
    def init_step(self, pictures: Pictures) -> Losses:
        """Updates G on the content loss alone.

        Args:
            pictures: `photo`, float32 (n, h, w, 3) in [-1, 1], and `paired` where it has a weight.

        Returns:
            `g/content` (and `g/paired`), unweighted, and `g/loss`, what was minimised.
        """
        photo = pictures["photo"]
        photo_features = self.perceptual(photo)
        with tf.GradientTape() as tape:
            generated = self.generator(photo, training=True)
            losses = {
                "g/content": perceptual.content_loss(photo_features, self.perceptual(generated))
            }
            loss = self.config.content_weight * losses["g/content"]
            loss += self._paired_term(pictures, generated, losses)
            scaled = self.init_optimizer.scale_loss(loss)
        self._apply(self.init_optimizer, self.generator, tape, scaled)
        self.step.assign_add(1)
        return {**losses, "g/loss": loss}

    @tf.function(reduce_retracing=True)
    def gan_step(self, pictures: Pictures, update_discriminator: bool = True) -> Losses:
        """Updates D, then G against the new D.

        The generated pictures come from one forward pass: G does not change between its part in
        D's loss and its own.

        Args:
            pictures: `photo`, `anime`, `anime_gray`, `smooth_gray`, float32 (n, h, w, 3) in
                [-1, 1], and `paired` where it has a weight.
            update_discriminator: Whether D is updated in this step.

        Returns:
            Every term unweighted, and `g/loss` and `d/loss`, what was minimised. D's are left out
            where D is not updated.
        """
        photo = pictures["photo"]
        # No gradient is needed of these two: one pass, outside the tape.
        photo_features, gray_features = tf.split(
            self.perceptual(tf.concat([photo, pictures["anime_gray"]], 0)), 2
        )
        with tf.GradientTape() as tape:
            generated = self.generator(photo, training=True)
            d_losses = {}
            if update_discriminator:
                with tape.stop_recording():
                    d_losses = self._update_discriminator(pictures, generated)
            losses, loss = self._generator_losses(
                pictures, photo_features, gray_features, generated
            )
            scaled = self.g_optimizer.scale_loss(loss)
        self._apply(self.g_optimizer, self.generator, tape, scaled)
        self.step.assign_add(1)
        return {**losses, "g/loss": loss, **d_losses}

    def _update_discriminator(self, pictures: Pictures, generated: tf.Tensor) -> Losses:
        config = self.config
        # One call, so that spectral norm makes one power iteration; layer norm is by sample.
        judged = tf.concat(
            [pictures["anime"], pictures["anime_gray"], generated, pictures["smooth_gray"]], 0
        )
        with tf.GradientTape() as tape:
            real, gray, fake, smooth = tf.split(self.discriminator(judged, training=True), 4)
            losses = {
                "d/real": self.gan_type.real(real),
                "d/gray": self.gan_type.fake(gray),
                "d/fake": self.gan_type.fake(fake),
                "d/smooth": self.gan_type.fake(smooth),
            }
            loss = config.d_adv_weight * (
                config.d_real_weight * losses["d/real"]
                + config.d_gray_weight * losses["d/gray"]
                + config.d_fake_weight * losses["d/fake"]
                + config.d_smooth_weight * losses["d/smooth"]
            )
            scaled = self.d_optimizer.scale_loss(loss)
        self._apply(self.d_optimizer, self.discriminator, tape, scaled)
        return {**losses, "d/loss": loss}

    def _generator_losses(
        self,
        pictures: Pictures,
        photo_features: tf.Tensor,
        gray_features: tf.Tensor,
        generated: tf.Tensor,
    ) -> tuple[Losses, tf.Tensor]:
        config = self.config
        generated_features = self.perceptual(generated)
        logits = self.discriminator(generated, training=True)
        losses = {
            "g/adv": self.gan_type.generator(logits),
            "g/content": perceptual.content_loss(photo_features, generated_features),
            "g/style": perceptual.style_loss(gray_features, generated_features),
            "g/color": perceptual.color_loss(pictures["photo"], generated),
            "g/tv": perceptual.total_variation_loss(generated),
        }
        loss = (
            config.g_adv_weight * losses["g/adv"]
            + config.content_weight * losses["g/content"]
            + config.style_weight * losses["g/style"]
            + config.color_weight * losses["g/color"]
            + config.tv_weight * losses["g/tv"]
        )
        loss += self._paired_term(pictures, generated, losses)
        return losses, loss

    def _paired_term(self, pictures: Pictures, generated: tf.Tensor, losses: Losses) -> tf.Tensor:
        """The weighted L1 distance to the painted counterparts; adds `g/paired` to `losses`."""
        if not self.config.paired_weight:
            return tf.zeros(())
        losses["g/paired"] = perceptual.l1_loss(pictures["paired"], generated)
        return self.config.paired_weight * losses["g/paired"]

    @staticmethod
    def _apply(
        optimizer: keras.optimizers.Optimizer,
        network: keras.Model,
        tape: tf.GradientTape,
        loss: tf.Tensor,
    ) -> None:
        variables = network.trainable_variables
        optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
