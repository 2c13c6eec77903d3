"""The verb ``benchmark``: measured speed of engines, of training, of its pipeline, of films."""

from __future__ import annotations

import dataclasses
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from absl import flags, logging

from anime_tf.cli import app
from anime_tf.cli.flags import UsageError, make_config
from anime_tf.datasets.pipeline import FITS, TrainingPictures
from anime_tf.io.atomic import write_bytes
from anime_tf.io.folders import dataset_folders
from anime_tf.io.pictures import write_picture
from anime_tf.training.config import TrainConfig
from benchmarks import engines, tables
from benchmarks.chart import chart_u8
from benchmarks.config import BenchmarkConfig
from benchmarks.machine import machine_facts
from benchmarks.pipeline import (
    MADE_UP_PICTURES,
    PHASE_STREAMS,
    made_up_data_set,
    pipeline_contenders,
)
from benchmarks.report import figures, table_text
from benchmarks.timing import Contender, peak_memory_gib, take_turns
from benchmarks.training import train_step_contenders


def _engines(config: BenchmarkConfig) -> int:
    """--measure=engines, and --read."""
    if config.read:
        document = json.loads(Path(config.read).read_text(encoding="utf-8"))
        if not isinstance(document, dict) or not {"machine", "peaks", "rows"} <= set(document):
            raise ValueError(f"{config.read}: expected figures of --measure=engines, found others")
    else:
        document = _measured_engines(config)
    text = tables.engine_tables(document)
    print(text)
    if config.json and not config.read:
        write_bytes(config.json, (json.dumps(document, indent=1) + "\n").encode())
    if config.chart:
        first = document["rows"][0]["model"]
        rows = [row for row in document["rows"] if row["model"] == first]
        write_picture(config.chart, chart_u8(rows))
    if config.page:
        if config.chart:
            link = Path(os.path.relpath(config.chart, Path(config.page).parent)).as_posix()
            text = f"![Milliseconds for a picture, way by way and size by size]({link})\n\n{text}"
        page = tables.put_into(Path(config.page).read_text(encoding="utf-8"), text)
        write_bytes(config.page, page.encode())
    return app.EXIT_DONE


def _measured_engines(config: BenchmarkConfig) -> dict[str, Any]:
    names = config.engines
    models = config.models
    weights = config.weights or ""
    wanted = config.precisions
    precisions = [name.removeprefix("mixed_") for name in wanted]
    sizes = list(config.sizes)
    rounds = list(config.rounds) * (len(sizes) if len(config.rounds) == 1 else 1)
    if len(rounds) != len(sizes):
        raise UsageError("expected one number of --rounds, or one for each of --sizes")
    facts = machine_facts()
    peaks: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for model in [weights] if weights else models:
        ways = list(engines.possible_ways(model, names, precisions, config.peers))
        if not config.compiled:
            ways = [way for way in ways if way.engine != "pytorch compiled"]
        with tempfile.TemporaryDirectory(prefix="anime_tf_benchmark_") as folder:
            found = engines.measure_engines(Path(folder), model, weights, ways, sizes, rounds)
        for name, peak in found["peaks"].items():
            peaks[name] = max(peak, peaks.get(name, 0.0))
        rows += found["rows"]
    if not rows:
        raise ValueError("no engine of --engines can run these networks here")
    return {"machine": facts, "peaks": peaks, "rows": rows}


def _sources(
    config: BenchmarkConfig,
    run: TrainConfig,
    streams: Sequence[str],
    fits: Sequence[str],
    made_up_dir: Path,
) -> dict[str, TrainingPictures]:
    """Fit -> pictures of the data set given, or of one made up in `made_up_dir`."""
    if config.dataset_dir:
        found = dataset_folders(
            config.dataset_dir, config.style or "", need_smooth="smooth" in streams
        )
        folders = dict.fromkeys(FITS, found)
    else:
        logging.info("no --dataset_dir: photos are made up")
        folders = made_up_data_set(made_up_dir, side=config.made_up_side, image_size=run.image_size)
    sources = {}
    for fit in fits:
        sources[fit] = TrainingPictures(
            folders[fit],
            image_size=run.image_size,
            batch_size=run.batch_size,
            seed=run.seed,
            fit=fit,
        )
        try:
            # Found before the measuring, not amid it: one smooth half may not suit both fits.
            sources[fit].read_slot(0, streams)
        except ValueError as error:
            raise ValueError(f"{error}; or leave {fit} out of --fits") from error
    return sources


