"""Import of whole TensorFlow 1 trainings (G, D and their optimizers) as run directories.

The originals save all variables of their graph, so `train.py --resume` continues their trainings.
"""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from anime_tf.conversion.name_table import Ignored, NameTable, Source, fill, select_model
from anime_tf.conversion.tf1 import TABLES, V3_TABLES, Checkpoint, v3_tail
from anime_tf.datasets.pipeline import steps_per_epoch
from anime_tf.io.atomic import atomic_folder
from anime_tf.io.folders import dataset_folders
from anime_tf.training.config import TrainConfig
from anime_tf.training.run_dir import CONFIG, RunDir
from anime_tf.training.trainer import ADAM, Trainer

# Largest distance of a computed count of updates from an integer. Repeated multiplication in
# float32, as TensorFlow does it, gives the exact count; a single power by another program is off by
# a few thousandths after ten thousand updates.
COUNT_TOLERANCE = 0.25


class AdamNames(NamedTuple):
    """TensorFlow 1's names of the state of an Adam optimizer."""

    momentum: str  # suffix of the mean of the gradients, after the variable's own name
    velocity: str  # suffix of the mean of their squares
    powers: str  # suffix of the powers of beta 1 and beta 2


# Prefix of an optimizer of `Trainer` -> its names, numbered in the originals' order.
OPTIMIZERS = {
    "init": AdamNames("Adam", "Adam_1", ""),
    "g": AdamNames("Adam_2", "Adam_3", "_1"),
    "d": AdamNames("Adam", "Adam_1", "_2"),
}

# Key of a discriminator -> the scopes of its norms: of stage i, and the last one.
NORMS = {
    "animegan_v2": ("1_norm_{}", "2_ins_norm"),
    "animegan_v1": ("ins_norm_{}", "last_ins_norm"),
}

# Variables that are read, but fill no variable.
COUNTERS = (
    Ignored(re.compile(r"beta[12]_power(_[12])?"), "powers of beta, turned into counts of updates"),
    Ignored(re.compile(r"(.+/)?global_step"), "count of training steps"),
    Ignored(
        re.compile(r"generator_1/(main|support)/External_attention/Variable(_\d)?"),
        "batch norm of the inference graph, which training never changes",
    ),
)


@dataclass(frozen=True)
class ImportedTraining:
    """An imported training."""

    run_dir: Path
    config: TrainConfig
    step: int  # steps done
    step_source: str  # origin of that number: a flag, `global_step` or the optimizers' counts
    updates: Mapping[str, int | None]  # optimizer -> updates; None for more than float32 can count
    variables: int  # number of imported variables

    @property
    def summary(self) -> str:
        """The result in one line."""
        updates = ", ".join(
            f"{name} {'more than 87,000' if count is None else count}"
            for name, count in self.updates.items()
        )
        return (
            f"{self.run_dir}: {self.config.model}, all {self.variables} variables, step "
            f"{self.step} (from {self.step_source}) at {self.config.steps_per_epoch} steps per "
            f"epoch; updates: {updates}"
        )


def read_settings(path: str | os.PathLike[str], model: str | None = None) -> dict[str, Any]:
    """Read the settings of `TrainConfig` that a checkpoint itself determines.

    Args:
        path: As for `conversion.tf1.find_checkpoint`.
        model: Its generator; by default the best match of the names.

    Raises:
        FileNotFoundError: There is no checkpoint.
        ValueError: It cannot be read, or holds no discriminator.
    """
    source = Checkpoint(path)
    shapes = source.shapes
    if not any(name.startswith("discriminator/") for name in shapes):
        raise ValueError(
            f"{source.prefix}: expected a whole training, got no variable of a discriminator; omit "
            "--training to convert the generator alone"
        )
    model = select_model(TABLES, shapes, model)
    is_v1 = "discriminator/last_ins_norm/gamma" in shapes
    settings: dict[str, Any] = {
        "model": model,
        "discriminator": "animegan_v1" if is_v1 else "animegan_v2",
        "spectral_norm": any(name.endswith("/u") for name in shapes),
    }
    if any(name.startswith("discriminator_main/") for name in shapes):
        settings["discriminator"] = "animegan_v3"
        settings["init_main_tail"] = "generator/main/Conv/weights/Adam_2" in shapes
    # If one of these is missing its default stays, and filling the networks names it.
    sources = TABLES[model].sources.items()
    last = shapes.get(next(x.name for path, x in sources if path.endswith("out_layer/kernel")))
    if last:
        settings["generator_width"] = last[2]
    first = shapes.get(_kernel("conv_0", settings["spectral_norm"]))
    if first:
        settings["discriminator_width"] = 2 * first[3]
    found = {int(n[1]) for name in shapes if (n := re.match(r"discriminator/conv_s2_(\d+)/", name))}
    if found:
        settings["discriminator_depth"] = max(found) + 1
    return settings


