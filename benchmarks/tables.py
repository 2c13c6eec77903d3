"""Tables of `benchmark.engines`' figures in Markdown, which reads well as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from benchmarks.chart import KINDS, way_of
from benchmarks.engines import verdicts
from benchmarks.timing import Spread

BEGIN, END = "<!-- benchmark: begin -->", "<!-- benchmark: end -->"
"""What a page has before and after the tables that are put into it."""


def engine_tables(document: dict[str, Any]) -> str:
    """All tables of a run, network by network.

    Args:
        document: What `--json` holds of ``--measure=engines``.
    """
    machine, parts = document["machine"], []
    peaks = ", ".join(f"{peak:.0f} in {name}" for name, peak in document["peaks"].items())
    parts.append(
        f"{machine['processor']}, {machine['cores_usable']} cores; matrix products at most, "
        f"GFLOP/s: {peaks}. Load average before: {machine['load_average']:.1f}."
    )
    for model in dict.fromkeys(row["model"] for row in document["rows"]):
        rows = [row for row in document["rows"] if row["model"] == model]
        sizes = list(dict.fromkeys((row["height"], row["width"]) for row in rows))
        head = ["way", "precision", *(f"{w}x{h}, ms" for h, w in sizes)]
        head += ["GFLOP/s", "of the peak", "GiB", "open, s", "first, s", "PSNR, dB"]
        body = []
        for way in dict.fromkeys(map(way_of, rows)):
            own = {(r["height"], r["width"]): r for r in rows if way_of(r) == way}
            last = own[max(own)]
            rate = last["gflop"] / Spread.of(last["seconds"]).median
            times = [_milliseconds(own[size]) if size in own else "" for size in sizes]
            psnr = next(iter(own.values()))["psnr"]
            body.append(
                [
                    f"{KINDS[way[0]]}: {way[1]}",
                    way[2],
                    *times,
                    f"{rate:.0f}",
                    f"{100 * rate / document['peaks'][way[2]]:.0f} %",
                    "" if last["peak_gib"] is None else f"{last['peak_gib']:.1f}",
                    f"{last['open_seconds']:.1f}",
                    f"{next(iter(own.values()))['first_seconds']:.1f}",
                    "" if psnr is None else f"{psnr:.0f}",
                ]
            )
        rounds = ", ".join(str(len(_of(rows, size)["seconds"])) for size in sizes)
        parts.append(f"**{model}**, median (lowest .. highest) of {rounds} turns:")
        parts.append(_table(head, body))
        compared = [
            [
                f"{v['width']}x{v['height']}",
                v["precision"],
                v["theirs"],
                f"{v['ours']}, {v['kind']}",
                str(v["speed"]),
            ]
            for v in verdicts(rows)
        ]
        if compared:
            head = ["size", "precision", "peers' best", "our best", "times as fast"]
            parts.append(_table(head, compared))
    return "\n\n".join(parts)


def put_into(page: str, tables: str) -> str:
    """A page with its tables replaced.

    Raises:
        ValueError: It has no place for them.
    """
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError(f"expected a page with the lines {BEGIN} and {END}, found none")
    return f"{before}{begin}\n\n{tables}\n\n{end}{after}"


def _of(rows: Sequence[dict[str, Any]], size_hw: tuple[int, int]) -> dict[str, Any]:
    return next(row for row in rows if (row["height"], row["width"]) == size_hw)


def _milliseconds(row: dict[str, Any]) -> str:
    return str(Spread.of([seconds * 1e3 for seconds in row["seconds"]]))


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
