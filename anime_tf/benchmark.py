"""The verb ``benchmark``: measured speed of training, of the pipeline that feeds it, and of films.

Everything that is compared is measured in one run and in turns (A B A B ...): what else the machine
does then slows all of them alike. Figures are medians over the turns, ratios are medians of the
ratios within each turn.
"""

from __future__ import annotations

import dataclasses
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from absl import flags, logging
from tqdm import tqdm

from anime_tf import cli
from anime_tf.data.edge_smooth import smooth_folder
from anime_tf.data.folders import DatasetFolders, dataset_folders, find_pictures
from anime_tf.data.pictures import resize, write_bytes_whole, write_picture
from anime_tf.data.pipeline import FITS, TrainingPictures
from anime_tf.training.config import MODELS, PRECISIONS, TrainConfig

MEASURES = ("train_step", "pipeline", "video")
"""What can be measured; the first two give how far the pipeline is ahead of the training step."""

PHASE_STREAMS = {"init": ("photo",), "gan": ("photo", "anime", "smooth")}
"""Phase of training -> the streams of the pipeline that each of its steps consumes."""

MADE_UP_PICTURES = 16
"""Photos, and as many pictures of a style, that are made up where no data set is given."""


@dataclasses.dataclass(frozen=True)
class Spread:
    """Median and extremes of the turns."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        return cls(statistics.median(values), min(values), max(values))

    def __str__(self) -> str:
        median, low, high = (
            f"{value:.0f}" if value >= 100 else f"{value:.3g}"
            for value in (self.median, self.low, self.high)
        )
        return f"{median} ({low} .. {high})"


@dataclasses.dataclass
class Contender:
    """Something that is timed in turns with others.

    Attributes:
        measure: One of `MEASURES`.
        labels: What tells it from the others: phase, and precision or fit.
        run: Does the work of a turn, given its number, and returns seconds a step. Turn 0 warms up.
        seconds: Seconds a step, turn by turn; `take_turns` fills it.
    """

    measure: str
    labels: dict[str, str]
    run: Callable[[int], float]
    seconds: list[float] = dataclasses.field(default_factory=list)

    def ratio_to(self, other: Contender) -> Spread:
        """Seconds of `other` over seconds of this one, turn by turn: above 1, this is faster."""
        pairs = zip(other.seconds, self.seconds, strict=True)
        return Spread.of([theirs / own for theirs, own in pairs])


def take_turns(contenders: Sequence[Contender], repeats: int) -> None:
    """Warms all contenders up, then times them one after the other, `repeats` times over.

    Args:
        contenders: In the order of a turn; their `seconds` are filled.
        repeats: Turns, at least 1.
    """
    runs = len(contenders) * (repeats + 1)
    with tqdm(total=runs, unit="run", disable=not sys.stderr.isatty()) as bar:
        for turn in range(repeats + 1):
            for contender in contenders:
                bar.set_postfix_str(" ".join([contender.measure, *contender.labels.values()]))
                seconds = contender.run(turn)
                if turn:
                    contender.seconds.append(seconds)
                bar.update()
            if bar.disable:
                logging.info(
                    "turn %d of %d done" if turn else "warm-up done, %d of %d turns", turn, repeats
                )


def train_step_contenders(
    config: TrainConfig,
    precisions: Sequence[str],
    phases: Sequence[str],
    *,
    steps: int,
    warmup: int,
) -> list[Contender]:
    """The step of each phase of training, at every precision, on one made-up batch.

    A step is timed as the training loop goes through it: from a uint8 batch of the pipeline to the
    losses on the host and the variables updated. All trainers live at once.

    Args:
        config: Settings of training; its precision is not looked at.
        precisions: Dtype policies.
        phases: Keys of `PHASE_STREAMS`.
        steps: Training steps a turn.
        warmup: Training steps before the first turn; the first of them compiles.

    Returns:
        Phase by phase, each with the precisions in the order given.
    """
    import tensorflow as tf

    from anime_tf.training.objective import network_inputs
    from anime_tf.training.trainer import Trainer

    trainers = {name: Trainer(config.replace(precision=name)) for name in precisions}
    size_hw = (config.image_size, config.image_size)
    random = np.random.default_rng(config.seed)
    batch = {
        stream: tf.constant(
            np.stack([made_up_photo(random, size_hw) for _ in range(config.batch_size)])
        )
        for stream in PHASE_STREAMS["gan"]
    }

    def runner(phase: str, trainer: Trainer) -> Callable[[int], float]:
        pictures_u8 = {stream: batch[stream] for stream in PHASE_STREAMS[phase]}
        train = trainer.init_step if phase == "init" else trainer.gan_step

        def run(turn: int) -> float:
            count = steps if turn else warmup
            begun_at = time.perf_counter()
            for _ in range(count):
                losses = {key: float(x) for key, x in train(network_inputs(pictures_u8)).items()}
                # On a GPU the losses arrive before the variables are updated.
                tf.test.experimental.sync_devices()
            seconds = (time.perf_counter() - begun_at) / count
            wrong = [f"{key} is {loss}" for key, loss in losses.items() if not np.isfinite(loss)]
            if wrong:
                logging.warning(
                    "%s, %s: %s; time is what it was all the same",
                    phase,
                    trainer.config.precision,
                    ", ".join(wrong),
                )
            return seconds

        return run

    return [
        Contender("train_step", {"phase": phase, "precision": name}, runner(phase, trainer))
        for phase in phases
        for name, trainer in trainers.items()
    ]


def pipeline_contenders(
    sources: dict[str, TrainingPictures], phases: Sequence[str], *, steps: int
) -> list[Contender]:
    """The pipeline alone, with the streams of each phase: batches are read and thrown away.

    The time to start it counts, and every turn reads other steps. Files that were read before come
    from the system's cache: this is the speed of decoding, not that of the disk.

    Args:
        sources: Fit -> pictures.
        phases: Keys of `PHASE_STREAMS`.
        steps: Batches a turn.

    Returns:
        Phase by phase, each with the fits in the order given.
    """
    import tensorflow as tf

    def runner(source: TrainingPictures, streams: Sequence[str]) -> Callable[[int], float]:
        def run(turn: int) -> float:
            dataset = source.batches(turn * steps, steps, streams)
            begun_at = time.perf_counter()
            try:
                for _ in dataset:
                    pass
            except tf.errors.OpError as error:
                raise ValueError(f"the pipeline failed: {error.message}") from error
            return (time.perf_counter() - begun_at) / steps

        return run

    return [
        Contender("pipeline", {"phase": phase, "fit": fit}, runner(source, PHASE_STREAMS[phase]))
        for phase in phases
        for fit, source in sources.items()
    ]


def made_up_photo(random: np.random.Generator, size_hw: tuple[int, int]) -> np.ndarray:
    """Noise of all sizes, each as strong as it is large: a picture that compresses like a photo.

    Args:
        random: Where the noise comes from.
        size_hw: Height and width, pixels.

    Returns:
        (height, width, 3) uint8.
    """
    height, width = size_hw
    sums = np.zeros((height, width, 3), np.float32)
    scale = 1
    while scale <= max(size_hw):
        coarse = random.standard_normal((-(-height // scale) + 1, -(-width // scale) + 1, 3))
        # 8 bits are enough: what is rounded away here is below what JPEG keeps.
        levels = np.clip(128 + 40 * coarse, 0, 255).astype(np.uint8)
        sums += scale**0.5 * (resize(levels, size_hw).astype(np.float32) - 128)
        scale *= 2
    return np.clip(128 + sums * (50 / sums.std()), 0, 255).astype(np.uint8)


def made_up_data_set(
    folder: Path, *, side: int, image_size: int, count: int = MADE_UP_PICTURES
) -> dict[str, DatasetFolders]:
    """Writes JPEG photos, pictures of a style, and their smooth halves as training makes them.

    Args:
        folder: Where they go.
        side: Longest side of the pictures, pixels; they are 4 to 3.
        image_size: Training size.
        count: Photos, and pictures of the style.

    Returns:
        Fit -> pictures; the fits share all but the smooth half, which has the training size for
        "resize" and full size for "crop".
    """
    random = np.random.default_rng(0)
    for name in ("train_photo", "style"):
        (folder / name).mkdir(parents=True)
        for i in range(count):
            photo = made_up_photo(random, (max(1, side * 3 // 4), side))
            write_picture(folder / name / f"{i:03d}.jpg", photo)
    photos, styles = (find_pictures(folder / name) for name in ("train_photo", "style"))
    sets = {}
    for fit, size_hw in {"resize": (image_size, image_size), "crop": None}.items():
        smooth_folder(folder / "style", folder / f"smooth_{fit}", size_hw)
        smooths = find_pictures(folder / f"smooth_{fit}")
        sets[fit] = DatasetFolders(tuple(photos), tuple(styles), tuple(smooths), (), None)
    return sets


def machine_facts() -> dict[str, Any]:
    """What the figures hang on: processor, cores, GPUs, threads, versions, load.

    `inter_op_threads` are the operations that TensorFlow runs side by side, 0 for its own choice.
    """
    import cv2
    import keras
    import tensorflow as tf

    name, features = _processor()
    usable = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {
        "processor": name,
        "processor_features": features,
        "cores": os.cpu_count(),
        "cores_usable": usable,
        "gpus": [
            tf.config.experimental.get_device_details(device).get("device_name", device.name)
            for device in tf.config.list_physical_devices("GPU")
        ],
        "inter_op_threads": tf.config.threading.get_inter_op_parallelism_threads(),
        "load_average": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "tensorflow": tf.__version__,
        "keras": keras.__version__,
        "numpy": np.__version__,
        "opencv": cv2.__version__,
    }


def _processor() -> tuple[str, list[str]]:
    """Name of the processor, and those of its features that decide how fast bfloat16 is."""
    name, found = platform.processor() or platform.machine(), set()
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    for line in lines:
        key, _, value = line.partition(":")
        if key.strip() == "model name":
            name = value.strip()
        elif key.strip() in ("flags", "Features"):
            found = set(value.split())
    if sys.platform == "darwin":
        command = ["sysctl", "-n", "machdep.cpu.brand_string"]
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
        name = answer.stdout.strip() or name
    wanted = ("avx2", "avx512f", "avx512_bf16", "amx_bf16", "bf16")
    return name, [feature for feature in wanted if feature in found]


def _peak_memory_gib() -> float | None:
    """The most memory that this process has held so far; None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2 ** (30 if sys.platform == "darwin" else 20)


