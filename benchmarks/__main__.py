"""The command ``python -m benchmarks``: measures engines, training, its pipeline and videos."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
from pathlib import Path
from typing import Any

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import make_config
from anime_tf.io.atomic import write_bytes
from benchmarks import report
from benchmarks.config import BenchmarkConfig


def _main(values: flags.FlagValues) -> int:
    config = make_config(values, BenchmarkConfig)

    def save(document: dict[str, Any]) -> None:
        if config.json:
            text = json.dumps(document, indent=1, default=dataclasses.asdict)
            write_bytes(config.json, f"{text}\n".encode())

    if config.read:
        return _report_engines(config, _read(Path(config.read)))
    app.import_tensorflow()
    if "engines" in config.measure:
        from benchmarks.engines import benchmark_engines

        return _report_engines(config, benchmark_engines(config, save))
    from benchmarks.steps import benchmark_steps

    _use_training_threads()
    document, is_broken = benchmark_steps(config, save)
    save(document)
    print(report.format_steps(document))
    return app.EXIT_SOME_FAILED if is_broken else app.EXIT_DONE


def _read(path: Path) -> dict[str, Any]:
    document = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(document, dict) or not {"machine", "peaks", "rows"} <= set(document):
        raise ValueError(f"{path}: expected figures of --measure=engines, got another document")
    return document


def _report_engines(config: BenchmarkConfig, document: dict[str, Any]) -> int:
    """Print the tables; write the chart and the page."""
    text = report.format_engines(document)
    print(text)
    if config.chart:
        from benchmarks.chart import draw_chart

        model = document["rows"][0]["model"]
        chart = draw_chart([row for row in document["rows"] if row["model"] == model])
        write_bytes(config.chart, chart)
    if config.page:
        if config.chart:
            link = Path(os.path.relpath(config.chart, Path(config.page).parent)).as_posix()
            text = f"![Milliseconds per picture by engine and size]({link})\n\n{text}"
        page = report.insert_tables(Path(config.page).read_text(encoding="utf-8"), text)
        write_bytes(config.page, page.encode())
    return app.EXIT_DONE


def _use_training_threads() -> None:
    """Distribute cores as the verb ``train`` does, unless TensorFlow already runs."""
    from anime_tf.training.devices import make_deterministic

    try:
        make_deterministic()
    except RuntimeError as error:
        logging.warning("TensorFlow keeps its threads: %s", error)


COMMAND = app.Command(
    name="benchmark",
    summary="Measure the speed of engines, training, its pipeline and videos.",
    example="--image_size=256 --batch_size=4 --precisions=float32,mixed_bfloat16\n"
    "--measure=pipeline --dataset_dir=dataset --style=Hayao --json=pipeline.json\n"
    "--measure=video --video=holiday.mp4\n"
    "--measure=engines --sizes=512 --rounds=9 --chart=speed.png",
    configs=(BenchmarkConfig,),
    main=_main,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND, sys.argv[1:], "python -m benchmarks"))
