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
from anime_tf.datasets.pipeline import FITS, TrainingPictures
from anime_tf.io.folders import dataset_folders
from anime_tf.io.pictures import write_bytes_whole, write_picture
from anime_tf.training.config import MODELS, PRECISIONS, TrainConfig
from benchmarks import engines, tables
from benchmarks.chart import chart_u8
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

MEASURES = ("train_step", "pipeline", "video", "engines")
"""What can be measured; the first two give how far the pipeline is ahead of the training step."""


def _define_flags(values: flags.FlagValues) -> None:
    flags.DEFINE_list(
        "measure",
        ["train_step", "pipeline"],
        "What to measure, with commas between; with train_step and pipeline, also how many times "
        f"what the training step consumes the pipeline delivers. Any of {', '.join(MEASURES)}.",
        flag_values=values,
    )
    flags.DEFINE_enum("model", "animegan_v2", MODELS, "Generator to train.", flag_values=values)
    flags.DEFINE_list(
        "precisions",
        ["float32", "mixed_bfloat16"],
        "Dtype policies of the training step, compared with the first one. Any of "
        f"{', '.join(PRECISIONS)}.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "phases",
        list(PHASE_STREAMS),
        f"Phases of training to measure. Any of {', '.join(PHASE_STREAMS)}.",
        flag_values=values,
    )
    flags.DEFINE_list(
        "fits",
        list(FITS),
        f"How the pipeline brings pictures to the training size. Any of {', '.join(FITS)}.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "image_size", 256, "Side of the training pictures, pixels.", flag_values=values
    )
    flags.DEFINE_integer("batch_size", 4, "Pictures a step.", flag_values=values)
    counts = {
        "repeats": (5, "Turns in which everything is measured once."),
        "warmup": (2, "Training steps before the first turn."),
        "steps": (1, "Training steps a turn."),
        "pipeline_steps": (25, "Batches of the pipeline a turn."),
    }
    for name, (default, about) in counts.items():
        flags.DEFINE_integer(name, default, about, lower_bound=1, flag_values=values)
    flags.DEFINE_string(
        "dataset_dir",
        "",
        "Data set to read, as for training, its smooth half included; empty for made-up JPEG "
        "photos in a temporary folder.",
        flag_values=values,
    )
    flags.DEFINE_string("style", "", "Name of the style in --dataset_dir.", flag_values=values)
    flags.DEFINE_integer(
        "made_up_side",
        1024,
        "Longest side of made-up photos, pixels.",
        lower_bound=16,
        flag_values=values,
    )
    flags.DEFINE_string("film", "", "The film of --measure=video.", flag_values=values)
    flags.DEFINE_integer(
        "film_frames", 30, "How many of its frames, a turn.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_string(
        "weights",
        "cel",
        "What stylises it; and what is measured by --measure=engines in the place of --models with "
        "random weights, if it is given.",
        flag_values=values,
    )
    _define_engine_flags(values)
    flags.DEFINE_string(
        "json",
        "",
        "File for the figures, every turn's among them, with facts of the machine.",
        flag_values=values,
    )


def _define_engine_flags(values: flags.FlagValues) -> None:
    """Those of --measure=engines."""
    lists = {
        "models": (["animegan_v2"], f"Networks. Any of {', '.join(MODELS)}."),
        "engines": (["keras", "openvino"], f"Ours. Any of {', '.join(engines.PACKAGES)}."),
        "sizes": (
            ["256", "512", "1920x1080"],
            "SIDE or WIDTHxHEIGHT, from small to large.",
        ),
        "rounds": (["15", "9", "3"], "Turns: for each of --sizes, or one number for all."),
    }
    for name, (default, about) in lists.items():
        flags.DEFINE_list(name, default, f"--measure=engines: {about}", flag_values=values)
    flags.DEFINE_bool(
        "peers",
        False,
        "--measure=engines: compare with the peers' ways; needs PyTorch.",
        flag_values=values,
    )
    flags.DEFINE_bool(
        "compiled",
        True,
        "--measure=engines --peers: by torch.compile too, which takes minutes the first time.",
        flag_values=values,
    )
    files = {
        "read": "Figures of --measure=engines that --json wrote: measure nothing, tell them again.",
        "chart": "--measure=engines: PNG for a chart of the first network.",
        "page": "--measure=engines: Markdown page whose tables, between two marks, are replaced.",
    }
    for name, about in files.items():
        flags.DEFINE_string(name, "", about, flag_values=values)


