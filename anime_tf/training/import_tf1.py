"""Whole TensorFlow 1 trainings: checkpoints of G, D and their optimisers, to run directories.

The originals save all variables of their graph, so that a training can be gone on with. Here it
goes on in a run directory, by `train.py --resume`.
"""

from __future__ import annotations

import functools
import os
import re
import secrets
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from anime_tf.conversion.tables import Ignored, NameTable, Source, fill_variables, table_of
from anime_tf.conversion.tf1 import TABLES, find_checkpoint, open_checkpoint
from anime_tf.datasets.pipeline import TrainingPictures
from anime_tf.io.folders import dataset_folders
from anime_tf.training.config import TrainConfig
from anime_tf.training.run_dir import CONFIG, RunDir
from anime_tf.training.trainer import ADAM, Trainer

WHOLE = 0.25
"""How far an optimiser's count of updates may be from a whole number. Repeated multiplication in
float32, which is what TensorFlow does, gives it exactly; one power by another program is off by a
few thousandths after ten thousand updates."""


@dataclass(frozen=True)
class Optimizer:
    """What TensorFlow 1 calls the state of one of its Adam optimisers.

    Attributes:
        network: The network that it trains.
        momentum: What the mean of the gradients is called, after the variable's own name.
        velocity: What the mean of their squares is called.
        powers: What the names of the powers of beta 1 and beta 2 end in.
    """

    network: str
    momentum: str
    velocity: str
    powers: str


OPTIMIZERS = {
    "init": Optimizer("generator", "Adam", "Adam_1", ""),
    "g": Optimizer("generator", "Adam_2", "Adam_3", "_1"),
    "d": Optimizer("discriminator", "Adam", "Adam_1", "_2"),
}
"""Name of each optimiser of `Trainer` -> its names, which TensorFlow 1 numbered as the originals
made them."""

NORMS = {
    "animegan_v2": ("1_norm_{}", "2_ins_norm"),
    "animegan_v1": ("ins_norm_{}", "last_ins_norm"),
}
"""Name of a discriminator -> the scopes of its norms: of stage i, and the last one."""

COUNTED = (
    Ignored(re.compile(r"beta[12]_power(_[12])?"), "powers of beta, turned into counts of updates"),
    Ignored(re.compile(r"(.+/)?global_step"), "count of training steps"),
)
"""What is read, but not as the value of a variable."""


@dataclass(frozen=True)
class Continued:
    """A training that can be gone on with.

    Attributes:
        run_dir: Its run directory.
        config: Its settings.
        step: Steps done.
        updates: Name of each optimiser -> updates done; None for more than float32 can count.
        variables: Variables taken over.
        told_by: What said how many steps are done, in words.
    """

    run_dir: Path
    config: TrainConfig
    step: int
    updates: Mapping[str, int | None]
    variables: int
    told_by: str


def training_settings(path: str | os.PathLike[str], model: str | None = None) -> dict[str, Any]:
    """The settings of `TrainConfig` that a checkpoint itself tells.

    Args:
        path: As for `weights.tf1.find_checkpoint`.
        model: Which generator it holds; None to tell by its names.

    Returns:
        `model`, `discriminator`, `spectral_norm`, and the sizes of both networks.

    Raises:
        FileNotFoundError: There is no checkpoint there.
        ValueError: It cannot be read, or holds no discriminator.
    """
    prefix = find_checkpoint(path)
    shapes, _ = open_checkpoint(prefix)
    if not any(name.startswith("discriminator/") for name in shapes):
        raise ValueError(
            f"{prefix}: expected a whole training, found no variable of a discriminator; leave out "
            "--training to convert the generator alone"
        )
    model = table_of(TABLES, shapes, model)
    is_v1 = "discriminator/last_ins_norm/gamma" in shapes
    settings: dict[str, Any] = {
        "model": model,
        "discriminator": "animegan_v1" if is_v1 else "animegan_v2",
        "spectral_norm": any(name.endswith("/u") for name in shapes),
    }
    # Where these are missing the defaults stay; filling then names what is missing.
    last = shapes.get(TABLES[model].sources["out_layer/kernel"].name)
    if last:
        settings["generator_width"] = last[2]
    first = shapes.get(_kernel("conv_0", settings["spectral_norm"]))
    if first:
        settings["discriminator_width"] = 2 * first[3]
    found = {int(n[1]) for name in shapes if (n := re.match(r"discriminator/conv_s2_(\d+)/", name))}
    if found:
        settings["discriminator_depth"] = max(found) + 1
    return settings


