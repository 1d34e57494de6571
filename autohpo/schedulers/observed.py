"""Observed: which reports of a training a sampler sees that learns from curves."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import partial
from typing import Literal

from autohpo.schedulers.rungs import SLACK
from autohpo.trial import Perf

Reports = Sequence[tuple[float, Perf]]
SearcherData = Literal["rungs", "all", "rungs_and_last"]
"""Which reports a sampler sees: those at rungs, all of them, or those at rungs and the last."""


def observer(levels: Sequence[float], which: SearcherData | None) -> Callable[[Reports], Reports] | None:
    """Return the function that picks what a sampler sees of the reports of a trial; None where it sees all of them.

    Args:
        levels: The rungs, rising.
        which: Which reports it sees.
    """
    if which in (None, "all"):
        return None
    return partial(_at_rungs, tuple(levels), which == "rungs_and_last")


def _at_rungs(levels: tuple[float, ...], with_last: bool, reports: Reports) -> Reports:
    """The reports that were the first to reach a rung, in their order; and the last, if that is wanted."""
    seen, top = [], -1
    for place, report in enumerate(reports):
        level = bisect_right(levels, report[0] * (1 + SLACK)) - 1
        if level > top or (with_last and place == len(reports) - 1):
            seen.append(report)
        top = max(top, level)
    return seen
