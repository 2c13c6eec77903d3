"""The verb ``evaluate``: measures style and content of results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import make_config
from anime_tf.metrics.config import EvaluateConfig

if TYPE_CHECKING:
    from anime_tf.metrics.report import NetworkMetrics


def main(values: flags.FlagValues) -> int:
    """Measure; return the exit code."""
    config = make_config(values, EvaluateConfig)
    from anime_tf.io import atomic, pictures
    from anime_tf.metrics.report import PictureSet, contact_sheet, evaluate, format_rows

    photos_dir = Path(config.photos)
    photos = PictureSet.from_folder(photos_dir, "photos")
    results = [PictureSet.from_results(Path(folder), photos_dir) for folder in config.results]
    style = PictureSet.from_folder(Path(config.style), "style")
    rows = evaluate(photos, results, style, _networks(config))
    print(format_rows(rows))
    if config.json:
        atomic.write_bytes(config.json, json.dumps(rows, indent=1).encode())
    if config.sheet:
        sheet = contact_sheet(photos, results, count=config.sheet_photos, side=config.sheet_side)
        pictures.write_picture(config.sheet, sheet)
        logging.info("%s: the photos, and %s", config.sheet, ", ".join(config.results))
    return app.EXIT_DONE


def _networks(config: EvaluateConfig) -> NetworkMetrics:
    from anime_tf.metrics.report import NetworkMetrics

    if not config.inception and not config.perceptual_weights:
        return NetworkMetrics()
    app.import_tensorflow()
    from anime_tf.metrics.networks import make_inception_features, make_perceptual_distance

    weights = config.perceptual_weights
    return NetworkMetrics(
        inception=make_inception_features(config.inception) if config.inception else None,
        perceptual=make_perceptual_distance(weights) if weights else None,
    )


COMMAND = app.Command(
    name="evaluate",
    summary="Measure how close results are to a style, and how much of their photos they keep.",
    example="--photos=photos --results=anime --style=dataset/MyStyle/style --sheet=sheet.png",
    configs=(EvaluateConfig,),
    main=main,
)
