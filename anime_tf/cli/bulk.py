"""The verb ``bulk``: stylizes pictures and videos on a cluster."""

from __future__ import annotations

from typing import TYPE_CHECKING

from absl import logging

from anime_tf.bulk.config import BulkConfig, ClusterConfig
from anime_tf.cli import app
from anime_tf.cli.flags import Flags, make_config
from anime_tf.cli.recommended import apply_style
from anime_tf.errors import counted
from anime_tf.faces.config import FaceConfig
from anime_tf.inference.config import InferConfig, StylizerConfig
from anime_tf.io.video.codecs import VideoEncoding
from anime_tf.io.video.decoding import VideoDecoding
from anime_tf.video.config import StabilizerConfig

if TYPE_CHECKING:
    from absl import flags


def main(values: flags.FlagValues) -> int:
    """Stylize on a cluster; return the exit code."""
    licenses = apply_style(values)
    config = make_config(values, BulkConfig)
    from anime_tf.bulk.job import SUMMARY, run_job

    report = run_job(
        config,
        make_config(values, ClusterConfig),
        make_config(values, InferConfig),
        make_config(values, StylizerConfig),
        make_config(values, FaceConfig),
        make_config(values, StabilizerConfig),
        make_config(values, VideoEncoding),
        make_config(values, VideoDecoding),
    )
    facts = report.summary
    logging.info(
        "%d of %s written to %s, %d done before, in %.1f s (%.3g/s); summary in %s%s",
        report.done,
        counted(facts["files"], "file"),
        config.output,
        report.skipped,
        facts["wall_seconds"],
        facts["files_per_second"],
        SUMMARY,
        licenses,
    )
    return app.exit_code(len(report.failures), facts["files"])


COMMAND = app.Command(
    name="bulk",
    summary="Stylize very many pictures and videos on one machine or a Ray cluster.",
    example="--input=photos --output=anime --workers=2\n"
    "--input=s3://photos/2026 --output=s3://anime/2026 --address=auto",
    configs=(
        BulkConfig,
        ClusterConfig,
        Flags(
            InferConfig, ("faces", "bits", "screentone", "compare", "quality", "allow_truncated")
        ),
        StylizerConfig,
        FaceConfig,
        StabilizerConfig,
        VideoEncoding,
        VideoDecoding,
    ),
    main=main,
    positional=("input", "output"),
)
