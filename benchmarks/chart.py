"""A chart of `benchmark.engines`' figures: a row for each way, a column for each size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np

from benchmarks.timing import Spread

COLOURS = {"peer": (150, 150, 150), "exact": (46, 110, 180), "held": (226, 120, 40)}
"""Kind of a way -> RGB."""

KINDS = {"peer": "peers", "exact": "ours", "held": "ours, held statistics"}
"""Kind of a way -> how it is named."""

ROW, LABEL, COLUMN, TOP = 30, 330, 260, 74
"""Height of a row, width of the names and of a column, height of the head; pixels."""


def chart_u8(rows: Sequence[dict[str, Any]], scale: int = 2) -> np.ndarray:
    """Bars as long as the median milliseconds of a picture, one network's.

    Args:
        rows: Of `engines.measure_engines`, of one network.
        scale: Pixels for each unit of length.

    Returns:
        (height, width, 3) uint8 RGB.
    """
    sizes = list(dict.fromkeys((row["height"], row["width"]) for row in rows))
    times = {
        (way_of(row), (row["height"], row["width"])): Spread.of(row["seconds"]).median * 1e3
        for row in rows
    }
    # By the size in the middle, the slowest first; precisions apart.
    middle = sizes[len(sizes) // 2]
    ways = sorted(
        dict.fromkeys(map(way_of, rows)),
        key=lambda way: (way[2] != "float32", -times.get((way, middle), 0.0)),
    )
    gap = sum(way[2] != before[2] for way, before in zip(ways[1:], ways, strict=False)) * ROW // 2
    height = TOP + ROW * len(ways) + gap + 20
    width = LABEL + COLUMN * len(sizes) + 20
    canvas = np.full((height * scale, width * scale, 3), 255, np.uint8)

    def text(words: str, x: float, y: float, size: float = 0.5, grey: int = 40) -> None:
        place = round(x * scale), round(y * scale)
        font, line = cv2.FONT_HERSHEY_SIMPLEX, max(scale // 2, 1)
        cv2.putText(canvas, words, place, font, size * scale, (grey,) * 3, line, cv2.LINE_AA)

    def bar(x: float, y: float, w: float, h: float, colour: tuple[int, int, int]) -> None:
        corners = [round(v * scale) for v in (x, y, x + w, y + h)]
        cv2.rectangle(canvas, tuple(corners[:2]), tuple(corners[2:]), colour, -1)

    x = 16.0
    for kind, name in KINDS.items():
        if any(way[0] == kind for way in ways):
            bar(x, 12, 14, 14, COLOURS[kind])
            text(name, x + 20, 24)
            x += 48 + 9 * len(name)
    for column, size_hw in enumerate(sizes):
        text(f"{size_hw[1]} x {size_hw[0]}, ms", LABEL + column * COLUMN, TOP - 14, 0.55, 0)
    longest = {
        size: max(ms for (_, its_size), ms in times.items() if its_size == size) for size in sizes
    }
    y = float(TOP)
    for i, way in enumerate(ways):
        y += ROW / 2 if i and ways[i - 1][2] != way[2] else 0
        text(f"{way[1]}, {way[2]}", 16, y + 17)
        for column, size_hw in enumerate(sizes):
            if (way, size_hw) in times:
                ms = times[way, size_hw]
                left = LABEL + column * COLUMN
                length = max((COLUMN - 84) * ms / longest[size_hw], 2)
                bar(left, y + 3, length, ROW - 9, COLOURS[way[0]])
                text(f"{ms:.0f}", left + length + 6, y + 17)
        y += ROW
    return canvas


def way_of(row: dict[str, Any]) -> tuple[str, str, str]:
    """Kind, engine and precision of a row."""
    return row["kind"], row["engine"], row["precision"]