def _size(text: str) -> tuple[int, int]:
    """Height and width of "SIDE" or "WIDTHxHEIGHT"."""
    sides = text.split("x")
    if len(sides) > 2 or not all(side.isdecimal() and int(side) >= 1 for side in sides):
        raise app.UsageError(f"--sizes takes SIDE or WIDTHxHEIGHT, in pixels; got '{text}'")
    return int(sides[-1]), int(sides[0])


def _engines(values: flags.FlagValues) -> int:
    """--measure=engines, and --read."""
    if values.read:
        document = json.loads(Path(values.read).read_text(encoding="utf-8"))
        if not isinstance(document, dict) or not {"machine", "peaks", "rows"} <= set(document):
            raise ValueError(f"{values.read}: expected figures of --measure=engines, found others")
    else:
        document = _measured_engines(values)
    text = tables.engine_tables(document)
    print(text)
    if values.json and not values.read:
        write_bytes_whole(values.json, (json.dumps(document, indent=1) + "\n").encode())
    if values.chart:
        first = document["rows"][0]["model"]
        rows = [row for row in document["rows"] if row["model"] == first]
        write_picture(values.chart, chart_u8(rows))
    if values.page:
        if values.chart:
            link = Path(os.path.relpath(values.chart, Path(values.page).parent)).as_posix()
            text = f"![Milliseconds for a picture, way by way and size by size]({link})\n\n{text}"
        page = tables.put_into(Path(values.page).read_text(encoding="utf-8"), text)
        write_bytes_whole(values.page, page.encode())
    return app.EXIT_DONE


def _measured_engines(values: flags.FlagValues) -> dict[str, Any]:
    names = _chosen(values, "engines", tuple(engines.PACKAGES))
    models = _chosen(values, "models", MODELS)
    weights = values.weights if values["weights"].present else ""
    wanted = _chosen(values, "precisions", ("float32", "mixed_bfloat16"))
    precisions = [name.removeprefix("mixed_") for name in wanted]
    sizes = [_size(text) for text in values.sizes]
    if not all(text.isdecimal() and int(text) >= 1 for text in values.rounds):
        raise app.UsageError(f"--rounds takes numbers from 1 on, got '{','.join(values.rounds)}'")
    rounds = [int(text) for text in values.rounds] * (len(sizes) if len(values.rounds) == 1 else 1)
    if not sizes or len(rounds) != len(sizes) or len(set(sizes)) != len(sizes):
        raise app.UsageError("--rounds takes one number, or one for each of different --sizes")
    facts = machine_facts()
    peaks: dict[str, float] = {}
    rows: list[dict[str, Any]] = []
    for model in [weights] if weights else models:
        ways = list(engines.possible_ways(model, names, precisions, values.peers))
        if not values.compiled:
            ways = [way for way in ways if way.engine != "pytorch compiled"]
        with tempfile.TemporaryDirectory(prefix="anime_tf_benchmark_") as folder:
            found = engines.measure_engines(Path(folder), model, weights, ways, sizes, rounds)
        for name, peak in found["peaks"].items():
            peaks[name] = max(peak, peaks.get(name, 0.0))
        rows += found["rows"]
    if not rows:
        raise ValueError("no engine of --engines can run these networks here")
    return {"machine": facts, "peaks": peaks, "rows": rows}


def _chosen(values: flags.FlagValues, name: str, choices: Sequence[str]) -> list[str]:
    """The words of a list flag; complains of unknown and of doubled ones."""
    words: list[str] = values[name].value or []
    if not words or len(set(words)) != len(words) or not set(words) <= set(choices):
        raise app.UsageError(
            f"--{name} takes different ones of {', '.join(choices)}, with commas between; got "
            f"'{','.join(words)}'"
        )
    return words


