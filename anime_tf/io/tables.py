"""Text tables."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def format_table(
    header: Sequence[str],
    rows: Iterable[Sequence[object]],
    *,
    markdown: bool = False,
    left_columns: int = 1,
) -> str:
    """Format rows as columns, the first ones left-aligned, the others right; or as Markdown."""
    lines = [list(header), *([str(cell) for cell in row] for row in rows)]
    if markdown:
        lines.insert(1, ["---"] * len(header))
        return "\n".join(f"| {' | '.join(line)} |" for line in lines)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            cell.ljust(width) if i < left_columns else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(line, widths, strict=True))
        ).rstrip()
        for line in lines
    )
