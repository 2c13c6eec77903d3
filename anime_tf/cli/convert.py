"""The verb ``convert``: legacy weights to ``.keras`` archives, legacy trainings to runs."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.train import define_settings, settings_given
from anime_tf.conversion import tf1, torch
from anime_tf.training.config import PRESETS, TrainConfig, preset_of

if TYPE_CHECKING:
    from anime_tf.conversion.name_table import Conversion

SOURCES: dict[str, Callable[[flags.FlagValues], Conversion]] = {
    "tf1": lambda values: tf1.convert_tf1(values.input, values.model),
    "torch": lambda values: torch.convert_torch(values.input, values.model, values.resize),
    "cartoongan": lambda values: torch.convert_folder(values.input, values.model, values.resize),
}
"""Value of --source -> what converts, given the flags."""

MODELS = sorted({*tf1.TABLES, *torch.TABLES})

TOLD = (
    "model",
    "discriminator",
    "generator_width",
    "discriminator_width",
    "discriminator_depth",
    "spectral_norm",
)
"""Settings of a training that its checkpoint tells."""

SETTINGS = (
    *("dataset_dir", "style", "epochs", "init_epochs"),
    *(
        name
        for name, setting in TrainConfig.__dataclass_fields__.items()
        if setting.metadata["fixed"] and name not in TOLD
    ),
)
"""Those that it does not tell, and that `train.py --resume` cannot change any more."""

RUN_FLAGS = ("preset", "epoch", *SETTINGS)
"""Flags that --training alone has a use for."""


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the verb."""
    flags.DEFINE_enum(
        "source",
        None,
        list(SOURCES),
        "Where the weights come from: a TensorFlow 1 checkpoint (tf1), a PyTorch state dict of "
        "animegan2-pytorch or CartoonGAN (torch), or CartoonGAN's published arrays (cartoongan).",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "input",
        None,
        "The legacy weights. tf1: a folder with a checkpoint, the prefix of one (PATH where "
        "PATH.index exists), or its .index file; a full training checkpoint serves as well, only "
        "its generator is taken. torch: a .pt or .pth file. cartoongan: a folder of .npy files.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output",
        None,
        "The archive to write, FILE.keras; with --training the run directory to write.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "model",
        None,
        MODELS,
        "Which generator the weights belong to; without it their names tell.",
        flag_values=values,
    )
    flags.DEFINE_enum(
        "resize",
        None,
        list(torch.RESIZES),
        "Only for weights of animegan2-pytorch: upsampling as its network does by default "
        "(align_corners, also the default here) or as its script does by default (half_pixel).",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "verify",
        True,
        "Read the archive back, and compare its weights with the source's, and a picture with what "
        "the source's weights make of it by TensorFlow 1's operations, or by PyTorch's where that "
        "is installed.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "training",
        False,
        "Only for tf1: take over a whole training, with discriminator and optimisers, as a run "
        "directory that train.py --resume goes on with. The sizes of the networks are told by the "
        "checkpoint, the settings below are not; all others can be given to train.py --resume.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "epoch",
        None,
        "With --training: epochs done. Without it global_step tells, where the checkpoint has it, "
        "or else how many updates its optimisers have counted.",
        lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_enum(
        "preset",
        None,
        sorted(PRESETS),
        "With --training: recipe to start from, as in train.py.",
        flag_values=values,
    )
    define_settings(values, SETTINGS, prefix="With --training: ")


def main(values: flags.FlagValues) -> int:
    """Converts as the flags say; returns the exit code."""
    if values.training:
        return _convert_training(values)
    idle = [name for name in RUN_FLAGS if values[name].value is not None]
    if idle:
        raise app.UsageError(f"--{idle[0]} is for --training; leave it out, or give --training")
    output = Path(values.output)
    if output.suffix != ".keras":
        raise app.UsageError(f"--output={output} must end in .keras")
    if values.resize is not None and values.source == "tf1":
        raise app.UsageError("--resize is for weights of animegan2-pytorch; leave it out")
    app.import_tensorflow()
    from anime_tf.conversion.verify import write_archive

    conversion = SOURCES[values.source](values)
    verified = write_archive(conversion, output, verify=values.verify)
    if verified is not None and verified.failure:
        app.complain(f"{output}: {verified.failure}; not written, please report this")
        return app.EXIT_SOME_FAILED
    for reason, count in conversion.ignored.items():
        logging.info("ignored: %d variables (%s)", count, reason)
    logging.info(
        "%s: %s from %d variables, %s parameters",
        output,
        conversion.name,
        len(conversion.values),
        f"{conversion.model.count_params():,}",
    )
    if verified is not None:
        logging.info("verified: %s", verified.summary)
    return app.EXIT_DONE


def _convert_training(values: flags.FlagValues) -> int:
    if values.source != "tf1":
        raise app.UsageError("--training needs --source=tf1: no other file holds a whole training")
    if values.output.endswith(".keras"):
        raise app.UsageError(f"--output={values.output} must be a run directory with --training")
    if values.resize is not None:
        raise app.UsageError("--resize is for weights of animegan2-pytorch; leave it out")
    missing = [f"--{name}" for name in ("dataset_dir", "style") if values[name].value is None]
    if missing:
        raise app.UsageError(f"missing: {', '.join(missing)}, as train.py takes them")
    app.import_tensorflow()
    from anime_tf.training.import_tf1 import import_training, read_settings

    found: dict[str, Any] = read_settings(values.input, values.model)
    preset = values.preset or preset_of(found["model"], values.style)
    given = settings_given(values, SETTINGS)
    config = TrainConfig.from_dict({**PRESETS[preset], **given, **found, "run_dir": values.output})
    done = import_training(values.input, config, epoch=values.epoch, verify=values.verify)
    logging.info("%s", done.summary)
    logging.info("resume: anime-tf train --run_dir=%s --resume", done.run_dir)
    return app.EXIT_DONE


COMMAND = app.Command(
    name="convert",
    summary="Convert legacy weights to a .keras archive, exactly or not at all.",
    example="--source=tf1 --input=checkpoint/generator_Hayao_weight --output=hayao.keras\n"
    "--source=torch --input=paprika.pt --output=paprika.keras\n"
    "--source=tf1 --training --input=checkpoint/AnimeGANv2_Hayao --output=runs/hayao "
    "--dataset_dir=dataset --style=Hayao",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
