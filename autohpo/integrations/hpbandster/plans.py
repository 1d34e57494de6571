"""Plans: HpBandSter's budgets, spaces and options as those of algorithms of ours."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from autohpo.errors import OptionError, shown
from autohpo.integrations.configspace import from_configspace
from autohpo.schedulers.schedule import Schedule
from autohpo.spaces import SearchSpace

__all__ = ["Plan", "bracket_plan", "full_plan", "space_of"]


@dataclass(frozen=True)
class Plan:
    """What an optimizer searches with.

    Attributes:
        algorithm: The registered name of the algorithm of ours.
        options: The options of that algorithm, but for how long it runs.
        budgets: The budgets, rising.
        n_iteration: How many configurations an iteration has, in a search without brackets; None with brackets.
        config: What the result says of the search.
    """

    algorithm: str
    options: Mapping[str, Any]
    budgets: Sequence[float]
    n_iteration: int | None = None
    config: Mapping[str, Any] = field(default_factory=dict)


def bracket_plan(
    algorithm: str, eta: float, min_budget: float, max_budget: float, options: Mapping[str, Any] | None = None
) -> Plan:
    """Return the plan of a search with Hyperband's brackets, in the sizes that HpBandSter gives them.

    Args:
        algorithm: The registered name of the algorithm.
        eta: The factor between two budgets.
        min_budget: The least budget.
        max_budget: The largest budget.
        options: Further options of the algorithm.

    Raises:
        OptionError: A budget or `eta` breaks a rule.
    """
    budgets = _budgets(eta, min_budget, max_budget)
    given = {
        "eta": eta,
        "min_fidelity": min_budget,
        "max_fidelity": max_budget,
        "bracket_sizes": "floor",
        "whole_fidelity": False,
        **(options or {}),
    }
    config = {"eta": eta, "min_budget": min_budget, "max_budget": max_budget, "max_SH_iter": len(budgets)}
    return Plan(algorithm, given, budgets, config=config)


def full_plan(eta: float, min_budget: float, max_budget: float) -> Plan:
    """Return the plan of a random search at the largest budget; an iteration costs as much as the first bracket would.

    Args:
        eta: The factor between two budgets of that bracket.
        min_budget: The least budget of that bracket.
        max_budget: The largest budget.

    Raises:
        OptionError: A budget or `eta` breaks a rule.
    """
    n = len(_budgets(eta, min_budget, max_budget))
    config = {"eta": eta, "min_budget": max_budget, "max_budget": max_budget, "max_SH_iter": 1}
    return Plan("random", {}, [float(max_budget)], n, config)


def space_of(configspace: Any) -> SearchSpace:
    """Return the search space that an optimizer got: a ConfigurationSpace, or one of ours.

    Args:
        configspace: The space.

    Raises:
        OptionError: It is none.
        SpaceError: Something in it cannot be searched here.
    """
    if isinstance(configspace, SearchSpace):
        return configspace
    if hasattr(configspace, "get_default_configuration"):
        return from_configspace(configspace)
    if isinstance(configspace, (list, tuple)):
        return SearchSpace(configspace)
    raise OptionError(f"configspace: must be a ConfigurationSpace, got {shown(configspace)}")


def _budgets(eta: Any, min_budget: Any, max_budget: Any) -> list[float]:
    """The budgets of the bracket that has all of them.

    Raises:
        OptionError: An argument breaks a rule.
    """
    for name, value in (("eta", eta), ("min_budget", min_budget), ("max_budget", max_budget)):
        is_number = isinstance(value, (int, float)) and not isinstance(value, bool)
        if not is_number or not 0 < value < math.inf:
            raise OptionError(f"{name}: must be a positive number, got {shown(value)}")
    if min_budget > max_budget:
        raise OptionError(f"max_budget: must be at least min_budget, {min_budget}, got {max_budget}")
    schedule = Schedule(min_budget, max_budget, eta, bracket_sizes="floor", is_whole=False)
    return [float(fidelity) for fidelity in schedule.fidelities]
