"""The verb ``train``: flags -> `TrainConfig` -> `training.loop.train`."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any

from absl import flags

from anime_tf.cli import app
from anime_tf.training.config import DEFAULT_PRESET, PRESETS, TrainConfig, preset_of

REQUIRED = ("dataset_dir", "style", "run_dir")


def _define_flags(flag_values: flags.FlagValues) -> None:
    """A flag for every setting; unset ones take the preset's value."""
    flags.DEFINE_enum(
        "preset",
        None,
        sorted(PRESETS),
        "recipe to start from; the model's own or the style's where there is one, "
        f"else {DEFAULT_PRESET}",
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "resume",
        False,
        "go on with the run in run_dir, by its config.json",
        flag_values=flag_values,
    )
    flags.DEFINE_integer(
        "from_epoch",
        None,
        "with --resume: go on after that epoch, by the checkpoint that --keep_every_epochs kept, "
        "and not at the newest one",
        1,
        flag_values=flag_values,
    )
    flags.DEFINE_boolean(
        "dry_run",
        False,
        "check data set, settings, networks and memory, time a few steps, write nothing",
        flag_values=flag_values,
    )
    define_settings(flag_values, TrainConfig.__dataclass_fields__)


def define_settings(flag_values: flags.FlagValues, names: Iterable[str], prefix: str = "") -> None:
    """Defines a flag for each of these settings of `TrainConfig`, None where it is not given.

    Args:
        flag_values: Where they are defined.
        names: The settings.
        prefix: What their help begins with.
    """
    for name in names:
        setting = TrainConfig.__dataclass_fields__[name]
        default, choices = setting.default, setting.metadata["choices"]
        about = prefix + setting.metadata["help"]
        if name not in REQUIRED:
            shown = str(default).lower() if isinstance(default, bool) else default
            about += f" ({DEFAULT_PRESET}: {shown})"
        options: dict[str, Any] = {"flag_values": flag_values}
        if choices:
            flags.DEFINE_enum(name, None, list(choices), about, **options)
        elif isinstance(default, bool):
            flags.DEFINE_boolean(name, None, about, **options)
        elif isinstance(default, int):
            flags.DEFINE_integer(name, None, about, **options)
        elif isinstance(default, float):
            flags.DEFINE_float(name, None, about, **options)
        else:
            flags.DEFINE_string(name, None, about, **options)


def settings_given(flag_values: flags.FlagValues, names: Iterable[str]) -> dict[str, Any]:
    """Those of the settings whose flags were given, with their values."""
    values = {name: flag_values[name].value for name in names}
    return {name: value for name, value in values.items() if value is not None}


def make_repeatable() -> None:
    """Makes training on one CPU repeat to the last bit; called before TensorFlow runs anything.

    Two things change the order in which gradients are added up: operations that run side by side
    share out the threads anew each time, and the graph optimiser rewrites a graph this way in one
    process and that way in another. So one operation runs at a time (on all cores), as written.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def _main(flag_values: flags.FlagValues) -> int:
    from anime_tf.training.dry_run import dry_run
    from anime_tf.training.loop import train

    given = settings_given(flag_values, TrainConfig.__dataclass_fields__)
    if "run_dir" not in given:
        raise app.UsageError("--run_dir is missing; give the folder that the run writes")
    resume = bool(flag_values["resume"].value)
    from_epoch = flag_values["from_epoch"].value or 0
    if from_epoch and not resume:
        raise app.UsageError("--from_epoch is for a run that goes on: give --resume with it")
    config = _resumed(flag_values, given) if resume else _begun(flag_values, given)
    if config.distribute == "none":
        make_repeatable()
    if flag_values["dry_run"].value:
        dry_run(config, resume=resume, from_epoch=from_epoch)
        return app.EXIT_DONE
    return train(config, resume=resume, from_epoch=from_epoch)


def _resumed(flag_values: flags.FlagValues, given: dict[str, Any]) -> TrainConfig:
    from anime_tf.training.run_dir import resumed_config

    if flag_values["preset"].value:
        raise app.UsageError("--preset cannot be given with --resume: config.json has it all")
    return resumed_config(given["run_dir"], given)


def _begun(flag_values: flags.FlagValues, given: dict[str, Any]) -> TrainConfig:
    missing = [name for name in REQUIRED if name not in given]
    if missing:
        raise app.UsageError(f"missing: {', '.join('--' + name for name in missing)}")
    preset = flag_values["preset"].value or preset_of(given.get("model"), given["style"])
    return TrainConfig.from_dict({**PRESETS[preset], **given})


COMMAND = app.Command(
    name="train",
    summary="Trains a style on photos and pictures of that style.",
    example="--dataset_dir=dataset --style=Hayao --run_dir=runs/hayao",
    define_flags=_define_flags,
    main=_main,
    needs_tensorflow=True,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