def figures(contenders: Sequence[Contender], batch_size: int) -> dict[str, list[dict[str, Any]]]:
    """All that follows from the seconds, for JSON and for the table.

    Args:
        contenders: After `take_turns`.
        batch_size: Pictures of a stream in a step.

    Returns:
        Name of a table -> its rows: `train_step`, with each precision's `speed` against the first
        one; `pipeline`; and `pipeline_over_train_step`, where both were measured: how many times
        what a training step consumes the pipeline alone delivers.
    """
    tables: dict[str, list[dict[str, Any]]] = {}
    for contender in contenders:
        if contender.measure == "video":
            row = {
                **contender.labels,
                "seconds": contender.seconds,
                "seconds_a_step": Spread.of(contender.seconds),
                "frames_a_second": Spread.of([1 / seconds for seconds in contender.seconds]),
                "speed": contender.ratio_to(next(_others(contenders, "video"))),
            }
            tables.setdefault("video", []).append(row)
            continue
        phase = contender.labels["phase"]
        streams = PHASE_STREAMS[phase]
        rates = Spread.of([batch_size / seconds for seconds in contender.seconds])
        row = {
            **contender.labels,
            "streams": list(streams),
            "seconds": contender.seconds,
            "seconds_a_step": Spread.of(contender.seconds),
            "pictures_a_second_a_stream": rates,
        }
        if contender.measure == "train_step":
            first = next(_others(contenders, "train_step", phase))
            row["speed"] = contender.ratio_to(first)
            row["speed_against"] = first.labels["precision"]
        tables.setdefault(contender.measure, []).append(row)
    for contender in _others(contenders, "pipeline"):
        for step in _others(contenders, "train_step", contender.labels["phase"]):
            ratio = {**step.labels, **contender.labels, "ratio": contender.ratio_to(step)}
            tables.setdefault("pipeline_over_train_step", []).append(ratio)
    return tables


