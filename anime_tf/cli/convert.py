"""The verb ``convert``: legacy weights to ``.keras`` archives, legacy trainings to runs."""

from __future__ import annotations

from typing import Any

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import Flags, UsageError, check_given, given, make_config
from anime_tf.config import settings
from anime_tf.conversion.config import ConvertConfig
from anime_tf.errors import command_line
from anime_tf.training.config import RunOptions, TrainConfig

FROM_CHECKPOINT = (
    "model",
    "discriminator",
    "generator_width",
    "discriminator_width",
    "discriminator_depth",
    "spectral_norm",
)
"""Settings of a training that its checkpoint determines."""

RUN_SETTINGS = Flags(
    TrainConfig,
    (
        *("dataset_dir", "style", "epochs", "init_epochs"),
        *(
            name
            for name, one in settings(TrainConfig).items()
            if one.fixed and name not in FROM_CHECKPOINT
        ),
    ),
    note="With --training: ",
)
"""Settings that it does not determine, and that `train --resume` cannot change."""

PRESET = Flags(RunOptions, ("preset",), note="With --training: ")


def main(values: flags.FlagValues) -> int:
    """Convert; return the exit code."""
    config = make_config(values, ConvertConfig)
    if config.training:
        return _convert_training(config, values)
    unused = [*given(values, PRESET), *given(values, RUN_SETTINGS)]
    if unused:
        raise UsageError(f"--{unused[0]} needs --training")
    app.import_tensorflow()
    from anime_tf.conversion.convert import convert_file

    conversion, verified = convert_file(config)
    if verified is not None and verified.failure:
        app.complain(f"{config.output}: {verified.failure}; not written, please report this")
        return app.EXIT_SOME_FAILED
    for reason, count in conversion.ignored.items():
        logging.info("ignored: %d variables (%s)", count, reason)
    logging.info(
        "%s: %s from %d variables, %s parameters",
        config.output,
        conversion.name,
        len(conversion.values),
        f"{conversion.model.count_params():,}",
    )
    if verified is not None:
        logging.info("verified: %s", verified.summary)
    return app.EXIT_DONE


def _convert_training(config: ConvertConfig, values: flags.FlagValues) -> int:
    changes = given(values, RUN_SETTINGS)
    check_given(("dataset_dir", "style"), changes)
    app.import_tensorflow()
    from anime_tf.training.import_tf1 import import_training, read_settings

    found: dict[str, Any] = read_settings(config.input, config.model)
    run = TrainConfig.from_preset(values.preset, {**changes, **found, "run_dir": config.output})
    done = import_training(config.input, run, epoch=config.epoch, verify=config.verify)
    logging.info("%s", done.summary)
    resume = ["anime-tf", "train", f"--run_dir={done.run_dir}", "--resume"]
    logging.info("resume: %s", command_line(resume))
    return app.EXIT_DONE


COMMAND = app.Command(
    name="convert",
    summary="Convert legacy weights to a .keras archive, exactly or not at all.",
    example="--source=tf1 --input=checkpoint/generator_Hayao_weight --output=hayao.keras\n"
    "--source=torch --input=paprika.pt --output=paprika.keras\n"
    "--source=tf1 --training --input=checkpoint/AnimeGANv2_Hayao --output=runs/hayao "
    "--dataset_dir=dataset --style=Hayao",
    configs=(ConvertConfig, PRESET, RUN_SETTINGS),
    main=main,
)
