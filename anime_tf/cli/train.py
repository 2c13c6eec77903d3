"""The verb ``train``: trains a style."""

from __future__ import annotations

from typing import Any

from absl import flags

from anime_tf.cli import app
from anime_tf.cli.flags import Flags, UsageError, given, make_config
from anime_tf.training.config import PRESETS, RunOptions, TrainConfig, preset_of

REQUIRED = ("dataset_dir", "style", "run_dir")


def make_repeatable() -> None:
    """Make training on one CPU bit-exact; call it before TensorFlow runs anything.

    Two things change the order in which gradients are summed: parallel operations share the threads
    anew each time, and the graph optimizer rewrites a graph differently from process to process. So
    one operation runs at a time (on all cores), as written.
    """
    import tensorflow as tf

    if not tf.config.list_physical_devices("GPU"):
        tf.config.threading.set_inter_op_parallelism_threads(1)
        tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})


def main(values: flags.FlagValues) -> int:
    """Train; return the exit code."""
    options = make_config(values, RunOptions)
    changes = given(values, Flags(TrainConfig))
    if options.from_epoch and not options.resume:
        raise UsageError("--from_epoch needs --resume")
    app.import_tensorflow()
    config = _resumed(options, changes) if options.resume else _new(options, changes)
    if config.distribute == "none":
        make_repeatable()
    run: dict[str, Any] = {"resume": options.resume, "from_epoch": options.from_epoch or 0}
    if options.dry_run:
        from anime_tf.training.dry_run import dry_run

        dry_run(config, **run)
        return app.EXIT_DONE
    from anime_tf.training.loop import train

    return train(config, **run)


def _resumed(options: RunOptions, changes: dict[str, Any]) -> TrainConfig:
    from anime_tf.training.run_dir import resumed_config

    if "run_dir" not in changes:
        raise UsageError("--run_dir is required, as in --run_dir=VALUE")
    if options.preset:
        raise UsageError("--preset does not go with --resume: config.json has all settings")
    return resumed_config(changes["run_dir"], changes)


def _new(options: RunOptions, changes: dict[str, Any]) -> TrainConfig:
    missing = [f"--{name}" for name in REQUIRED if not changes.get(name)]
    if missing:
        verb = "is" if len(missing) == 1 else "are"
        raise UsageError(f"{' and '.join(missing)} {verb} required, as in {missing[0]}=VALUE")
    preset = options.preset or preset_of(changes.get("model"), changes["style"])
    return TrainConfig.from_dict({**PRESETS[preset], **changes})


COMMAND = app.Command(
    name="train",
    summary="Train a style on photos and pictures of that style. Defaults are those of the preset "
    "hayao; other presets change some.",
    example="--dataset_dir=dataset --style=Hayao --run_dir=runs/hayao",
    configs=(RunOptions, TrainConfig),
    main=main,
)
