"""`Trainer`: the networks, their optimizers and the two compiled training steps."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from anime_tf.conversion.perceptual import load_perceptual
from anime_tf.models.animegan_v3 import DoubleTail
from anime_tf.models.archive import load_generator
from anime_tf.models.registry import DISCRIMINATORS, GENERATORS
from anime_tf.training.adam import FusedAdam
from anime_tf.training.config import TrainConfig
from anime_tf.training.devices import worker_rank
from anime_tf.training.double_tail import DoubleTailObjective, TargetQueue
from anime_tf.training.lowering import lower_for_training
from anime_tf.training.objective import Batch, Objective, Terms

ADAM = {"beta_1": 0.5, "beta_2": 0.999, "epsilon": 1e-8}  # TensorFlow 1's epsilon
RATE_WARMUP = 200  # steps in which a decaying learning rate rises to its peak
LAST_RATE = 0.02  # share of the peak at which a cosine ends
EMA_WARMUP = 10  # the moving average's decay in step t is at most t / (EMA_WARMUP + t)

Pass = tuple[tf.GradientTape, Any]  # tape and generated pictures, of each tail if there are two
Gradients = tuple[tf.Tensor, Terms, list[tf.Tensor]]  # loss, its unweighted terms, its gradients


class Trainer:
    """Trains a generator against a discriminator, with one compiled step for each phase.

    Weights follow from the config's seed. Each replica of the strategy takes an equal share of a
    batch. With `config.accumulation` above 1 it splits its share into chunks and applies their mean
    gradient: the same update in less memory.

    Args:
        config: Settings of the run.
        perceptual_network: Network from pictures in [-1, 1] to features; by default the config's,
            if a weight needs it.
        strategy: Distribution strategy; by default TensorFlow's current one (one device).

    Attributes:
        generator: The trained generator.
        exported: The generator to save, sample and export: the moving average of `generator` for
            `config.ema_decay` above 0, else `generator` itself.
        trained: `generator`, or it and the support tail of AnimeGANv3.
        discriminator: The discriminator, or AnimeGANv3's two in one model.
        targets: Makes the targets of AnimeGANv3's steps; None without.
        objective: The losses.
        step: Steps done, int64 variable.

    Raises:
        ValueError: The batch cannot be split evenly.
    """

    def __init__(
        self,
        config: TrainConfig,
        perceptual_network: keras.Model | None = None,
        strategy: tf.distribute.Strategy | None = None,
    ) -> None:
        self.config = config
        self.strategy = strategy or tf.distribute.get_strategy()
        self._shares = self.strategy.num_replicas_in_sync * config.accumulation
        if config.batch_size % self._shares:
            raise ValueError(
                f"expected batch_size to be a multiple of {self._shares} "
                f"({self.strategy.num_replicas_in_sync} devices x accumulation="
                f"{config.accumulation}), got {config.batch_size}"
            )
        with self.strategy.scope():
            self._build(config, perceptual_network)
        options = {"autograph": False, "jit_compile": config.xla or None}
        self._compiled_init_step = tf.function(self._init_step, **options)
        self._compiled_gan_step = tf.function(self._gan_step, **options)
        self._compiled_drafts = tf.function(self._drafts, **options)
        self._compiled_sum = tf.function(self._sum, autograph=False)

    def _build(self, config: TrainConfig, perceptual_network: keras.Model | None) -> None:
        keras.utils.set_random_seed(config.seed)
        self.generator = self._make_generator()
        self.trained: keras.Model = self.generator
        if config.is_double_tail:
            self.trained = DoubleTail(self.generator, name="double_tail", dtype=config.precision)
        self._lowered_generator = lower_for_training(self.trained, exposed=config.has_exposure)
        self.discriminator = DISCRIMINATORS[config.discriminator](
            width=config.discriminator_width,
            depth=config.discriminator_depth,
            spectral_norm=config.spectral_norm,
            dropout=config.discriminator_dropout,
            name="discriminator",
            dtype=config.precision,
        )
        if perceptual_network is None and config.needs_features:
            perceptual_network = load_perceptual(
                config.perceptual, config.perceptual_weights, config.seed, config.precision
            )
        kind = DoubleTailObjective if config.is_double_tail else Objective
        self.objective: Any = kind(config, perceptual_network, self.discriminator)
        self.targets = TargetQueue(config) if config.is_double_tail else None
        self.init_optimizer = self._make_adam("init", config.init_learning_rate, self.trained)
        self.g_optimizer = self._make_adam("g", config.g_learning_rate, self.trained)
        self.d_optimizer = self._make_adam("d", config.d_learning_rate, self.discriminator)
        self.exported = self.generator
        if config.ema_decay:
            self.exported = self._make_generator()
            self.exported.trainable = False
            self.exported.set_weights(self.generator.get_weights())
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step")
        self.epoch = tf.Variable(0, dtype=tf.int64, trainable=False, name="epoch")
        self.seed = tf.Variable(config.seed, dtype=tf.int64, trainable=False, name="seed")

    def begin_with(self, path: str | os.PathLike[str]) -> None:
        """Give the generator the weights of an archive of the same network and width."""
        source = load_generator(path)
        found, expected = ((type(network), network.width) for network in (source, self.generator))
        if found != expected:
            raise ValueError(
                f"{path}: expected a {expected[0].__name__} of width {expected[1]}, got a "
                f"{found[0].__name__} of width {found[1]}; give --model and --generator_width"
            )
        for network in {id(x): x for x in (self.generator, self.exported)}.values():
            network.set_weights(source.get_weights())

    def exportable(self) -> keras.Model:
        """Return `exported`, or a copy with the batch norm of `config.identity_batch_norm`."""
        if not self.config.identity_batch_norm:
            return self.exported
        copy = self._make_generator()
        copy.set_weights(self.exported.get_weights())
        norm = copy.main.attention.norm
        values = zip(norm.weights, (1, 0, 0, 1), strict=True)
        norm.set_weights([np.full(weight.shape, value) for weight, value in values])
        return copy

    def _make_generator(self) -> keras.Model:
        return GENERATORS[self.config.model](
            width=self.config.generator_width, name="generator", dtype=self.config.precision
        )

    def _make_adam(
        self, name: str, learning_rate: float, network: keras.Model
    ) -> keras.optimizers.Optimizer:
        # A checkpoint finds the variables by their paths, hence the names.
        optimizer = FusedAdam(
            learning_rate,
            **ADAM,
            global_clipnorm=self.config.gradient_norm or None,
            name=f"{name}_adam",
        )
        if self.config.precision == "mixed_float16":
            optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name=f"{name}_loss_scale")
        optimizer.build(network.trainable_variables)
        return optimizer

    @property
    def trackables(self) -> dict[str, Any]:
        """Contents of a checkpoint by name.

        Every random choice of a run (order, crops, dropout) is a function of `seed` and `step`, so
        these two are its random state.
        """
        names = ("discriminator", "init_optimizer", "g_optimizer", "d_optimizer")
        holders = {"generator": self.trained, **{name: getattr(self, name) for name in names}}
        if self.exported is not self.generator:
            holders["average"] = self.exported
        others: dict[str, Any] = {"step": self.step, "epoch": self.epoch, "seed": self.seed}
        if self.targets is not None:
            others["targets"] = self.targets.variables
        # Variable by variable: tf.train.Checkpoint does not look into the lists of a Keras model
        # and would silently omit their spectral norms' u. Learning rates are settings, which may
        # change when a run is resumed.
        variables = {
            name: {
                variable.path: variable.value
                for variable in holder.variables
                if not variable.path.endswith("learning_rate")
            }
            for name, holder in holders.items()
        }
        return {**variables, **others}

    def init_step(self, batch: Batch) -> Terms:
        """Update G on the content and paired losses alone.

        Args:
            batch: `photo`, float32 (n, h, w, 3) in [-1, 1], and `paired` where it has a weight; n
                is the batch size, or a worker's share of it.

        Returns:
            G's unweighted terms and the minimized `g/loss`, means over the whole batch.
        """
        return self._run(self._compiled_init_step, batch)

    def gan_step(
        self, batch: Batch, update_discriminator: bool = True, following: Batch | None = None
    ) -> Terms:
        """Update D, then G against the new D; for AnimeGANv3 make the targets, update G, then D.

        Args:
            batch: The objective's `gan_streams` as of `network_inputs`, float32 (n, h, w, 3) in
                [-1, 1].
            update_discriminator: Whether to update D.
            following: The batch of the next step, whose targets are started ahead
                with `config.targets_ahead`.

        Returns:
            All unweighted terms and the minimized `g/loss` and `d/loss`; D's only if updated.
        """
        if self.targets is not None:
            step = int(self.step.numpy())
            # The variables of a run on several machines are those of the first.
            if worker_rank(self.strategy)[1] == 1:
                tasks = self.targets.targets(step, lambda: self._make_drafts(batch))
                if following is not None and self.config.targets_ahead:
                    self.targets.begin(step + 1, self._make_drafts(following))
            else:
                tasks = self.targets.maker.submit(self._make_drafts(batch))
            batch = {**batch, **self.targets.maker.collect(tasks)}
        return self._run(self._compiled_gan_step, batch, update_discriminator)

    def _make_drafts(self, batch: Batch) -> dict[str, np.ndarray]:
        """Compute this worker's drafts of the targets."""
        drafts = self._run(self._compiled_drafts, {"photo": batch["photo"]})
        local = self.strategy.experimental_local_results
        return {k: np.concatenate([x.numpy() for x in local(v)]) for k, v in drafts.items()}

    def _drafts(self, batch: Batch) -> Batch:
        return self.strategy.run(self._replica_drafts, (batch,))

    def _replica_drafts(self, batch: Batch) -> Batch:
        return self.objective.drafts(
            self._lowered_generator.support_picture(batch["photo"], training=True)
        )

    def any_worker(self, flag: bool) -> bool:
        """Return whether a flag is set on any of the machines that train together."""
        if worker_rank(self.strategy)[1] == 1:
            return flag

        each = self.strategy.experimental_distribute_values_from_function(
            lambda _: tf.constant(float(flag))
        )
        return bool(self._compiled_sum(each) > 0)

    def _sum(self, each: tf.Tensor) -> tf.Tensor:
        return self.strategy.reduce(tf.distribute.ReduceOp.SUM, each, axis=None)

    def _run(self, compiled: Callable[..., Terms], batch: Batch, *args: Any) -> Terms:
        """Run a compiled step; split the batch among this worker's replicas first."""
        if self.strategy.num_replicas_in_sync > 1:
            replicas = len(self.strategy.extended.worker_devices)

            def share(context: tf.distribute.InputReplicaContext) -> Batch:
                place = context.replica_id_in_sync_group % replicas
                return {name: tf.split(x, replicas)[place] for name, x in batch.items()}

            batch = self.strategy.experimental_distribute_values_from_function(share)
        return compiled(batch, *args)

    def _init_step(self, batch: Batch) -> Terms:
        return self._finish_step(self.strategy.run(self._replica_init_step, (batch,)))

    def _gan_step(self, batch: Batch, update_discriminator: bool) -> Terms:
        args = (batch, update_discriminator)
        return self._finish_step(self.strategy.run(self._replica_gan_step, args))

    def _replica_init_step(self, batch: Batch) -> Terms:
        loss, terms, gradients = self._accumulate(self._init_gradients, self._chunks(batch))
        if self.config.init_decay == "cosine":
            self.init_optimizer.learning_rate.assign(self._decayed_rate())
        self.init_optimizer.apply(gradients, self.trained.trainable_variables)
        return {**terms, "g/loss": loss}

    def _replica_gan_step(self, batch: Batch, update_discriminator: bool) -> Terms:
        chunks = self._chunks(batch)
        if self.config.is_double_tail:  # updates G first
            g_log = self._update_generator(chunks, [None] * len(chunks))
            if not update_discriminator:
                return g_log
            generated = [self._generate(chunk)[1] for chunk in chunks]
            return {**g_log, **self._update_discriminator(chunks, generated)}
        passes = [self._generate(chunk) for chunk in chunks]
        d_log: Terms = {}
        if update_discriminator:
            d_log = self._update_discriminator(chunks, [pictures for _, pictures in passes])
        # A single chunk needs no second pass of G; of several, the first passes would all have to
        # stay in memory until here.
        reused = passes if len(chunks) == 1 else [None] * len(chunks)
        return {**self._update_generator(chunks, reused), **d_log}

    def _update_discriminator(self, chunks: list[Batch], generated: list[Any]) -> Terms:
        loss, terms, gradients = self._accumulate(self._d_gradients, chunks, generated)
        self.d_optimizer.apply(gradients, self.discriminator.trainable_variables)
        return {**terms, "d/loss": loss}

    def _update_generator(self, chunks: list[Batch], reused: list[Any]) -> Terms:
        loss, terms, gradients = self._accumulate(self._g_gradients, chunks, reused)
        self.g_optimizer.apply(gradients, self.trained.trainable_variables)
        return {**terms, "g/loss": loss}

    def _decayed_rate(self) -> tf.Tensor:
        step = tf.cast(self.step, tf.float32)
        steps = max(1, self.config.init_epochs * self.config.steps_per_epoch)
        share = tf.minimum(1.0, step / steps)
        cosine = LAST_RATE + (1.0 - LAST_RATE) * 0.5 * (1.0 + tf.cos(math.pi * share))
        warmup = tf.minimum(1.0, (step + 1.0) / RATE_WARMUP)
        return self.config.init_learning_rate * warmup * cosine

    def _generate(self, chunk: Batch) -> Pass:
        with tf.GradientTape() as tape:
            generated = self._lowered_generator(chunk["photo"], training=True)
        return tape, generated

    def _init_gradients(self, chunk: Batch) -> Gradients:
        targets = self.objective.target_features(chunk, style=False)
        if self.config.init_main_tail:
            tape, generated = self._generate(chunk)
        else:  # the main tail's moving averages must not move either
            with tf.GradientTape() as tape:
                run = self._lowered_generator.support_picture
                generated = (run(chunk["photo"], training=True), None)
        with tape:  # resumes recording
            loss, terms = self.objective.init_loss(chunk, targets, generated)
            scaled = self.init_optimizer.scale_loss(loss / self._shares)
        return loss, terms, _gradients(tape, scaled, self.trained)

    def _d_gradients(self, chunk: Batch, generated: Any) -> Gradients:
        with tf.GradientTape() as tape:
            loss, terms = self.objective.discriminator_loss(chunk, generated)
            scaled = self.d_optimizer.scale_loss(loss / self._shares)
        return loss, terms, _gradients(tape, scaled, self.discriminator)

    def _g_gradients(self, chunk: Batch, reused: Pass | None) -> Gradients:
        targets = self.objective.target_features(chunk, style=True)
        tape, generated = reused or self._generate(chunk)
        with tape:  # resumes recording
            loss, terms = self.objective.generator_loss(chunk, targets, generated)
            scaled = self.g_optimizer.scale_loss(loss / self._shares)
        return loss, terms, _gradients(tape, scaled, self.trained)

    def _accumulate(
        self, step: Callable[..., Gradients], chunks: Sequence[Batch], *columns: Sequence[Any]
    ) -> Gradients:
        """Run a step on each chunk and its row of `columns`; average losses, add up gradients."""
        singular_vectors = [u for u in self.discriminator.variables if u.name == "u"]
        before = [tf.identity(u.value) for u in singular_vectors]
        rows: list[Terms] = []
        gradients: list[tf.Tensor] = []
        for arguments in zip(chunks, *columns, strict=True):
            # In turn, because side by side chunks would need the memory of one large batch.
            with tf.control_dependencies([*gradients]):
                if rows:  # one power iteration an update, not one a chunk
                    for u, old in zip(singular_vectors, before, strict=True):
                        u.assign(old)
                loss, terms, found = step(*arguments)
            if gradients:
                found = [a + b for a, b in zip(gradients, found, strict=True)]
            gradients = found
            rows.append({**terms, "loss": loss})
        means = {name: sum(row[name] for row in rows) / len(rows) for name in rows[0]}
        return means.pop("loss"), means, gradients

    def _chunks(self, batch: Batch) -> list[Batch]:
        """Split a replica's share of the batch and add `seed`, int64 (n, 2), one for a picture."""
        count = self.config.accumulation
        share = self.config.batch_size // self.strategy.num_replicas_in_sync
        # By the picture's place in the whole batch, however that is split.
        replica = tf.distribute.get_replica_context().replica_id_in_sync_group
        root = tf.stack([self.seed, self.step])
        places = replica * share + tf.range(share)
        seeds = tf.stack([tf.random.fold_in(root, place) for place in tf.unstack(places)])
        parts = {name: tf.split(x, count) for name, x in {**batch, "seed": seeds}.items()}
        return [{name: part[i] for name, part in parts.items()} for i in range(count)]

    def _finish_step(self, log: Terms) -> Terms:
        """Count the step, move the average, and reduce the log over replicas."""
        self.step.assign_add(1)
        if self.exported is not self.generator:
            step = tf.cast(self.step, tf.float32)
            rate = 1.0 - tf.minimum(self.config.ema_decay, step / (EMA_WARMUP + step))
            for average, weight in zip(self.exported.weights, self.generator.weights, strict=True):
                average.assign(average + rate * (weight - average))
        mean = tf.distribute.ReduceOp.MEAN
        return {name: self.strategy.reduce(mean, x, axis=None) for name, x in log.items()}


def _gradients(tape: tf.GradientTape, loss: tf.Tensor, network: keras.Model) -> list[tf.Tensor]:
    variables = [variable.value for variable in network.trainable_variables]
    return tape.gradient(loss, variables, unconnected_gradients=tf.UnconnectedGradients.ZERO)
