"""Figures as text."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from anime_tf.io.tables import format_table
from benchmarks.engines import EngineCandidate, speedups
from benchmarks.timing import Spread

BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
"""Marks in a page before and after its tables."""

KINDS = {"baseline": "baseline", "exact": "ours", "frozen": "ours, frozen statistics"}
"""Kind of a candidate -> its name in reports."""

_TITLES = {
    "video": "Videos, from file to file, and the network alone on their decoded frames",
    "train_step": "Training step",
    "pipeline": "Pipeline alone",
    "pipeline_over_train_step": "Pipeline alone over consumption of the training step",
}

_COLUMNS = {
    "phase": "phase",
    "precision": "precision",
    "fit": "fit",
    "task": "task",
    "streams": "streams",
    "seconds_per_step": "seconds per step",
    "pictures_per_second": "pictures/s per stream",
    "frames_per_second": "frames/s",
    "speedup": "speedup",
    "speedup_over": "over",
    "ratio": "ratio",
}


def format_steps(document: dict[str, Any]) -> str:
    """Format the figures of `steps.benchmark_steps`."""
    machine, settings = document["machine"], document["settings"]
    size, peak = settings["image_size"], document["peak_memory_gib"]
    pictures = f"; pipeline: {settings['pictures']}" if "pictures" in settings else ""
    parts = [
        f"{machine['processor']}, {machine['cores_usable']} of {machine['cores']} cores, "
        f"GPUs: {', '.join(machine['gpus']) or 'none'}; TensorFlow {machine['tensorflow']}, "
        f"Keras {machine['keras']}; load average before: {machine['load_average']}\n"
        f"{settings['model']}, {size}x{size}, batch {settings['batch_size']}; "
        f"median (lowest .. highest) of {settings['rounds']} rounds{pictures}"
    ]
    parts += [
        f"{title}\n{_format_rows(document[name])}"
        for name, title in _TITLES.items()
        if name in document
    ]
    if peak is not None:
        parts.append(f"Peak memory: {peak:.1f} GiB")
    return "\n\n".join(parts)


def _format_rows(rows: Sequence[dict[str, Any]]) -> str:
    columns = {key: title for key, title in _COLUMNS.items() if key in rows[0]}
    cells = [
        ["+".join(row[key]) if key == "streams" else str(row[key]) for key in columns]
        for row in rows
    ]
    return format_table(list(columns.values()), cells)


def format_engines(document: dict[str, Any]) -> str:
    """Format the figures of `engines.benchmark_engines` as Markdown."""
    machine = document["machine"]
    peaks = ", ".join(f"{peak:.0f} in {name}" for name, peak in document["peaks"].items())
    parts = [
        f"{machine['processor']}, {machine['cores_usable']} cores; peak of matrix products, "
        f"GFLOP/s: {peaks}. Load average before: {machine['load_average']:.1f}."
    ]
    for model in dict.fromkeys(row["model"] for row in document["rows"]):
        rows = [row for row in document["rows"] if row["model"] == model]
        parts += _format_network(model, rows, document["peaks"])
    return "\n\n".join(parts)


def _format_network(model: str, rows: list[dict[str, Any]], peaks: dict[str, float]) -> list[str]:
    sizes = list(dict.fromkeys((row["height"], row["width"]) for row in rows))
    rounds = [
        str(max(len(row["seconds"]) for row in rows if (row["height"], row["width"]) == size))
        for size in sizes
    ]
    header = ["engine", "precision", *(f"{width}x{height}, ms" for height, width in sizes)]
    header += ["GFLOP/s", "of peak", "GiB", "open, s", "first, s", "PSNR, dB"]
    cells = []
    for candidate in dict.fromkeys(map(EngineCandidate.from_row, rows)):
        own = {
            (row["height"], row["width"]): row
            for row in rows
            if EngineCandidate.from_row(row) == candidate
        }
        smallest, largest = next(iter(own.values())), own[max(own)]
        rate = largest["gflop"] / Spread.of(largest["seconds"]).median
        cells.append(
            [
                f"{KINDS[candidate.kind]}: {candidate.engine}",
                candidate.precision,
                *(_format_milliseconds(own.get(size)) for size in sizes),
                f"{rate:.0f}",
                f"{100 * rate / peaks[candidate.precision]:.0f} %",
                "" if largest["peak_gib"] is None else f"{largest['peak_gib']:.1f}",
                f"{largest['open_seconds']:.1f}",
                f"{smallest['first_seconds']:.1f}",
                "" if smallest["psnr"] is None else f"{smallest['psnr']:.0f}",
            ]
        )
    parts = [
        f"**{model}**, median (lowest .. highest) of {', '.join(rounds)} rounds:",
        format_table(header, cells, markdown=True),
    ]
    compared = [
        [
            f"{row['width']}x{row['height']}",
            row["precision"],
            row["baseline"],
            f"{row['ours']}, {row['kind']}",
            row["speedup"],
        ]
        for row in speedups(rows)
    ]
    if compared:
        header = ["size", "precision", "fastest baseline", "our fastest", "speedup"]
        parts.append(format_table(header, compared, markdown=True))
    return parts


def _format_milliseconds(row: dict[str, Any] | None) -> str:
    return "" if row is None else str(Spread.of([seconds * 1e3 for seconds in row["seconds"]]))


def insert_tables(page: str, tables: str) -> str:
    """Replace the tables of a page.

    Raises:
        ValueError: The page has no marks.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected a page with the lines {BEGIN} and {END}, got neither")
    return f"{before}{begin}\n\n{tables}\n\n{end}{after}"