def _others(
    contenders: Sequence[Contender], measure: str, phase: str | None = None
) -> Iterator[Contender]:
    for contender in contenders:
        if contender.measure == measure and phase in (None, contender.labels.get("phase")):
            yield contender


_TITLES = {
    "video": "Films, from file to file, against the network alone on their decoded frames",
    "train_step": "Training step",
    "pipeline": "Pipeline alone",
    "pipeline_over_train_step": "Pipeline alone over what the training step consumes",
}

_COLUMNS = {
    "phase": "phase",
    "precision": "precision",
    "fit": "fit",
    "what": "what",
    "streams": "streams",
    "seconds_a_step": "seconds a step",
    "pictures_a_second_a_stream": "pictures/s a stream",
    "frames_a_second": "frames/s",
    "speed": "speed",
    "speed_against": "against",
    "ratio": "times",
}


def table_text(name: str, rows: Sequence[dict[str, Any]]) -> str:
    """A table as text: a title, a line of headings, a line a row; columns stand in line."""
    columns = [column for column in _COLUMNS if column in rows[0]]
    cells = [[_COLUMNS[column] for column in columns]]
    for row in rows:
        values = [row[column] for column in columns]
        cells.append(["+".join(x) if isinstance(x, list) else str(x) for x in values])
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([_TITLES[name], *(f"  {line}" for line in lines)])


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
    flags.DEFINE_string("weights", "cel", "What stylises it.", flag_values=values)
    flags.DEFINE_string(
        "json",
        "",
        "File for the figures, every turn's among them, with facts of the machine.",
        flag_values=values,
    )


