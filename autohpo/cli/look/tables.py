"""Tables that fit: which columns a terminal has room for, and a word on those that it has not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from autohpo.cli.output import Output, cell

GAP = 3
"""What stands between two columns."""

LEAST = 16
"""The least width that the last column is cut to; with less room it is left out."""

MOST_ROWS = 2_000
"""Rows that are looked at to tell how wide a column is."""


def widths_of(rows: Sequence[Mapping[str, Any]], columns: Sequence[str]) -> dict[str, int]:
    """Return how wide each column is."""
    return {
        name: max(len(name), max((len(cell(row.get(name))) for row in rows[:MOST_ROWS]), default=0)) for name in columns
    }


def fitting(widths: Mapping[str, int], width: int, spared: Sequence[str] = ()) -> tuple[list[str], int]:
    """Return the columns that a line has room for, and what room is left; always at least one column.

    Args:
        widths: How wide each column is, in their order; the last ones are left out first.
        width: How many letters a line has.
        spared: Columns that are left out before all others, the first one first.
    """
    kept, left = list(widths), list(spared)
    while True:
        room = width - 2 - sum(widths[name] + GAP for name in kept) + GAP
        if room >= 0 or len(kept) == 1:
            return kept, room
        if left:
            if left[0] in kept:
                kept.remove(left[0])
            left.pop(0)
        else:
            kept.pop()


def print_fitting(
    output: Output, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], advice: str, spared: Sequence[str] = ()
) -> None:
    """Print a table; on a terminal without the columns that it has no room for, which a note counts.

    Args:
        output: Where to print.
        rows: The rows.
        columns: The names of the columns, the most important first.
        advice: How to see the others, as the end of a sentence.
        spared: Columns that are left out before all others, the first one first.
    """
    if output.is_json or not output.is_terminal:
        output.table(rows, columns)
        return
    widths = widths_of(rows, columns)
    shown, room = fitting(widths, shutil.get_terminal_size().columns, spared)
    rest = [name for name in columns if name not in shown and name not in spared]
    if rest and room - GAP >= min(LEAST, widths[rest[0]]):  # the next one is cut
        shown.append(rest[0])
        rows = [{**row, rest[0]: _cut(cell(row.get(rest[0])), room - GAP)} for row in rows]
    output.table(rows, shown)
    left = len(columns) - len(shown)
    if left:
        output.note(f"{left} more column{'s' * (left > 1)}: {advice}")


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 1, 0)] + "…"