def _thread_as_in_training() -> None:
    """Shares cores out as the verb train does, where TensorFlow has not begun to run yet."""
    from anime_tf.training.devices import make_deterministic

    try:
        make_deterministic()
    except RuntimeError as error:
        # Only where this is called from a process that does other things with TensorFlow.
        logging.warning("threads are left as they are: %s", error)


def _main(values: flags.FlagValues) -> int:
    config = make_config(values, BenchmarkConfig)
    app.import_tensorflow()
    measures = config.measure
    for name in ("json", "chart", "page"):
        file = getattr(config, name)
        if file and not Path(file).parent.is_dir():
            raise UsageError(f"--{name}={file}: no such folder")
    if "engines" in measures or config.read:
        if len(measures) > 1 and not config.read:
            raise UsageError("--measure=engines stands alone: others would disturb it")
        return _engines(config)
    precisions = config.precisions
    phases = config.phases
    fits = config.fits
    if bool(config.dataset_dir) != bool(config.style):
        raise UsageError("--dataset_dir and --style go together")
    if ("video" in measures) != bool(config.film):
        raise UsageError("--measure=video and --film go together")
    run = TrainConfig(
        model=config.model,
        image_size=config.image_size,
        batch_size=config.batch_size,
        perceptual_weights="random",  # as fast as any, and nothing to fetch
    )
    _thread_as_in_training()
    facts = machine_facts()
    contenders: list[Contender] = []
    sources: dict[str, TrainingPictures] = {}
    with tempfile.TemporaryDirectory(prefix="anime_tf_benchmark_") as made_up_dir:
        if "pipeline" in measures:
            streams = max((PHASE_STREAMS[phase] for phase in phases), key=len)
            sources = _sources(config, run, streams, fits, Path(made_up_dir) / "made_up")
        if "train_step" in measures:
            contenders += train_step_contenders(
                run, precisions, phases, steps=config.steps, warmup=config.warmup
            )
        contenders += pipeline_contenders(sources, phases, steps=config.pipeline_steps)
        if "video" in measures:
            from benchmarks.video import speed_runs

            runs = speed_runs(
                config.film or "", config.weights or "cel", config.film_frames, Path(made_up_dir)
            )
            contenders += [Contender("video", {"what": name}, run) for name, run in runs.items()]
        logging.info("%d things to measure, in %d turns", len(contenders), config.repeats)
        take_turns(contenders, config.repeats)
    measured = figures(contenders, run.batch_size)
    peak = peak_memory_gib()

    pictures = (
        f"{config.style} of {config.dataset_dir}"
        if config.dataset_dir
        else f"{MADE_UP_PICTURES} made-up JPEG photos a stream, {config.made_up_side} pixels wide"
    )
    print(
        f"{facts['processor']}, {facts['cores_usable']} of {facts['cores']} cores, "
        f"GPUs: {', '.join(facts['gpus']) or 'none'}; TensorFlow {facts['tensorflow']}, "
        f"Keras {facts['keras']}; load average before: {facts['load_average']}"
    )
    print(
        f"{run.model}, {run.image_size}x{run.image_size}, batch {run.batch_size}; "
        f"median (lowest .. highest) of {config.repeats} turns"
        + (f"; pipeline: {pictures}" if sources else "")
    )
    for name, rows in measured.items():
        print(f"\n{table_text(name, rows)}")
    if peak is not None:
        print(f"\nMost memory held: {peak:.1f} GiB")

    if config.json:
        shown = ("steps", "warmup", "pipeline_steps", "repeats", "image_size", "batch_size")
        document = {
            "machine": facts,
            "settings": {
                "model": run.model,
                **{name: getattr(config, name) for name in shown},
                "pictures": pictures if sources else None,
            },
            "peak_memory_gib": peak,
            **measured,
        }
        text = json.dumps(document, indent=2, default=dataclasses.asdict) + "\n"
        write_bytes(config.json, text.encode())
        logging.info("figures: %s", config.json)
    broken = any(source.broken for source in sources.values())
    return app.EXIT_SOME_FAILED if broken else app.EXIT_DONE


COMMAND = app.Command(
    name="benchmark",
    summary="Measure the speed of engines, of training, of its pipeline and of films.",
    example="--image_size=256 --batch_size=4 --precisions=float32,mixed_bfloat16\n"
    "--measure=pipeline --dataset_dir=dataset --style=Hayao --json=pipeline.json\n"
    "--measure=video --film=holiday.mp4\n"
    "--measure=engines --sizes=512 --rounds=9 --chart=speed.png",
    configs=(BenchmarkConfig,),
    main=_main,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND, sys.argv[1:], "python -m benchmarks"))
