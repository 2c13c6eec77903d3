"""Chart of the figures of engines: a row for each candidate, a column for each size."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

from anime_tf.errors import import_optional
from benchmarks.engines import EngineCandidate
from benchmarks.report import KINDS
from benchmarks.timing import Spread

COLORS = {"baseline": "#969696", "exact": "#2e6eb4", "frozen": "#e27828"}
"""Kind of a candidate -> color of its bars."""


def draw_chart(rows: Sequence[dict[str, Any]]) -> bytes:
    """Draw the median milliseconds of one network as bars.

    Args:
        rows: Rows of one network, see `engines.measure_network`.

    Returns:
        A PNG file.

    Raises:
        ValueError: Matplotlib is not installed.
    """
    figure_module = import_optional("matplotlib.figure", "a chart needs Matplotlib", "matplotlib")
    from matplotlib import patches

    sizes = list(dict.fromkeys((row["height"], row["width"]) for row in rows))
    times = {
        (EngineCandidate.from_row(row), (row["height"], row["width"])): 1e3
        * Spread.of(row["seconds"]).median
        for row in rows
    }
    # By precision, then from slow to fast at the middle size.
    middle = sizes[len(sizes) // 2]
    candidates = sorted(
        dict.fromkeys(map(EngineCandidate.from_row, rows)),
        key=lambda c: (c.precision != "float32", -times.get((c, middle), 0.0)),
    )
    labels = [f"{candidate.engine}, {candidate.precision}" for candidate in candidates]
    figure = figure_module.Figure(
        figsize=(3 + 2.5 * len(sizes), 1.2 + 0.28 * len(candidates)), dpi=200, layout="constrained"
    )
    columns = figure.subplots(1, len(sizes), sharey=True, squeeze=False)[0]
    for axes, size_hw in zip(columns, sizes, strict=True):
        shown = [(i, c) for i, c in enumerate(candidates) if (c, size_hw) in times]
        bars = axes.barh(
            [i for i, _ in shown],
            [times[c, size_hw] for _, c in shown],
            color=[COLORS[c.kind] for _, c in shown],
        )
        axes.bar_label(bars, fmt="%.0f", padding=3, fontsize=8)
        axes.set_title(f"{size_hw[1]} x {size_hw[0]}, ms", fontsize=10)
        axes.set_yticks(range(len(candidates)), labels, fontsize=8)
        axes.set_xticks([])
        axes.margins(x=0.2)
        axes.spines[["top", "right", "bottom"]].set_visible(False)
    columns[0].invert_yaxis()
    figure.legend(
        handles=[
            patches.Patch(color=COLORS[kind], label=name)
            for kind, name in KINDS.items()
            if any(c.kind == kind for c in candidates)
        ],
        loc="outside upper left",
        ncols=len(KINDS),
        frameon=False,
    )
    file = io.BytesIO()
    figure.savefig(file, format="png")
    return file.getvalue()
