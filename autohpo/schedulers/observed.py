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


Observer = Callable[[Reports, float], Reports]
"""Picks what a sampler sees of the reports of a trial, which began at a fidelity."""


def observer(levels: Sequence[float], which: SearcherData | None) -> Observer | None:
    """Return the function that picks what a sampler sees of the reports of a trial; None where it sees all of them.

    Args:
        levels: The rungs, rising.
        which: Which reports it sees.
    """
    if which in (None, "all"):
        return None
    return partial(_at_rungs, tuple(levels), which == "rungs_and_last")


def _at_rungs(levels: tuple[float, ...], with_last: bool, reports: Reports, begun: float) -> Reports:
    """The reports that were the first to reach a rung, in their order; and the last, if that is wanted."""
    seen, top = [], _level(levels, begun)
    for place, report in enumerate(reports):
        level = _level(levels, report[0])
        if level > top or (with_last and place == len(reports) - 1):
            seen.append(report)
        top = max(top, level)
    return seen


def _level(levels: tuple[float, ...], fidelity: float) -> int:
    """The highest rung at or below a fidelity; -1 below all of them."""
    return bisect_right(levels, fidelity * (1 + SLACK)) - 1
