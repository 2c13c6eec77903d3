"""The verb ``convert``: legacy weights to ``.keras`` archives."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf import cli
from anime_tf.weights import tf1

if TYPE_CHECKING:
    from anime_tf.weights.tf1 import Conversion

SOURCES: dict[str, Callable[[str, str], Conversion]] = {
    "tf1": tf1.convert_tf1,
}
"""Value of --source -> what converts (path, name of the generator)."""


def define_flags(values: flags.FlagValues) -> None:
    """Defines the flags of the verb."""
    flags.DEFINE_enum(
        "source",
        None,
        list(SOURCES),
        "Where the weights come from: a TensorFlow 1 checkpoint (tf1).",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "input",
        None,
        "The legacy weights. tf1: a folder with a checkpoint, the prefix of one (PATH where "
        "PATH.index exists), or its .index file. A full training checkpoint serves as well; only "
        "its generator is taken.",
        required=True,
        flag_values=values,
    )
    flags.DEFINE_string(
        "output", None, "The archive to write, FILE.keras.", required=True, flag_values=values
    )
    flags.DEFINE_enum(
        "model",
        "animegan_v2",
        list(tf1.TABLES),
        "Which generator the weights belong to, where the file does not tell.",
        flag_values=values,
    )


def main(values: flags.FlagValues) -> int:
    """Converts as the flags say; returns the exit code."""
    output = Path(values.output)
    if output.suffix != ".keras":
        raise cli.UsageError(f"--output={output} must end in .keras")
    cli.import_tensorflow()
    from anime_tf.models.archive import save_generator

    conversion = SOURCES[values.source](values.input, values.model)
    save_generator(conversion.model, output)
    for reason, count in conversion.ignored.items():
        logging.info("left behind: %d variables (%s)", count, reason)
    logging.info(
        "%s: %s from %d variables, %s parameters",
        output,
        values.model,
        conversion.used,
        f"{conversion.model.count_params():,}",
    )
    return cli.EXIT_DONE


COMMAND = cli.Command(
    name="convert",
    summary="Convert legacy weights to a .keras archive, exactly or not at all.",
    example="--source=tf1 --input=checkpoint/generator_Hayao_weight --output=hayao.keras",
    define_flags=define_flags,
    main=main,
)

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