def import_training(
    path: str | os.PathLike[str],
    config: TrainConfig,
    *,
    epoch: int | None = None,
    verify: bool = True,
) -> ImportedTraining:
    """Convert a whole training to a run directory, which appears complete or not at all.

    Args:
        path: As for `conversion.tf1.find_checkpoint`.
        config: Settings of the run, `read_settings` among them.
        epoch: Epochs done; by default from `global_step`, or else the optimizers' counts.
        verify: Whether to read the run directory back and compare it.

    Raises:
        FileNotFoundError: The checkpoint or the data set is missing.
        FileExistsError: `config.run_dir` exists.
        ValueError: The checkpoint cannot be read, is not such a training (lists both sides of every
            mismatch), or contradicts the settings.
    """
    run_dir = Path(config.run_dir)
    if run_dir.exists():
        raise FileExistsError(f"{run_dir}: exists already; choose another name for the run")
    source = Checkpoint(path)
    if not config.steps_per_epoch:
        folders = dataset_folders(config.dataset_dir, config.style, need_smooth=False)
        config = config.replace(steps_per_epoch=steps_per_epoch(folders, config.batch_size))
    trainer = Trainer(config, keras.Sequential())  # no perceptual network, which takes no part here
    variables, table = _variables(trainer), _table(trainer)
    target = f"a whole training of {config.model}"
    fill(variables, table, source.shapes, source.read, str(source.prefix), target)
    if trainer.exported is not trainer.generator:
        trainer.exported.set_weights(trainer.generator.get_weights())
    updates = _fill_counts(trainer, source)
    step, step_source = _steps_done(config, source, updates, epoch)
    trainer.step.assign(step)
    trainer.epoch.assign(step // config.steps_per_epoch)

    with atomic_folder(run_dir) as temporary:
        with RunDir(config, trainer, resume=False, path=temporary) as run:
            run.save()
        if verify:
            _verify(config, trainer, temporary, variables)
    return ImportedTraining(run_dir, config, step, step_source, updates, len(variables))


def _kernel(layer: str, spectral_norm: bool) -> str:
    # Without spectral norm the originals use tf.layers, which adds a scope.
    scope = layer if spectral_norm else f"{layer}/conv2d"
    return f"discriminator/{scope}/kernel"


def _discriminator(config: TrainConfig) -> dict[str, str]:
    """Map the path of each of D's weights to the original's variable."""
    stages = range(1, config.discriminator_depth)
    convs = [f"conv_s{stride}_{i}" for i in stages for stride in (2, 1)]
    names: dict[str, str] = {}
    for layer in ("conv_0", *convs, "last_conv", "D_logit"):
        names[f"{layer}/kernel"] = _kernel(layer, config.spectral_norm)
        if config.spectral_norm:
            names[f"{layer}/u"] = f"discriminator/{layer}/u"
    stage_norm, last_norm = NORMS[config.discriminator]
    norms = {f"1_norm_{i}": stage_norm.format(i) for i in stages} | {"2_ins_norm": last_norm}
    for ours, theirs in norms.items():
        for weight in ("gamma", "beta"):
            names[f"{ours}/{weight}"] = f"discriminator/{theirs}/{weight}"
    return names


def double_discriminator(config: TrainConfig) -> dict[str, str]:
    """Map the path of each weight of AnimeGANv3's discriminators to the original's variable."""
    names: dict[str, str] = {}
    for scope in ("discriminator", "discriminator_main"):
        layers = {"conv_0": "conv_0", "D_logit": "D_logit"}
        for i in range(config.discriminator_depth):
            for letter, conv in (("a", f"conv_s2_{i}"), ("b", f"conv_s1_{i}")):
                layers[conv] = conv
                layers[f"{conv}_norm/conv"] = f"{scope}{letter}{i}_conv_IN"
        for ours, theirs in layers.items():
            kernel = "kernel" if config.spectral_norm else "conv2d/kernel"
            names[f"{scope}/{ours}/kernel"] = f"{scope}/{theirs}/{kernel}"
            if config.spectral_norm:
                names[f"{scope}/{ours}/u"] = f"{scope}/{theirs}/u"
    return names


def _adam(trainer: Trainer, name: str) -> Any:
    """Return an optimizer of the trainer without its loss scaling."""
    optimizer = getattr(trainer, f"{name}_optimizer")
    return getattr(optimizer, "inner_optimizer", optimizer)


def _table(trainer: Trainer) -> NameTable:
    """Make the name table of a whole training."""
    config = trainer.config
    if config.is_double_tail:
        sources = V3_TABLES["training"].sources
        discriminator = double_discriminator(config)
    else:
        sources = TABLES[config.model].sources
        discriminator = {f"discriminator/{k}": v for k, v in _discriminator(config).items()}
    generator = {f"generator/{ours}": source.name for ours, source in sources.items()}
    if config.is_double_tail:
        support = v3_tail("support", "training")
        generator |= {f"support/{ours}": theirs for ours, theirs in support.items()}
    names = generator | discriminator
    for name in OPTIMIZERS:
        for ours, theirs in (discriminator if name == "d" else generator).items():
            adam = _adam_names(config, name, ours)
            if adam is not None:
                slot = f"{name}_adam/{ours.replace('/', '_')}"
                names[f"{slot}_momentum"] = f"{theirs}/{adam.momentum}"
                names[f"{slot}_velocity"] = f"{theirs}/{adam.velocity}"
    return NameTable({ours: Source(theirs) for ours, theirs in names.items()}, COUNTERS)


def _adam_names(config: TrainConfig, optimizer: str, path: str) -> AdamNames | None:
    """Return the names of a variable's state in an optimizer; None if it has none."""
    if path.endswith(("/u", "/moving_mean", "/moving_variance")):  # not trained
        return None
    starts_later = config.is_double_tail and not config.init_main_tail and "/main/" in path
    if starts_later and optimizer != "d":  # the numbers count the optimizers that train it
        return None if optimizer == "init" else OPTIMIZERS["init"]
    return OPTIMIZERS[optimizer]


def _variables(trainer: Trainer) -> dict[str, keras.Variable]:
    """Map the path of every variable of the training, except counters and settings, to it.

    Where the initialization phase trains no main tail, its optimizer's state of it stays 0.
    """
    holders = [trainer.trained, trainer.discriminator]
    holders += [_adam(trainer, name) for name in OPTIMIZERS]
    unused = () if trainer.config.init_main_tail else ("init_adam/generator_main_",)
    return {
        variable.path: variable
        for holder in holders
        for variable in holder.variables
        if not variable.path.endswith(("/iteration", "/learning_rate"))
        and not variable.path.startswith(unused)
    }


def _fill_counts(trainer: Trainer, source: Checkpoint) -> dict[str, int | None]:
    """Set the optimizers' counts of updates from TensorFlow 1's powers; return them."""
    updates: dict[str, int | None] = {}
    for name, optimizer in OPTIMIZERS.items():
        powers = []
        for i in (1, 2):
            power = f"beta{i}_power{optimizer.powers}"
            if power not in source.shapes:
                raise ValueError(
                    f"{source.prefix}: expected {power}, which counts the updates of an Adam "
                    "optimizer, got no such variable; take a checkpoint of the whole training"
                )
            powers.append(float(source.read(power)))
        try:
            updates[name] = count_updates(*powers)
        except ValueError as error:
            raise ValueError(f"{source.prefix}: beta*_power{optimizer.powers}: {error}") from error
        count = updates[name]
        _adam(trainer, name).iterations.assign(len(_powers()) if count is None else count)
    return updates


@functools.cache
def _powers() -> np.ndarray:
    """Compute TensorFlow 1's beta2_power after 0, 1, ... updates, as repeated float32 products.

    The list ends before numbers become subnormal, which some machines flush to 0.
    """
    beta = np.float32(ADAM["beta_2"])
    products = np.multiply.accumulate(np.full(100_000, beta, np.float32), dtype=np.float32)
    return products[products >= np.finfo(np.float32).tiny]


def count_updates(beta1_power: float, beta2_power: float) -> int | None:
    """Compute the number of updates of an Adam optimizer from its betas to the power updates + 1.

    Returns:
        The count; None above some 87,000, whose power float32 cannot hold. To Adam, which uses
        1 - power, these are all alike.

    Raises:
        ValueError: They are no such powers, or powers of different counts.
    """
    remedy = "only the originals' Adam with beta1=0.5 and beta2=0.999 can be resumed"
    tiny = float(np.finfo(np.float32).tiny)
    count = None
    if not 0 <= beta2_power < tiny:
        if not tiny <= beta2_power < 1:
            raise ValueError(f"expected a power of beta 2, got {beta2_power:.9g}; {remedy}")
        off = np.abs(np.log(beta2_power / _powers().astype(np.float64)) / np.log(ADAM["beta_2"]))
        count = int(off.argmin())
        if off[count] > COUNT_TOLERANCE:
            raise ValueError(
                f"expected an integer power of {ADAM['beta_2']}, got {beta2_power:.9g}, the "
                f"nearest is that after {count} updates; {remedy}"
            )
    expected = ADAM["beta_1"] ** (count + 1) if count is not None else 0.0
    if abs(beta1_power - expected) > 1e-3 * expected + tiny:
        updates = "more than 87,000" if count is None else str(count)
        raise ValueError(
            f"expected {expected:.9g} for the power of beta 1 after {updates} updates (by the "
            f"power of beta 2), got {beta1_power:.9g}; {remedy}"
        )
    return count


def _steps_done(
    config: TrainConfig, source: Checkpoint, updates: Mapping[str, int | None], epoch: int | None
) -> tuple[int, str]:
    """Return the steps done, and where the number comes from."""
    counted = [updates["init"], updates["g"]]
    if epoch is not None:
        step, origin = epoch * config.steps_per_epoch, f"--epoch={epoch}"
    elif "global_step" in source.shapes:
        step, origin = int(source.read("global_step", integer=True)), "global_step"
    elif None not in counted:
        step, origin = sum(count or 0 for count in counted), "the updates of G's optimizers"
    else:
        raise ValueError(
            f"{source.prefix}: expected a global_step or at most 87,000 updates, got none and more "
            "updates than Adam's powers can count; give the epochs done by --epoch (the "
            "originals' NAME-99 is the end of their 100th)"
        )
    begin_gan = config.init_epochs * config.steps_per_epoch
    begun = updates["g"] != 0
    if (begun and step < begin_gan) or (not begun and step > begin_gan):
        raise ValueError(
            f"{source.prefix}: the GAN phase has {'begun' if begun else 'not begun'}: expected "
            f"{'at least' if begun else 'at most'} {begin_gan} steps ({config.init_epochs} epochs "
            f"of initialization at {config.steps_per_epoch} steps), got {step} (from {origin}); "
            "give --epoch, --init_epochs or --steps_per_epoch as in the original training"
        )
    return step, origin


def _verify(
    config: TrainConfig, trainer: Trainer, path: Path, variables: Mapping[str, keras.Variable]
) -> None:
    """Restore the run directory's checkpoint and compare it with the variables."""
    expected = {name: np.array(variable.numpy()) for name, variable in variables.items()}
    step = int(trainer.step.numpy())
    for variable in variables.values():
        variable.assign(np.full(variable.shape, 7.0, np.float32))
    trainer.step.assign(0)
    with RunDir(config, trainer, resume=True, path=path) as run:
        wrong = [k for k, x in variables.items() if not np.array_equal(x.numpy(), expected[k])]
        if wrong or run.step != step:
            raise ValueError(
                f"{path / CONFIG}: expected the written variables at step {step}, got {len(wrong)} "
                f"others ({wrong[:3]}) at step {run.step}; please report this"
            )
