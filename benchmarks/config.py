"""Settings of ``python -m benchmarks``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from anime_tf.config import Config, setting
from anime_tf.datasets.pipeline import FITS
from anime_tf.inference.config import ENGINES
from anime_tf.training.config import MODELS, PRECISIONS
from benchmarks.pipeline import PHASE_STREAMS

MEASURES = ("train_step", "pipeline", "video", "engines")
"""Things to measure."""

DEFAULT_ROUNDS = 5
ENGINE_ROUNDS = (15, 9, 3)
"""Rounds of the default sizes of --measure=engines."""


def _split(value: Any) -> list[Any]:
    return value.split(",") if isinstance(value, str) else list(value)


def parse_sizes(value: Any) -> tuple[tuple[int, int], ...]:
    """Return (height, width) pairs of a text such as ``512,1920x1080``; pairs are returned as is.

    Raises:
        ValueError: Another text, or the same size twice.
    """
    sizes = []
    for size in _split(value):
        if isinstance(size, str):
            sides = size.split("x")
            if len(sides) > 2 or not all(side.isdecimal() and int(side) >= 1 for side in sides):
                raise ValueError("expected SIDE or WIDTHxHEIGHT in pixels, with commas between")
            size = int(sides[-1]), int(sides[0])
        sizes.append(size)
    if not sizes or len(set(sizes)) != len(sizes):
        raise ValueError("expected different sizes")
    return tuple(sizes)


def parse_rounds(value: Any) -> tuple[int, ...]:
    """Return integers of at least 1 from a text with commas.

    Raises:
        ValueError: Another text.
    """
    words = [str(word) for word in _split(value)]
    if not words or not all(word.isdecimal() and int(word) >= 1 for word in words):
        raise ValueError("expected integers of at least 1, with commas between")
    return tuple(map(int, words))


def _optional(parse: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else parse(value)


@dataclass(frozen=True)
class BenchmarkConfig(Config):
    """Settings of the benchmark.

    Attributes:
        measure: Things to measure, with commas between; engines stands alone.
        rounds: Rounds in which everything is measured once, 5 by default. --measure=engines takes
            one number for each of --sizes, 15,9,3 by default, or one for all.
        json: File for all figures and facts about the machine; rewritten after each figure.
        model: train_step, generator to train.
        precisions: train_step and engines, dtype policies; the first is the baseline.
        phases: train_step and pipeline, phases of training.
        fits: pipeline, ways to fit pictures to the training size.
        image_size: train_step and pipeline, side of the training pictures in pixels.
        batch_size: train_step and pipeline, pictures per step.
        warmup: train_step, steps before the first round.
        steps: train_step, steps per round.
        pipeline_steps: pipeline, batches per round.
        dataset_dir: pipeline, data set as for training, with its smooth half; by default generated
            JPEG photos in a temporary folder.
        style: pipeline, name of the style in --dataset_dir.
        photo_side: pipeline, longer side of generated photos in pixels.
        video: video, the video file.
        video_frames: video, number of its frames per round.
        weights: video and engines, weights; engines takes --models with random weights by default.
        models: engines, networks.
        engines: engines, our engines.
        sizes: engines, SIDE or WIDTHxHEIGHT in pixels, from small to large.
        baselines: engines, compare with PyTorch and with its ONNX export.
        compiled: engines, include torch.compile in the baselines; takes minutes at first.
        read: engines, figures of an earlier --json; print them again without measuring.
        chart: engines, PNG file for a chart of the first network.
        page: engines, Markdown page whose tables, between two marks, are replaced.
    """

    measure: tuple[str, ...] = setting(("train_step", "pipeline"), choices=MEASURES)
    rounds: tuple[int, ...] | None = setting(None, convert=_optional(parse_rounds))
    json: str | None = setting(None)
    model: str = setting("animegan_v2", choices=MODELS)
    precisions: tuple[str, ...] = setting(("float32", "mixed_bfloat16"), choices=PRECISIONS)
    phases: tuple[str, ...] = setting(tuple(PHASE_STREAMS), choices=tuple(PHASE_STREAMS))
    fits: tuple[str, ...] = setting(tuple(FITS), choices=tuple(FITS))
    image_size: int = setting(256, minimum=32)
    batch_size: int = setting(4, minimum=1)
    warmup: int = setting(2, minimum=1)
    steps: int = setting(1, minimum=1)
    pipeline_steps: int = setting(25, minimum=1)
    dataset_dir: str | None = setting(None)
    style: str | None = setting(None)
    photo_side: int = setting(1024, minimum=16)
    video: str | None = setting(None)
    video_frames: int = setting(30, minimum=1)
    weights: str | None = setting(None)
    models: tuple[str, ...] = setting(("animegan_v2",), choices=MODELS)
    engines: tuple[str, ...] = setting(("keras", "openvino"), choices=ENGINES)
    sizes: tuple[tuple[int, int], ...] = setting(("256", "512", "1920x1080"), convert=parse_sizes)
    baselines: bool = setting(False)
    compiled: bool = setting(True)
    read: str | None = setting(None)
    chart: str | None = setting(None)
    page: str | None = setting(None)

    def __post_init__(self) -> None:
        super().__post_init__()
        if "engines" in self.measure and len(self.measure) > 1:
            raise ValueError("expected --measure=engines alone: other measures would disturb it")
        if bool(self.dataset_dir) != bool(self.style):
            raise ValueError("expected --dataset_dir and --style together")
        if ("video" in self.measure) != bool(self.video):
            raise ValueError("expected --measure=video and --video together")
        for name in ("json", "chart", "page"):
            file = getattr(self, name)
            if file and not Path(file).parent.is_dir():
                raise ValueError(f"--{name}={file}: no such folder")
        self.rounds_of(len(self.sizes) if "engines" in self.measure else 1)

    def rounds_of(self, count: int) -> tuple[int, ...]:
        """Return the rounds of each of several measurements.

        Raises:
            ValueError: --rounds has another length.
        """
        rounds = self.rounds
        if rounds is None:
            is_default = "engines" in self.measure and count == len(ENGINE_ROUNDS)
            rounds = ENGINE_ROUNDS if is_default else (DEFAULT_ROUNDS,)
        if len(rounds) not in (1, count):
            raise ValueError(f"--rounds: expected one number, or {count}, got {len(rounds)}")
        return rounds * count if len(rounds) == 1 else rounds
