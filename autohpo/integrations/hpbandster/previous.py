"""Previous results: what an optimizer learns from an earlier run, and how the result shows it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from autohpo.algorithms.parts.points import Point
from autohpo.errors import OptionError, SpaceError, shown
from autohpo.integrations.hpbandster.core.result import Result
from autohpo.integrations.hpbandster.core.runs import ConfigId, Datum
from autohpo.integrations.hpbandster.jobs import WARM
from autohpo.spaces import SearchSpace
from autohpo.trial import whole

__all__ = ["checked_result", "known_points", "warm_data"]

_SAME = 1e-9  # budgets of equal rungs differ by the rounding of powers


def checked_result(previous: Any) -> Result | None:
    """Return the result of an earlier run, or None.

    Args:
        previous: What the user gave.

    Raises:
        OptionError: It is no result.
    """
    if previous is not None and not isinstance(previous, Result):
        rule = "must be a Result, such as logged_results_to_HBS_result(directory) returns"
        raise OptionError(f"previous_result: {rule}, got {shown(previous)}")
    return previous


def known_points(
    previous: Result | None, space: SearchSpace, budgets: Sequence[float], *, is_full: bool = False
) -> list[Point]:
    """Return the results of an earlier run as points that a search knows.

    Crashed runs are left out, and with a warning those at a larger budget than the search has.

    Args:
        previous: The result, if there is one.
        space: The space of the search.
        budgets: The budgets of the search, rising.
        is_full: Whether it knows only the largest of them.

    Raises:
        SpaceError: A configuration is none of the space.
    """
    found, n_larger, largest = [], 0, budgets[-1]
    for run in [] if previous is None else previous.get_all_runs():
        if run.loss is None:
            continue
        if run.budget > largest * (1 + _SAME):
            n_larger += 1
            continue
        budget = next((b for b in budgets if math.isclose(b, run.budget, rel_tol=_SAME)), run.budget)
        if is_full and budget != largest:
            continue
        try:
            hp = space.checked(previous[run.config_id].config)  # type: ignore[index] # it has runs
        except SpaceError as error:
            raise SpaceError(f"previous_result: configuration {run.config_id}: {error}") from None
        if budget <= 0:
            raise OptionError(f"previous_result: budgets must be positive, got {budget} of {run.config_id}")
        found.append(Point(hp, run.loss, "full" if budget == largest else whole(budget)))
    if n_larger:
        rule = f"must be at most max_budget, {largest:g}"
        warnings.warn(
            f"previous_result: budgets {rule}; {n_larger} runs at larger ones are left out of the model",
            UserWarning,
            stacklevel=4,
        )
    return found


def warm_data(previous: Result | None, began: float) -> dict[ConfigId, Datum]:
    """Return the configurations of an earlier run as iteration -1, whose last run finished when the search began.

    Args:
        previous: The result, if there is one.
        began: The begin of the search, in Unix seconds.
    """
    found: dict[ConfigId, Datum] = {}
    if previous is None:
        return found
    last = max((run.time_stamps["finished"] for run in previous.get_all_runs()), default=0.0)
    for place, (config_id, known) in enumerate(previous.get_id2config_mapping().items()):
        datum = found[WARM, 0, place] = Datum(known["config"], known["config_info"])
        for run in previous.get_runs_by_id(config_id):
            stamps = {name: second - last + began for name, second in run.time_stamps.items()}
            result = None if run.loss is None else {"loss": run.loss, "info": run.info}
            datum.add(run.budget, result, stamps, run.error_logs)
    return found