def _chosen(values: flags.FlagValues, name: str, choices: Sequence[str]) -> list[str]:
    """The words of a list flag; complains of unknown and of doubled ones."""
    words: list[str] = values[name].value or []
    if not words or len(set(words)) != len(words) or not set(words) <= set(choices):
        raise cli.UsageError(
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
    from anime_tf.train import make_repeatable

    try:
        make_repeatable()
    except RuntimeError as error:
        # Only where this is called from a process that does other things with TensorFlow.
        logging.warning("threads are left as they are: %s", error)


def _main(values: flags.FlagValues) -> int:
    measures = _chosen(values, "measure", MEASURES)
    precisions = _chosen(values, "precisions", PRECISIONS)
    phases = _chosen(values, "phases", tuple(PHASE_STREAMS))
    fits = _chosen(values, "fits", FITS)
    if bool(values.dataset_dir) != bool(values.style):
        raise cli.UsageError("--dataset_dir and --style go together")
    if ("video" in measures) != bool(values.film):
        raise cli.UsageError("--measure=video and --film go together")
    if values.json and not Path(values.json).parent.is_dir():
        raise cli.UsageError(f"--json={values.json}: no such folder")
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
            from anime_tf.video.speed import speed_runs

            runs = speed_runs(values.film, values.weights, values.film_frames, Path(made_up_dir))
            contenders += [Contender("video", {"what": name}, run) for name, run in runs.items()]
        logging.info("%d things to measure, in %d turns", len(contenders), values.repeats)
        take_turns(contenders, values.repeats)
    tables = figures(contenders, config.batch_size)
    peak = _peak_memory_gib()

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
    for name, rows in tables.items():
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
            **tables,
        }
        text = json.dumps(document, indent=2, default=dataclasses.asdict) + "\n"
        write_bytes_whole(values.json, text.encode())
        logging.info("figures: %s", values.json)
    broken = any(source.broken for source in sources.values())
    return cli.EXIT_SOME_FAILED if broken else cli.EXIT_DONE


COMMAND = cli.Command(
    name="benchmark",
    summary="Measure the speed of a training step, and of the pipeline that feeds it.",
    example="--image_size=256 --batch_size=4 --precisions=float32,mixed_bfloat16\n"
    "--measure=pipeline --dataset_dir=dataset --style=Hayao --json=pipeline.json\n"
    "--measure=video --film=holiday.mp4",
    define_flags=_define_flags,
    main=_main,
    needs_tensorflow=True,
)

if __name__ == "__main__":
    sys.exit(cli.run(COMMAND))