def _sources(
    values: flags.FlagValues,
    config: TrainConfig,
    streams: Sequence[str],
    fits: Sequence[str],
    made_up_dir: Path,
) -> dict[str, TrainingPictures]:
    """Fit -> pictures of the data set given, or of one made up in `made_up_dir`."""
    if values.dataset_dir:
        found = dataset_folders(values.dataset_dir, values.style, need_smooth="smooth" in streams)
        folders = dict.fromkeys(FITS, found)
    else:
        logging.info("no --dataset_dir: photos are made up")
        folders = made_up_data_set(
            made_up_dir, side=values.made_up_side, image_size=config.image_size
        )
    sources = {}
    for fit in fits:
        sources[fit] = TrainingPictures(
            folders[fit],
            image_size=config.image_size,
            batch_size=config.batch_size,
            seed=config.seed,
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
    from anime_tf.cli.train import make_repeatable

    try:
        make_repeatable()
    except RuntimeError as error:
        # Only where this is called from a process that does other things with TensorFlow.
        logging.warning("threads are left as they are: %s", error)


def _main(values: flags.FlagValues) -> int:
    measures = _chosen(values, "measure", MEASURES)
    for name in ("json", "chart", "page"):
        file = values[name].value
        if file and not Path(file).parent.is_dir():
            raise app.UsageError(f"--{name}={file}: no such folder")
    if "engines" in measures or values.read:
        if len(measures) > 1 and not values.read:
            raise app.UsageError("--measure=engines stands alone: others would disturb it")
        return _engines(values)
    precisions = _chosen(values, "precisions", PRECISIONS)
    phases = _chosen(values, "phases", tuple(PHASE_STREAMS))
    fits = _chosen(values, "fits", FITS)
    if bool(values.dataset_dir) != bool(values.style):
        raise app.UsageError("--dataset_dir and --style go together")
    if ("video" in measures) != bool(values.film):
        raise app.UsageError("--measure=video and --film go together")
    config = TrainConfig(
        model=values.model,
        image_size=values.image_size,
        batch_size=values.batch_size,
        perceptual_weights="random",  # as fast as any, and nothing to fetch
    )
    _thread_as_in_training()
    facts = machine_facts()
    contenders: list[Contender] = []
    sources: dict[str, TrainingPictures] = {}
    with tempfile.TemporaryDirectory(prefix="anime_tf_benchmark_") as made_up_dir:
        if "pipeline" in measures:
            streams = max((PHASE_STREAMS[phase] for phase in phases), key=len)
            sources = _sources(values, config, streams, fits, Path(made_up_dir) / "made_up")
        if "train_step" in measures:
            contenders += train_step_contenders(
                config, precisions, phases, steps=values.steps, warmup=values.warmup
            )
        contenders += pipeline_contenders(sources, phases, steps=values.pipeline_steps)
        if "video" in measures:
            from benchmarks.video import speed_runs

            runs = speed_runs(values.film, values.weights, values.film_frames, Path(made_up_dir))
            contenders += [Contender("video", {"what": name}, run) for name, run in runs.items()]
        logging.info("%d things to measure, in %d turns", len(contenders), values.repeats)
        take_turns(contenders, values.repeats)
    measured = figures(contenders, config.batch_size)
    peak = peak_memory_gib()

    pictures = (
        f"{values.style} of {values.dataset_dir}"
        if values.dataset_dir
        else f"{MADE_UP_PICTURES} made-up JPEG photos a stream, {values.made_up_side} pixels wide"
    )
    print(
        f"{facts['processor']}, {facts['cores_usable']} of {facts['cores']} cores, "
        f"GPUs: {', '.join(facts['gpus']) or 'none'}; TensorFlow {facts['tensorflow']}, "
        f"Keras {facts['keras']}; load average before: {facts['load_average']}"
    )
    print(
        f"{config.model}, {config.image_size}x{config.image_size}, batch {config.batch_size}; "
        f"median (lowest .. highest) of {values.repeats} turns"
        + (f"; pipeline: {pictures}" if sources else "")
    )
    for name, rows in measured.items():
        print(f"\n{table_text(name, rows)}")
    if peak is not None:
        print(f"\nMost memory held: {peak:.1f} GiB")

    if values.json:
        shown = ("steps", "warmup", "pipeline_steps", "repeats", "image_size", "batch_size")
        document = {
            "machine": facts,
            "settings": {
                "model": config.model,
                **{name: values[name].value for name in shown},
                "pictures": pictures if sources else None,
            },
            "peak_memory_gib": peak,
            **measured,
        }
        text = json.dumps(document, indent=2, default=dataclasses.asdict) + "\n"
        write_bytes_whole(values.json, text.encode())
        logging.info("figures: %s", values.json)
    broken = any(source.broken for source in sources.values())
    return app.EXIT_SOME_FAILED if broken else app.EXIT_DONE


COMMAND = app.Command(
    name="benchmark",
    summary="Measure the speed of engines, of training, of its pipeline and of films.",
    example="--image_size=256 --batch_size=4 --precisions=float32,mixed_bfloat16\n"
    "--measure=pipeline --dataset_dir=dataset --style=Hayao --json=pipeline.json\n"
    "--measure=video --film=holiday.mp4\n"
    "--measure=engines --sizes=512 --rounds=9 --chart=speed.png",
    define_flags=_define_flags,
    main=_main,
    needs_tensorflow=True,
)

if __name__ == "__main__":
    sys.exit(app.run(COMMAND))
