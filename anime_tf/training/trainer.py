"""`Trainer`: the networks, their optimisers, and the two compiled training steps."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from anime_tf.models.registry import DISCRIMINATORS, GENERATORS, PERCEPTUAL
from anime_tf.training.config import TrainConfig
from anime_tf.training.devices import part_of
from anime_tf.training.objective import Losses, Objective, Pictures

ADAM = {"beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-8}
"""TensorFlow 1's epsilon, not Keras' 1e-7."""

AVERAGE_BEGINS = 10
"""The moving average's decay in step t is at most t / (AVERAGE_BEGINS + t), to begin quickly."""


class Trainer:
    """Trains a generator against a discriminator; one compiled step for each phase.

    The networks are made from the config's seed. All that a checkpoint must hold hangs on
    `trackables`. A batch is shared out to the strategy's replicas; where `config.accumulation` is
    more than 1 each works on its share in that many chunks, one after the other, and applies their
    mean gradient: the same update in less memory.

    Args:
        config: The run's settings.
        perceptual_network: A network from pictures in [-1, 1] to features; where it is left out,
            made from the config if a weight asks for it.
        strategy: Where the networks live; TensorFlow's default (one device) where it is left out.

    Attributes:
        generator: The generator that is trained.
        exported: The generator that is shown, saved and exported: the moving average of the one
            that is trained where `config.ema_decay` is not 0, else itself.
        discriminator: The discriminator.
        objective: What they are trained on.
        step: Steps done, int64 variable.
    """

    def __init__(
        self,
        config: TrainConfig,
        perceptual_network: keras.Model | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        self.config = config
        self.strategy = strategy or tf.distribute.get_strategy()
        shares = self.strategy.num_replicas_in_sync * config.accumulation
        if config.batch_size % shares:
            raise ValueError(
                f"batch_size={config.batch_size} cannot be shared out evenly to "
                f"{self.strategy.num_replicas_in_sync} devices x accumulation="
                f"{config.accumulation}; take a multiple of {shares}"
            )
        with self.strategy.scope():
            self._build(config, perceptual_network)
        options = {"autograph": False, "jit_compile": config.xla or None}
        self._compiled_init_step = tf.function(self._init_step, **options)
        self._compiled_gan_step = tf.function(self._gan_step, **options)
        self._compiled_sum = tf.function(self._sum, autograph=False)

    def _build(self, config: TrainConfig, perceptual_network: keras.Model | None) -> None:
        keras.utils.set_random_seed(config.seed)
        self.generator = self._make_generator()
        self.discriminator = DISCRIMINATORS[config.discriminator](
            width=config.discriminator_width,
            depth=config.discriminator_depth,
            spectral_norm=config.spectral_norm,
            dropout=config.discriminator_dropout,
            name="discriminator",
            dtype=config.precision,
        )
        if perceptual_network is None and (config.content_weight or config.style_weight):
            perceptual_network = PERCEPTUAL[config.perceptual](
                config.perceptual_weights, seed=config.seed, dtype=config.precision
            )
        self.objective = Objective(config, perceptual_network, self.discriminator)
        self.init_optimizer = self._adam("init", config.init_learning_rate, self.generator)
        self.g_optimizer = self._adam("g", config.g_learning_rate, self.generator)
        self.d_optimizer = self._adam("d", config.d_learning_rate, self.discriminator)
        self.exported = self.generator
        if config.ema_decay:
            self.exported = self._make_generator()
            self.exported.trainable = False
            self.exported.set_weights(self.generator.get_weights())
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
        self.seed = tf.Variable(config.seed, dtype=tf.int64, trainable=False, name="seed")

    def _make_generator(self) -> keras.Model:
        return GENERATORS[self.config.model](
            width=self.config.generator_width, name="generator", dtype=self.config.precision
        )

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

        Every random choice of a run (order, crops, dropout) is a function of `seed` and `step`, so
        these two are its random state.
        """
        holders = {
            "generator": self.generator,
            "discriminator": self.discriminator,
            "init_optimizer": self.init_optimizer,
            "g_optimizer": self.g_optimizer,
            "d_optimizer": self.d_optimizer,
        }
        if self.exported is not self.generator:
            holders["average"] = self.exported
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

    def init_step(self, pictures: Pictures) -> Losses:
        """Updates G on the content loss (and the distance to the paired pictures) alone.

        Args:
            pictures: `photo`, float32 (n, h, w, 3) in [-1, 1], and `paired` where it has a weight;
                n is the batch size, or a worker's part of it.

        Returns:
            The terms `g/content`, `g/paired`, `g/paired_detail` and `g/paired_edge`, unweighted,
            and `g/loss`, what was minimised: means over the whole batch. Here and in `gan_step` a
            term whose weight is 0 is neither computed nor returned.
        """
        return self._run(self._compiled_init_step, pictures)

    def gan_step(self, pictures: Pictures, update_discriminator: bool = True) -> Losses:
        """Updates D, then G against the new D.

        Args:
            pictures: `photo`, `anime`, `anime_gray`, `smooth_gray` (or `smooth`, in colour), and
                `paired` where it has a weight, float32 (n, h, w, 3) in [-1, 1].
            update_discriminator: Whether D is updated in this step.

        Returns:
            Every term unweighted, and `g/loss` and `d/loss`, what was minimised. D's are left out
            where D is not updated.
        """
        return self._run(self._compiled_gan_step, pictures, update_discriminator)

    def any_worker(self, flag: bool) -> bool:
        """Whether a flag is set on any of the machines that train together."""
        if part_of(self.strategy)[1] == 1:
            return flag

        def flags(context: tf.distribute.ValueContext) -> tf.Tensor:
            return tf.constant(float(flag))

        each = self.strategy.experimental_distribute_values_from_function(flags)
        return bool(self._compiled_sum(each) > 0)

    def _sum(self, each: tf.Tensor) -> tf.Tensor:
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None)

    def _run(self, compiled: Callable[..., Losses], pictures: Pictures, *args: Any) -> Losses:
        """Runs a compiled step on pictures that are shared out to this worker's replicas."""
        if self.strategy.num_replicas_in_sync > 1:
            replicas = len(self.strategy.extended.worker_devices)

            def share(context: tf.distribute.InputReplicaContext) -> Pictures:
                place = context.replica_id_in_sync_group % replicas
                return {name: tf.split(x, replicas)[place] for name, x in pictures.items()}

            pictures = self.strategy.experimental_distribute_values_from_function(share)
        return compiled(pictures, *args)

    def _init_step(self, pictures: Pictures) -> Losses:
        return self._finish(self.strategy.run(self._replica_init_step, (pictures,)))

    def _gan_step(self, pictures: Pictures, update_discriminator: bool) -> Losses:
        run = self._replica_gan_step if update_discriminator else self._replica_generator_step
        return self._finish(self.strategy.run(run, (pictures,)))

    def _finish(self, losses: Losses) -> Losses:
        """What a step does once for all replicas; returns the losses' means."""
        self.step.assign_add(1)
        if self.exported is not self.generator:
            step = tf.cast(self.step, tf.float32)
            decay = tf.minimum(self.config.ema_decay, step / (AVERAGE_BEGINS + step))
            for average, weight in zip(self.exported.weights, self.generator.weights, strict=True):
                average.assign(average + (1.0 - decay) * (weight - average))
        mean = tf.distribute.ReduceOp.MEAN
        return {name: self.strategy.reduce(mean, x, axis=None) for name, x in losses.items()}

    def _replica_init_step(self, pictures: Pictures) -> Losses:
        def generator_loss(chunk: Pictures, tape: tf.GradientTape) -> Losses:
            with tape.stop_recording():
                features = self.objective.target_features(chunk, style=False)
            generated = self.generator(chunk["photo"], training=True)
            losses = self.objective.init_terms(chunk, features, generated)
            return {**losses, "g/loss": self.objective.weighted_sum(losses)}

        chunks = self._chunks(pictures)
        return self._update(self.init_optimizer, self.generator, generator_loss, chunks)

    def _replica_gan_step(self, pictures: Pictures) -> Losses:
        chunks = self._chunks(pictures)
        if len(chunks) == 1:
            return self._update_generator(chunks, update_discriminator=True)
        # The generated pictures are made once more for G's own update: kept from here to there,
        # the passes of all chunks would be in memory together.
        generated = [self.generator(chunk["photo"], training=True) for chunk in chunks]
        d_losses = self._update_discriminator(chunks, generated)
        return {**self._update_generator(chunks), **d_losses}

    def _replica_generator_step(self, pictures: Pictures) -> Losses:
        return self._update_generator(self._chunks(pictures))

    def _update_generator(
        self, chunks: list[Pictures], update_discriminator: bool = False
    ) -> Losses:
        """Updates G; with `update_discriminator` D first, on the one pass of the one chunk."""
        d_losses: Losses = {}

        def generator_loss(chunk: Pictures, tape: tf.GradientTape) -> Losses:
            with tape.stop_recording():
                features = self.objective.target_features(chunk, style=True)
            generated = self.generator(chunk["photo"], training=True)
            if update_discriminator:
                with tape.stop_recording():
                    d_losses.update(self._update_discriminator([chunk], [generated]))
            losses = self.objective.generator_terms(chunk, features, generated)
            return {**losses, "g/loss": self.objective.weighted_sum(losses)}

        losses = self._update(self.g_optimizer, self.generator, generator_loss, chunks)
        return {**losses, **d_losses}

    def _update_discriminator(self, chunks: list[Pictures], generated: list[tf.Tensor]) -> Losses:
        def discriminator_loss(chunk: Pictures, tape: tf.GradientTape) -> Losses:
            losses = {
                **self.objective.discriminator_terms(chunk, chunk["generated"]),
                **self.objective.penalty_terms(chunk["anime"], chunk["generated"], chunk["seed"]),
            }
            return {**losses, "d/loss": self.objective.discriminator_loss(losses)}

        chunks = [{**chunk, "generated": x} for chunk, x in zip(chunks, generated, strict=True)]
        return self._update(self.d_optimizer, self.discriminator, discriminator_loss, chunks)

    def _chunks(self, pictures: Pictures) -> list[Pictures]:
        """A replica's pictures in the parts that it works on; `seed` is one for each picture."""
        count = self.config.accumulation
        share = self.config.batch_size // self.strategy.num_replicas_in_sync
        # By the picture's place in the whole batch, however that is shared out.
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        root = tf.stack([self.seed, self.step])
        places = replica * share + tf.range(share)
        seeds = tf.stack([tf.random.fold_in(root, place) for place in tf.unstack(places)])
        parts = {name: tf.split(x, count) for name, x in {**pictures, "seed": seeds}.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(count)]

    def _update(
        self,
        optimizer: keras.optimizers.Optimizer,
        network: keras.Model,
        losses_of: Callable[[Pictures, tf.GradientTape], Losses],
        chunks: list[Pictures],
    ) -> Losses:
        """Updates a network by the mean gradient of its loss over chunks.

        Args:
            optimizer: Its optimiser.
            network: The network.
            losses_of: Gives the terms of a chunk, the last of which is what is minimised.
            chunks: Parts of the replica's share of the batch.

        Returns:
            The terms' means over the chunks.
        """
        variables = [variable.value for variable in network.trainable_variables]
        shares = len(chunks) * self.strategy.num_replicas_in_sync
        singular_vectors = [u for u in self.discriminator.variables if u.name == "u"]
        before = [tf.identity(u.value) for u in singular_vectors]
        rows: list[Losses] = []
        gradients: list[tf.Tensor] = []
        for chunk in chunks:
            # One after the other: side by side they would need the memory of one large batch.
            with tf.control_dependencies([*gradients]):
                if rows:  # one power iteration an update, not one a chunk
                    for u, old in zip(singular_vectors, before, strict=True):
                        u.assign(old)
                with tf.GradientTape() as tape:
                    rows.append(losses_of(chunk, tape))
                    *_, loss = rows[-1].values()
                    scaled = optimizer.scale_loss(loss / shares)
                found = tape.gradient(
                    scaled, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO
                )
            if gradients:
                found = [a + b for a, b in zip(gradients, found, strict=True)]
            gradients = found
        optimizer.apply(gradients, network.trainable_variables)
        return {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
