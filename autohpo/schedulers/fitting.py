"""Fitting: which of Hyperband's brackets comes to its end with what a search may spend, and what that will train."""

from __future__ import annotations

import math

from autohpo.schedulers.limits import Limits, TrainingPlan
from autohpo.schedulers.schedule import SLACK, Plan, Schedule


def fitting(schedule: Schedule, index: int, limits: Limits, *, is_fitted: bool) -> Plan | None:
    """Return the bracket to open as number `index`; None where none would come to its end, and another one did.

    Without a budget it is the one of the schedule, as long as the first of these fits. Else it is that one or, where it
    is too large for what is left, the largest that fits of the smaller ones of as many rungs, or of fewer.

    Args:
        schedule: The brackets.
        index: The number of the bracket, from 0.
        limits: What the search may spend, and what is left for this bracket and those after it.
        is_fitted: Whether the first bracket was not that of the schedule.
    """
    usual = schedule.bracket_within(index, limits)
    if not (is_fitted or index == 0 or limits.cost < math.inf) or usual.fits(limits):
        return usual
    first = index % len(schedule.brackets)
    rest = zip(schedule.brackets[first:], schedule.smaller[first:], strict=True)
    found = next((plan for bracket, smaller in rest for plan in (bracket, *smaller) if plan.fits(limits)), None)
    return usual if found is None and index == 0 else found


def training_plan(
    schedule: Schedule, num_iterations: int | None, limits: Limits, n_promoting: float = math.inf
) -> TrainingPlan | None:
    """Return what a search trains where no trial fails; None where it has no end.

    Args:
        schedule: The brackets.
        num_iterations: How many are opened at most, if limited.
        limits: What the search may spend.
        n_promoting: How many of the first brackets promote trials; the others train every rung from scratch.
    """
    if not limits.is_any and num_iterations is None:
        return None
    full, n_at = schedule.fidelities[-1], dict.fromkeys(schedule.fidelities, 0)
    n_trials, cost, index, is_fitted, is_over = 0, 0.0, 0, False, False
    while not is_over and (num_iterations is None or index < num_iterations):
        is_continued = limits.is_continued and index < n_promoting
        left = Limits(limits.n, limits.n - n_trials, limits.cost, limits.cost - cost, is_continued)
        plan = fitting(schedule, index, left, is_fitted=is_fitted) if left.n_left > 0 else None
        if plan is None:
            break
        is_fitted |= index == 0 and plan != schedule.bracket(0)
        index += 1
        for size, fidelity, price in zip(plan.sizes, plan.fidelities, plan.costs(is_continued), strict=True):
            n = int(min(size, limits.n - n_trials, (limits.cost - cost) / price + SLACK))
            n_trials, cost = n_trials + n, cost + n * price
            n_at[fidelity] += n
            is_over = n < size
            if is_over:
                break
    return TrainingPlan(n_trials, n_at[full], cost * full, full, n_at=tuple(n_at.items()))