def convert_training(
    path: str | os.PathLike[str],
    config: TrainConfig,
    *,
    epoch: int | None = None,
    verify: bool = True,
) -> Continued:
    """Converts a whole training to a run directory, which appears whole or not at all.

    Args:
        path: As for `weights.tf1.find_checkpoint`.
        config: The run's settings, `training_settings` among them.
        epoch: Epochs done. Without it `global_step` tells, or else the optimisers' counts.
        verify: Whether the run directory is read back and compared.

    Returns:
        What the run directory holds.

    Raises:
        FileNotFoundError: The checkpoint or the data set is missing.
        FileExistsError: `config.run_dir` is there already.
        ValueError: The checkpoint cannot be read, is not such a training (the message then lists
            both sides of every mismatch), or does not agree with the settings.
    """
    run_dir = Path(config.run_dir)
    if run_dir.exists():
        raise FileExistsError(f"{run_dir}: is there already; choose another name for the run")
    prefix = find_checkpoint(path)
    shapes, read = open_checkpoint(prefix)
    config = config.replace(steps_per_epoch=config.steps_per_epoch or _steps_per_epoch(config))
    # Perceptual networks are looked for where weights ask for them, and have no part in this.
    trainer = Trainer(config.replace(content_weight=0.0, style_weight=0.0))
    variables, table = _variables(trainer), _table(trainer)
    what = f"a whole training of {config.model}"
    fill_variables(variables, table, shapes, read, source=f"{prefix}", what=what)
    if trainer.exported is not trainer.generator:
        trainer.exported.set_weights(trainer.generator.get_weights())
    updates = _fill_counts(trainer, prefix, shapes, read)
    step, told_by = _steps_done(config, prefix, shapes, read, updates, epoch)
    trainer.step.assign(step)
    trainer.epoch.assign(step // config.steps_per_epoch)

    run_dir.parent.mkdir(parents=True, exist_ok=True)
    unfinished = run_dir.with_name(f".{run_dir.name[:100]}.{secrets.token_hex(6)}")
    try:
        with RunDir(config, trainer, resume=False, path=unfinished) as run:
            run.save()
        if verify:
            _read_back(config, trainer, unfinished, variables)
        unfinished.rename(run_dir)
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)
    return Continued(run_dir, config, step, updates, len(variables), told_by)


def _kernel(layer: str, spectral_norm: bool) -> str:
    # Without spectral norm the originals' kernels come from tf.layers, in a scope of their own.
    return (
        f"discriminator/{layer}/kernel" if spectral_norm else f"discriminator/{layer}/conv2d/kernel"
    )


def _discriminator(config: TrainConfig) -> dict[str, str]:
    """Path of each of the discriminator's weights within it -> the original's variable."""
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


def _adam(trainer: Trainer, name: str) -> Any:
    """An optimiser of the trainer, without what scales its losses."""
    optimizer = getattr(trainer, f"{name}_optimizer")
    return getattr(optimizer, "inner_optimizer", optimizer)


def _table(trainer: Trainer) -> NameTable:
    """Path of every variable of the training -> the original's."""
    sources = TABLES[trainer.config.model].sources
    networks = {
        "generator": {ours: source.name for ours, source in sources.items()},
        "discriminator": _discriminator(trainer.config),
    }
    names = {
        f"{network}/{ours}": theirs
        for network, table in networks.items()
        for ours, theirs in table.items()
    }
    for name, optimizer in OPTIMIZERS.items():
        for ours, theirs in networks[optimizer.network].items():
            if ours.endswith("/u"):  # not trained
                continue
            slot = f"{name}_adam/{optimizer.network}_{ours.replace('/', '_')}"
            names[f"{slot}_momentum"] = f"{theirs}/{optimizer.momentum}"
            names[f"{slot}_velocity"] = f"{theirs}/{optimizer.velocity}"
    return NameTable({ours: Source(theirs) for ours, theirs in names.items()}, COUNTED)


def _variables(trainer: Trainer) -> dict[str, keras.Variable]:
    """Path of every variable of the training but counts and settings -> the variable."""
    holders = [trainer.generator, trainer.discriminator]
    holders += [_adam(trainer, name) for name in OPTIMIZERS]
    return {
        variable.path: variable
        for holder in holders
        for variable in holder.variables
        if not variable.path.endswith(("/iteration", "/learning_rate"))
    }


def _fill_counts(
    trainer: Trainer,
    prefix: Path,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[..., np.ndarray],
) -> dict[str, int | None]:
    """Sets the optimisers' counts of updates from TensorFlow 1's powers; returns them."""
    updates: dict[str, int | None] = {}
    for name, optimizer in OPTIMIZERS.items():
        powers = []
        for i in (1, 2):
            power = f"beta{i}_power{optimizer.powers}"
            if power not in shapes:
                raise ValueError(
                    f"{prefix}: expected {power}, which says how many updates an Adam optimiser "
                    "has done, found no such variable; take a checkpoint of the whole training"
                )
            powers.append(float(read(power)))
        try:
            updates[name] = updates_done(*powers)
        except ValueError as error:
            raise ValueError(f"{prefix}: beta*_power{optimizer.powers}: {error}") from error
        count = updates[name]
        _adam(trainer, name).iterations.assign(len(_powers()) if count is None else count)
    return updates


