"""The verb ``convert``: legacy weights to ``.keras`` archives."""

from __future__ import annotations

import secrets
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf import cli
from anime_tf.weights import tf1, torch

if TYPE_CHECKING:
    from anime_tf.weights.tables import Conversion

SOURCES: dict[str, Callable[[flags.FlagValues], Conversion]] = {
    "tf1": lambda values: tf1.convert_tf1(values.input, values.model),
    "torch": lambda values: torch.convert_torch(values.input, values.model, values.resize),
    "cartoongan": lambda values: torch.convert_folder(values.input, values.model, values.resize),
}
"""Value of --source -> what converts, given the flags."""

MODELS = sorted({*tf1.TABLES, *torch.TABLES})


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
        "output", None, "The archive to write, FILE.keras.", required=True, flag_values=values
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


def main(values: flags.FlagValues) -> int:
    """Converts as the flags say; returns the exit code."""
    output = Path(values.output)
    if output.suffix != ".keras":
        raise cli.UsageError(f"--output={output} must end in .keras")
    if values.resize is not None and values.source == "tf1":
        raise cli.UsageError("--resize is for weights of animegan2-pytorch; leave it out")
    cli.import_tensorflow()
    from anime_tf.models.archive import save_generator
    from anime_tf.weights.verify import verify

    conversion = SOURCES[values.source](values)
    unfinished = output.with_name(f".{output.stem[:100]}.{secrets.token_hex(6)}.keras")
    try:
        save_generator(conversion.model, unfinished)
        verified = verify(unfinished, conversion) if values.verify else None
        if verified is not None and verified.failure:
            cli.complain(f"{output}: {verified.failure}; not written, please report this")
            return cli.EXIT_SOME_FAILED
        unfinished.replace(output)
    finally:
        unfinished.unlink(missing_ok=True)
    for reason, count in conversion.ignored.items():
        logging.info("left behind: %d variables (%s)", count, reason)
    logging.info(
        "%s: %s from %d variables, %s parameters",
        output,
        conversion.name,
        len(conversion.values),
        f"{conversion.model.count_params():,}",
    )
    if verified is not None:
        logging.info("verified: %s", verified.told)
    return cli.EXIT_DONE


COMMAND = cli.Command(
    name="convert",
    summary="Convert legacy weights to a .keras archive, exactly or not at all.",
    example="--source=tf1 --input=checkpoint/generator_Hayao_weight --output=hayao.keras\n"
    "--source=torch --input=paprika.pt --output=paprika.keras",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
