"""Tables that fit: which columns a terminal has room for, and files for those that it has not."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from autohpo.cli.output import Output, cell

GAP = 2
"""What stands between two columns."""

LEAST = 8
"""The least width that a wide column is cut to."""

MOST_ROWS = 2_000
"""Rows that are looked at to tell how wide a column is."""


def fitting(rows: Sequence[Mapping[str, Any]], columns: Sequence[str], width: int) -> list[str]:
    """Return the columns that a line has room for, the first ones first; always at least one.

    Args:
        rows: The rows.
        columns: The names of the columns, the most important first.
        width: How many letters a line has.
    """
    kept: list[str] = []
    used = 0
    for name in columns:
        longest = max((len(cell(row.get(name))) for row in rows[:MOST_ROWS]), default=0)
        needed = max(len(name), min(longest, max(len(name), 4 * LEAST))) + GAP
        if kept and used + needed - GAP > width:
            break
        kept.append(name)
        used += needed
    return kept


def print_fitting(output: Output, rows: Sequence[Mapping[str, Any]], columns: Sequence[str], advice: str) -> None:
    """Print a table; on a terminal without the columns that it has no room for, which a note counts.

    Args:
        output: Where to print.
        rows: The rows.
        columns: The names of the columns, the most important first.
        advice: How to see the others, as the end of a sentence.
    """
    if output.is_json or not output.is_terminal:
        output.table(rows, columns)
        return
    shown = fitting(rows, columns, shutil.get_terminal_size().columns)
    output.table(rows, shown)
    left = len(columns) - len(shown)
    if left:
        output.note(f"{left} more column{'s' * (left > 1)}: {advice}")
