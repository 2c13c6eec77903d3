"""The verb ``infer``: stylizes pictures."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from absl import logging

from anime_tf.cli import app
from anime_tf.cli.flags import is_named, make_config
from anime_tf.cli.recommended import apply_style
from anime_tf.faces.config import FaceConfig
from anime_tf.inference.config import InferConfig, StylizerConfig

if TYPE_CHECKING:
    from absl import flags


def main(values: flags.FlagValues) -> int:
    """Stylize pictures; return the exit code."""
    licenses = apply_style(values)
    # Shells expand *.jpg in a folder of two photos to an input and an output.
    config = make_config(values, InferConfig, keep_foreign=not is_named(values, "output"))
    stylizer, faces = make_config(values, StylizerConfig), make_config(values, FaceConfig)
    from anime_tf.faces.batch import stylize_pictures
    from anime_tf.inference.batch import default_output, outcome

    start = time.perf_counter()
    tasks, report = stylize_pictures(config, stylizer, faces)
    output = config.output or default_output(config.input)
    logging.info(
        "%s in %.1f s%s",
        outcome(tasks, report, output, "face" if config.faces == "crop" else ""),
        time.perf_counter() - start,
        licenses,
    )
    # A picture without a face to cut out is no failure.
    return app.exit_code(len(report.failures), len(tasks))


COMMAND = app.Command(
    name="infer",
    summary="Stylize pictures.",
    example="photos anime\nme.jpg me_anime.png --strength=0.8\nfriends.jpg anime/ --faces=blend",
    configs=(InferConfig, StylizerConfig, FaceConfig),
    main=main,
    positional=("input", "output"),
)
