"""Figures of a run: all that follows from its seconds, for JSON and as tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.pipeline import PHASE_STREAMS
from benchmarks.timing import Contender, Spread


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
