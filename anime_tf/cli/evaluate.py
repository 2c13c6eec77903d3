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
    from anime_tf.metrics.report import NetworkMetrics, PictureSet


def main(values: flags.FlagValues) -> int:
    """Measure pictures or videos, make pairs or count votes; return the exit code."""
    config = make_config(values, EvaluateConfig)
    if config.votes:
        return _count_votes(config)
    if config.video:
        return _measure_video(config)
    from anime_tf.metrics.report import PictureSet

    photos_dir = Path(config.photos)
    photos = PictureSet.from_folder(photos_dir, "photos")
    results = [PictureSet.from_results(Path(folder), photos_dir) for folder in config.results]
    if config.style or config.targets:
        _measure(config, photos, results)
    if config.sheet:
        from anime_tf.io import pictures
        from anime_tf.metrics.report import contact_sheet

        sheet = contact_sheet(photos, results, count=config.sheet_photos, side=config.sheet_side)
        pictures.write_picture(config.sheet, sheet)
        logging.info("%s: the photos, and %s", config.sheet, ", ".join(config.results))
    if config.blind:
        from anime_tf.metrics.blind import write_pairs

        write_pairs(photos, (results[0], results[1]), Path(config.blind), Path(config.blind_key))
        logging.info(
            "%s: look at the pairs and fill in votes.csv; the key is %s",
            config.blind,
            config.blind_key,
        )
    folders = (config.photos, *config.results, config.style, config.targets)
    return app.exit_code_of([folder for folder in folders if folder])


def _measure(config: EvaluateConfig, photos: PictureSet, results: list[PictureSet]) -> None:
    from anime_tf.io import atomic
    from anime_tf.metrics.report import PictureSet, evaluate, format_rows

    style = PictureSet.from_folder(Path(config.style), "style") if config.style else None
    targets = None
    if config.targets:
        targets = PictureSet.from_results(Path(config.targets), Path(config.photos))
    rows = evaluate(photos, results, style, _networks(config), targets)
    print(format_rows(rows))
    if config.json:
        atomic.write_bytes(config.json, json.dumps(rows, indent=1).encode())


def _measure_video(config: EvaluateConfig) -> int:
    from anime_tf.io import atomic
    from anime_tf.io.tables import format_table
    from anime_tf.metrics.warping import compare_videos

    columns = ["video", "E_warp, 1e-4", "of the source", "ratio", "mean, levels", "frame pairs"]
    source, *results = compare_videos(config.video, config.results)
    table, rows = [], []
    for path, result in zip(config.results, results, strict=True):
        ratio = result.square / source.square if source.square else float("nan")
        numbers = (1e4 * result.square, 1e4 * source.square, ratio, result.absolute)
        table.append([path, *(f"{number:.2f}" for number in numbers), result.pairs])
        rows.append(
            {"video": path, "e_warp": result.square, "source_e_warp": source.square}
            | {"ratio": ratio, "absolute": result.absolute, "pairs": result.pairs}
        )
    print(format_table(columns, table))
    if config.json:
        atomic.write_bytes(config.json, json.dumps(rows, indent=1).encode())
    return app.EXIT_DONE


def _count_votes(config: EvaluateConfig) -> int:
    from anime_tf.io.tables import format_table
    from anime_tf.metrics.blind import count_votes

    counts = [count_votes(Path(config.blind_key), Path(path)) for path in config.votes]
    columns = ["votes of", *counts[0].votes]
    table = [
        [path, *count.votes.values()] for path, count in zip(config.votes, counts, strict=True)
    ]
    print(format_table(columns, table))
    for path, count in zip(config.votes, counts, strict=True):
        print(f"{path}: lost by {columns[1]}: {', '.join(count.lost) or 'none'}")
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
    example="--photos=photos --results=anime --style=dataset/MyStyle/style --sheet=sheet.png\n"
    "--video=holiday.mp4 --results=anime.mp4",
    configs=(EvaluateConfig,),
    main=main,
)
