"""Settings of ``python -m benchmarks``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from anime_tf.config import Config, setting
from anime_tf.datasets.pipeline import FITS
from anime_tf.training.config import MODELS, PRECISIONS
from benchmarks.engines import PACKAGES
from benchmarks.pipeline import PHASE_STREAMS

MEASURES = ("train_step", "pipeline", "video", "engines")
"""Things to measure; the first two also give the pipeline's lead over the training step."""


def parse_sizes(value: Any) -> tuple[tuple[int, int], ...]:
    """Return heights and widths from texts ``SIDE`` or ``WIDTHxHEIGHT`` with commas between.

    Raises:
        ValueError: Another text, or a size twice.
    """
    sizes = []
    for text in value.split(",") if isinstance(value, str) else value:
        sides = text.split("x")
        if len(sides) > 2 or not all(side.isdecimal() and int(side) >= 1 for side in sides):
            raise ValueError("expected SIDE or WIDTHxHEIGHT in pixels, with commas between")
        sizes.append((int(sides[-1]), int(sides[0])))
    if not sizes or len(set(sizes)) != len(sizes):
        raise ValueError("expected different sizes")
    return tuple(sizes)


def parse_rounds(value: Any) -> tuple[int, ...]:
    """Return numbers of at least 1 from a text with commas.

    Raises:
        ValueError: Another text.
    """
    words = value.split(",") if isinstance(value, str) else [str(word) for word in value]
    if not words or not all(word.isdecimal() and int(word) >= 1 for word in words):
        raise ValueError("expected integers of at least 1, with commas between")
    return tuple(int(word) for word in words)


@dataclass(frozen=True)
class BenchmarkConfig(Config):
    """Settings of the benchmark.

    Attributes:
        measure: Things to measure, with commas between.
        model: Generator to train.
        precisions: Dtype policies of the training step, compared with the first one.
        phases: Phases of training to measure.
        fits: Ways in which the pipeline brings pictures to the training size.
        image_size: Side of the training pictures in pixels.
        batch_size: Pictures per step.
        repeats: Rounds in which everything is measured once.
        warmup: Training steps before the first round.
        steps: Training steps per round.
        pipeline_steps: Batches of the pipeline per round.
        dataset_dir: Data set to read, as for training, with its smooth half; by default generated
            JPEG photos in a temporary folder.
        style: Name of the style in --dataset_dir.
        made_up_side: Longer side of generated photos in pixels.
        film: Video of --measure=video.
        film_frames: Number of its frames per round.
        weights: Weights of --measure=video; also measured by --measure=engines, instead of --models
            with random weights.
        models: --measure=engines, networks.
        engines: --measure=engines, our engines.
        sizes: --measure=engines, SIDE or WIDTHxHEIGHT, from small to large.
        rounds: --measure=engines, rounds for each of --sizes, or one number for all.
        peers: --measure=engines, compare with PyTorch and ONNX Runtime.
        compiled: --measure=engines --peers, with torch.compile, too, which takes minutes at first.
        read: Figures of --measure=engines from --json; print them again without measuring.
        chart: --measure=engines, PNG for a chart of the first network.
        page: --measure=engines, Markdown page whose tables, between two marks, are replaced.
        json: File for all figures and facts about the machine.
    """

    measure: tuple[str, ...] = setting(("train_step", "pipeline"), choices=MEASURES)
    model: str = setting("animegan_v2", choices=MODELS)
    precisions: tuple[str, ...] = setting(("float32", "mixed_bfloat16"), choices=PRECISIONS)
    phases: tuple[str, ...] = setting(tuple(PHASE_STREAMS), choices=tuple(PHASE_STREAMS))
    fits: tuple[str, ...] = setting(tuple(FITS), choices=tuple(FITS))
    image_size: int = setting(256, minimum=32)
    batch_size: int = setting(4, minimum=1)
    repeats: int = setting(5, minimum=1)
    warmup: int = setting(2, minimum=1)
    steps: int = setting(1, minimum=1)
    pipeline_steps: int = setting(25, minimum=1)
    dataset_dir: str | None = setting(None)
    style: str | None = setting(None)
    made_up_side: int = setting(1024, minimum=16)
    film: str | None = setting(None)
    film_frames: int = setting(30, minimum=1)
    weights: str | None = setting(None)
    models: tuple[str, ...] = setting(("animegan_v2",), choices=MODELS)
    engines: tuple[str, ...] = setting(("keras", "openvino"), choices=tuple(PACKAGES))
    sizes: tuple[tuple[int, int], ...] = setting(("256", "512", "1920x1080"), convert=parse_sizes)
    rounds: tuple[int, ...] = setting((15, 9, 3), convert=parse_rounds)
    peers: bool = setting(False)
    compiled: bool = setting(True)
    read: str | None = setting(None)
    chart: str | None = setting(None)
    page: str | None = setting(None)
    json: str | None = setting(None)
