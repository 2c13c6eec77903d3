"""Benchmark of the training step, its pipeline and videos."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from absl import logging

from anime_tf.datasets.pipeline import FITS, TrainingPictures
from anime_tf.io.folders import dataset_folders
from anime_tf.training.config import TrainConfig
from benchmarks.config import BenchmarkConfig
from benchmarks.machine import machine_facts, peak_memory_gib
from benchmarks.pipeline import (
    GENERATED_PICTURES,
    PHASE_STREAMS,
    generate_dataset,
    pipeline_candidates,
)
from benchmarks.timing import Candidate, Spread, interleave
from benchmarks.training import train_step_candidates

_SETTINGS = ("model", "image_size", "batch_size", "steps", "warmup", "pipeline_steps", "rounds")


def benchmark_steps(
    config: BenchmarkConfig, save: Callable[[dict[str, Any]], None]
) -> tuple[dict[str, Any], bool]:
    """Measure the training step, its pipeline and videos.

    Args:
        config: Settings.
        save: Called with the document after each figure.

    Returns:
        The document, for JSON, and whether a picture of the data set could not be read. The
        document has `machine`, `settings`, `peak_memory_gib` and the tables of `make_tables`.
    """
    train_config = TrainConfig(
        model=config.model,
        image_size=config.image_size,
        batch_size=config.batch_size,
        perceptual_weights="random",  # as fast as any, without a download
    )
    facts = machine_facts()
    settings = {name: getattr(config, name) for name in _SETTINGS}
    candidates: list[Candidate] = []
    sources: dict[str, TrainingPictures] = {}

    def make_document() -> dict[str, Any]:
        return {
            "machine": facts,
            "settings": settings,
            "peak_memory_gib": peak_memory_gib(),
            **make_tables(candidates, config.batch_size),
        }

    with tempfile.TemporaryDirectory(prefix="anime_tf_benchmark_") as name:
        folder = Path(name)
        if "pipeline" in config.measure:
            settings["pictures"] = (
                f"{config.style} of {config.dataset_dir}"
                if config.dataset_dir
                else f"{GENERATED_PICTURES} generated JPEG photos per stream, "
                f"{config.photo_side} pixels wide"
            )
            sources = _open_sources(config, train_config, folder / "generated")
        if "train_step" in config.measure:
            candidates += train_step_candidates(
                train_config,
                config.precisions,
                config.phases,
                steps=config.steps,
                warmup=config.warmup,
            )
        candidates += pipeline_candidates(sources, config.phases, steps=config.pipeline_steps)
        if "video" in config.measure:
            from benchmarks.video import video_candidates

            weights = config.weights or "cel"
            candidates += video_candidates(config.video or "", weights, config.video_frames, folder)
        interleave(candidates, config.rounds_of(1)[0], lambda: save(make_document()))
    return make_document(), any(source.broken for source in sources.values())


def make_tables(
    candidates: Sequence[Candidate], batch_size: int
) -> dict[str, list[dict[str, Any]]]:
    """Compute the figures of candidates that have been timed at least once.

    Args:
        candidates: Candidates of `interleave`.
        batch_size: Pictures of a stream per step.

    Returns:
        Name of a table -> its rows. `train_step` has each precision's `speedup` over the first
        one, `video` the speedup over the network alone. `pipeline_over_train_step` has the ratio
        between what the pipeline alone delivers and what a training step consumes.
    """
    timed = [candidate for candidate in candidates if candidate.seconds]
    tables: dict[str, list[dict[str, Any]]] = {}
    for candidate in timed:
        phase = candidate.labels.get("phase")
        first = next(_select(timed, candidate.measure, phase))
        row: dict[str, Any] = dict(candidate.labels)
        if phase:
            row["streams"] = list(PHASE_STREAMS[phase])
        row["seconds"] = candidate.seconds
        row["seconds_per_step"] = Spread.of(candidate.seconds)
        if phase:
            rates = [batch_size / seconds for seconds in candidate.seconds]
            row["pictures_per_second"] = Spread.of(rates)
        else:
            row["frames_per_second"] = Spread.of([1 / seconds for seconds in candidate.seconds])
        if candidate.measure != "pipeline":
            row["speedup"] = Spread.of_ratios(first.seconds, candidate.seconds)
        if candidate.measure == "train_step":
            row["speedup_over"] = first.labels["precision"]
        tables.setdefault(candidate.measure, []).append(row)
    for pipeline in _select(timed, "pipeline"):
        for step in _select(timed, "train_step", pipeline.labels["phase"]):
            ratio = Spread.of_ratios(step.seconds, pipeline.seconds)
            row = {**step.labels, **pipeline.labels, "ratio": ratio}
            tables.setdefault("pipeline_over_train_step", []).append(row)
    return tables


def _select(
    candidates: Sequence[Candidate], measure: str, phase: str | None = None
) -> Iterator[Candidate]:
    for candidate in candidates:
        if candidate.measure == measure and phase in (None, candidate.labels.get("phase")):
            yield candidate


def _open_sources(
    config: BenchmarkConfig, train_config: TrainConfig, generated_dir: Path
) -> dict[str, TrainingPictures]:
    """Fit -> pictures of the given data set, or of a generated one."""
    streams = max((PHASE_STREAMS[phase] for phase in config.phases), key=len)
    if config.dataset_dir:
        needs_smooth = "smooth" in streams
        given = dataset_folders(config.dataset_dir, config.style or "", need_smooth=needs_smooth)
        folders = dict.fromkeys(FITS, given)
    else:
        logging.info("no --dataset_dir: generating photos")
        folders = generate_dataset(
            generated_dir, side=config.photo_side, image_size=config.image_size
        )
    sources = {}
    for fit in config.fits:
        sources[fit] = TrainingPictures(
            folders[fit],
            image_size=config.image_size,
            batch_size=config.batch_size,
            seed=train_config.seed,
            fit=fit,
        )
        try:
            # Before anything is measured: a smooth half may suit only one of the fits.
            sources[fit].read_slot(0, streams)
        except ValueError as error:
            raise ValueError(f"{error}; or leave {fit} out of --fits") from error
    return sources