@functools.cache
def _powers() -> np.ndarray:
    """What TensorFlow 1 has for the power of beta 2 after 0, 1, ... updates, float32.

    It starts at beta 2 and is multiplied by it at each update, in float32. The list ends before
    numbers become subnormal, which some machines take for 0.
    """
    beta = np.float32(ADAM["beta_2"])
    products = np.multiply.accumulate(np.full(100_000, beta, np.float32), dtype=np.float32)
    return products[products >= np.finfo(np.float32).tiny]


def updates_done(beta1_power: float, beta2_power: float) -> int | None:
    """How many updates an Adam optimiser of TensorFlow 1 has done.

    Args:
        beta1_power: Beta 1 (0.5) to the power of one more than the updates.
        beta2_power: Beta 2 (0.999) likewise. It tells the count; beta 1's ends at 0 after some 150.

    Returns:
        The count; None where there were more than 87,000 or so, whose power float32 cannot hold.
        To Adam they are all alike: it uses 1 - power.

    Raises:
        ValueError: They are no such powers, or those of different counts.
    """
    remedy = "the originals' Adam with beta1=0.5 and beta2=0.999 alone can be gone on with"
    tiny = float(np.finfo(np.float32).tiny)
    count = None
    if not 0 <= beta2_power < tiny:
        if not tiny <= beta2_power < 1:
            raise ValueError(f"{beta2_power:.9g} is no power of beta 2; {remedy}")
        off = np.abs(np.log(beta2_power / _powers().astype(np.float64)) / np.log(ADAM["beta_2"]))
        count = int(off.argmin())
        if off[count] > WHOLE:
            raise ValueError(
                f"{beta2_power:.9g} is not a whole power of {ADAM['beta_2']}, the nearest is that "
                f"after {count} updates; {remedy}"
            )
    expected = ADAM["beta_1"] ** (count + 1) if count is not None else 0.0
    if abs(beta1_power - expected) > 1e-3 * expected + tiny:
        said = "more than 87,000" if count is None else str(count)
        raise ValueError(
            f"beta 2's power says {said} updates, beta 1's is {beta1_power:.9g} where "
            f"{expected:.9g} was expected; {remedy}"
        )
    return count


def _steps_per_epoch(config: TrainConfig) -> int:
    """Steps in which the data set's photos or style pictures, the more, are seen once."""
    folders = dataset_folders(config.dataset_dir, config.style, need_smooth=False)
    return TrainingPictures(
        folders, image_size=config.image_size, batch_size=config.batch_size, seed=config.seed
    ).steps_per_epoch


def _steps_done(
    config: TrainConfig,
    prefix: Path,
    shapes: Mapping[str, tuple[int, ...]],
    read: Callable[..., np.ndarray],
    updates: Mapping[str, int | None],
    epoch: int | None,
) -> tuple[int, str]:
    """Steps done, and what said so."""
    counted = [updates["init"], updates["g"]]
    if epoch is not None:
        step, told_by = epoch * config.steps_per_epoch, f"--epoch={epoch}"
    elif "global_step" in shapes:
        step, told_by = int(read("global_step", whole=True)), "global_step"
    elif None not in counted:
        step, told_by = sum(count or 0 for count in counted), "the updates of G's optimisers"
    else:
        raise ValueError(
            f"{prefix}: has no global_step, and more updates than Adam's powers can count; give "
            "the epochs done by --epoch (the originals' NAME-99 is the end of their 100th)"
        )
    begin_gan = config.init_epochs * config.steps_per_epoch
    begun = updates["g"] != 0
    if (begun and step < begin_gan) or (not begun and step > begin_gan):
        raise ValueError(
            f"{prefix}: the training against D has {'begun' if begun else 'not begun'}, but after "
            f"{step} steps (by {told_by}) of {config.steps_per_epoch} an epoch the run would be "
            f"{'in' if step < begin_gan else 'past'} its {config.init_epochs} epochs of "
            "initialisation; give --epoch, --init_epochs or --steps_per_epoch as they were"
        )
    return step, told_by


def _read_back(
    config: TrainConfig, trainer: Trainer, path: Path, variables: Mapping[str, keras.Variable]
) -> None:
    """Restores a run directory's checkpoint, and compares it with what it was written from."""
    expected = {name: np.array(variable.numpy()) for name, variable in variables.items()}
    step = int(trainer.step.numpy())
    for variable in variables.values():
        variable.assign(np.full(variable.shape, 7.0, np.float32))
    trainer.step.assign(0)
    with RunDir(config, trainer, resume=True, path=path) as run:
        wrong = [
            name
            for name, variable in variables.items()
            if not np.array_equal(variable.numpy(), expected[name])
        ]
        if wrong or run.step != step:
            raise ValueError(
                f"{path / CONFIG}: {len(wrong)} variables ({wrong[:3]}) and step {run.step} are "
                "not those that were written; please report this"
            )
