"""The verb ``train``: trains a style."""

from __future__ import annotations

from typing import Any

from absl import flags

from anime_tf.cli import app
from anime_tf.cli.flags import Flags, UsageError, check_given, given, make_config
from anime_tf.training.config import RunOptions, TrainConfig


def main(values: flags.FlagValues) -> int:
    """Train; return the exit code."""
    options = make_config(values, RunOptions)
    changes = given(values, Flags(TrainConfig))
    if options.from_epoch and not options.resume:
        raise UsageError("--from_epoch needs --resume")
    app.import_tensorflow()
    config = _resumed(options, changes) if options.resume else _new(options, changes)
    if config.distribute == "none":
        from anime_tf.training.devices import make_deterministic

        make_deterministic()
    run: dict[str, Any] = {"resume": options.resume, "from_epoch": options.from_epoch or 0}
    if options.dry_run:
        from anime_tf.training.dry_run import dry_run

        dry_run(config, **run)
        return app.EXIT_DONE
    from anime_tf.training.loop import train

    return train(config, **run)


def _resumed(options: RunOptions, changes: dict[str, Any]) -> TrainConfig:
    from anime_tf.training.run_dir import resumed_config

    check_given(("run_dir",), changes)
    if options.preset:
        raise UsageError("--preset does not go with --resume: config.json has all settings")
    return resumed_config(changes["run_dir"], changes)


def _new(options: RunOptions, changes: dict[str, Any]) -> TrainConfig:
    check_given(("dataset_dir", "style", "run_dir"), changes)
    return TrainConfig.from_preset(options.preset, changes)


COMMAND = app.Command(
    name="train",
    summary="Train a style on photos and pictures of that style. Defaults are those of the preset "
    "hayao; other presets change some.",
    example="--dataset_dir=dataset --style=Hayao --run_dir=runs/hayao",
    configs=(RunOptions, TrainConfig),
    main=main,
)
