"""The verb ``dataset``: builds and checks style data sets."""

from __future__ import annotations

import json
from pathlib import Path

from absl import flags, logging

from anime_tf.bulk.config import ClusterConfig
from anime_tf.cli import app
from anime_tf.cli.flags import Flags, UsageError, given, make_config
from anime_tf.datasets.config import CheckConfig, FramesConfig, SmoothConfig
from anime_tf.datasets.extract.extractor import FrameSettings
from anime_tf.datasets.extract.quality import QualityLimits


def frames(values: flags.FlagValues) -> int:
    """Extract pictures from videos; return the exit code."""
    from anime_tf.datasets.extract.extractor import extract_frames
    from anime_tf.io.video.paths import find_videos

    config = make_config(values, FramesConfig)
    if values.scenes and "every" in given(values, Flags(FrameSettings)):
        raise UsageError("expected --every or --scenes, got both")
    settings = make_config(values, FrameSettings, limits=make_config(values, QualityLimits))
    videos, closed = find_videos(config.input)
    if given(values, Flags(ClusterConfig)):
        if config.max_pictures:
            raise UsageError("expected no --max_pictures on a cluster")
        from anime_tf.bulk.frames import extract_frames_on_cluster

        cluster = make_config(values, ClusterConfig)
        report = extract_frames_on_cluster(videos, config.output, settings, cluster)
    else:
        limit = config.max_pictures
        report = extract_frames(videos, config.output, settings, max_pictures=limit)
    for line in report.lines():
        logging.info("%s", line)
    if not report.readable:
        return app.EXIT_NOTHING_DONE
    if not report.listed:
        app.complain(
            f"{config.output}: no picture; all {report.candidates} candidates were rejected"
        )
        return app.EXIT_NOTHING_DONE
    return app.EXIT_SOME_FAILED if report.problems or closed else app.EXIT_DONE


def smooth(values: flags.FlagValues) -> int:
    """Make the edge-smoothed half of a style; return the exit code."""
    from anime_tf.datasets.edge_smooth import smooth_folder

    config = make_config(values, SmoothConfig)
    size = config.image_size
    report = smooth_folder(
        config.style_dir,
        config.output or Path(config.style_dir).parent / "smooth",
        (size, size) if size else None,
        workers=config.workers or None,
        resampling=config.resampling,
        overwrite=config.overwrite,
    )
    logging.info("%s: %d written", report.folder, report.written)
    return app.EXIT_SOME_FAILED if report.skipped else app.EXIT_DONE


def check(values: flags.FlagValues) -> int:
    """Check a data set; return the exit code."""
    from anime_tf.datasets.check import check_dataset
    from anime_tf.io.atomic import write_bytes

    config = make_config(values, CheckConfig)
    report = check_dataset(
        config.dataset_dir,
        config.style,
        image_size=config.image_size,
        workers=config.workers or None,
    )
    print(report.text(), flush=True)
    for problem in report.problems:
        app.complain(problem)
    if config.json:
        text = json.dumps(report.facts, indent=2, ensure_ascii=False) + "\n"
        write_bytes(config.json, text.encode())
    return app.EXIT_SOME_FAILED if report.problems else app.EXIT_DONE


COMMAND = app.Group(
    name="dataset",
    summary="Build and check a style data set.",
    commands=(
        app.Command(
            name="frames",
            summary="Extract pictures of the style from videos: whole frames, or crops.",
            example="--input=video.mkv --output=dataset/MyStyle/style --every=5\n"
            "--input=videos --output=dataset/MyStyle/style --scenes --crops=4 --crop_size=256",
            configs=(
                FramesConfig,
                FrameSettings,
                QualityLimits,
                Flags(ClusterConfig, note="Extracts many videos at once, on Ray. "),
            ),
            main=frames,
        ),
        app.Command(
            name="smooth",
            summary="Make the smooth half of a style: its pictures with blurred edges.",
            example="--style_dir=dataset/MyStyle/style --image_size=256",
            configs=(SmoothConfig,),
            main=smooth,
        ),
        app.Command(
            name="check",
            summary="Check every picture of a data set, and report problems.",
            example="--dataset_dir=dataset --style=MyStyle",
            configs=(CheckConfig,),
            main=check,
        ),
    ),
)
