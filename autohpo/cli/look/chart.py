"""A small chart of letters: one column for each moment, as high as its value."""

from __future__ import annotations

from collections.abc import Sequence

BLOCKS = " ▁▂▃▄▅▆▇█"


def columns_chart(values: Sequence[float | None], height: int) -> list[str]:
    """Return the lines of a chart, the top one first.

    Args:
        values: A value for each column; None leaves it empty.
        height: How many lines there are.
    """
    known = [value for value in values if value is not None]
    if not known or height < 1:
        return []
    low, high = min(known), max(known)
    steps = 8 * height
    levels = [0 if value is None else _level(value, low, high, steps) for value in values]
    return ["".join(BLOCKS[min(max(level - 8 * row, 0), 8)] for level in levels) for row in reversed(range(height))]


def _level(value: float, low: float, high: float, steps: int) -> int:
    """Return how high a value stands, from 1 to `steps`; the middle where all are equal."""
    span = high / 2 - low / 2  # halves: the range of huge values is no float
    if span <= 0:
        return max(steps // 2, 1)
    return 1 + round((value / 2 - low / 2) / span * (steps - 1))
