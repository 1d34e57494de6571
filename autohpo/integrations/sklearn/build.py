"""The optimizer of a search, from the arguments of ``HPOSearchCV``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.options import option_names
from autohpo.algorithms.registry import available_hpos, build_hpo_from_name, get_hpo
from autohpo.algorithms.session import session_of
from autohpo.errors import OptionError, shown
from autohpo.integrations.sklearn.resources import Resource
from autohpo.spaces import SearchSpace

OF_THE_SEARCH = {
    "max_evals": "n_trials",
    "seed": "random_state",
    "mode": "metric",
    "budget": "budget",
    "min_fidelity": "min_fidelity",
    "max_fidelity": "max_fidelity",
}
"""Options of an algorithm that are arguments of the search, and their names there."""


def build(search: Any, space: SearchSpace, resource: Resource | None, metrics: list[str | None]) -> BaseHPOptimizer:
    """Return the optimizer.

    Args:
        search: The HPOSearchCV.
        space: The search space.
        resource: What there is more of at a higher fidelity, if anything.
        metrics: The names of the metrics that are objectives.

    Raises:
        OptionError: An argument or an option of the algorithm breaks a rule.
        RegistryError: There is no such algorithm.
        SpaceError: The algorithm does not take the space.
    """
    options = {} if search.algorithm_options is None else search.algorithm_options
    if not isinstance(options, Mapping):
        raise OptionError(f"algorithm_options: must be a dict, got {shown(options)}")
    for name, argument in OF_THE_SEARCH.items():
        if name in options:
            raise OptionError(f"algorithm_options: must not hold {name!r}; give {argument}= to the search")
    cls = get_hpo(search.algorithm)
    if cls.needs_checkpoints:
        raise OptionError(f"algorithm: must not copy trainings, as scikit-learn cannot, got {search.algorithm!r}")
    given: dict[str, Any] = dict(options)
    if resource is not None:
        if "min_fidelity" not in option_names(cls):
            known = [name for name in available_hpos() if "min_fidelity" in option_names(get_hpo(name))]
            rule = f"must be one with fidelities where fidelity is given, one of {known}"
            raise OptionError(f"algorithm: {rule}, got {search.algorithm!r}")
        given |= {"min_fidelity": resource.low, "max_fidelity": resource.high}
    if search.budget is not None:
        if not cls.takes_budget:
            raise OptionError(f"budget: {search.algorithm!r} has none; give n_trials")
        given["budget"] = search.budget
    mode: Any = "max" if len(metrics) == 1 else {str(name): "max" for name in metrics}
    hpo = build_hpo_from_name(
        search.algorithm, space, None, max_evals=search.n_trials, seed=_seed(search.random_state), mode=mode, **given
    )
    hpo.has_fidelity, hpo.is_continued = resource is not None, resource is not None and resource.is_continued
    if search.n_trials is None and search.time_limit is None and not hpo.is_finite:
        session_of(hpo).allowance.default_limit = hpo.default_evals
    return hpo


def checked_metrics(scoring: Any, refit: Any, metric: Any) -> list[str | None]:
    """Return the names of the metrics that are searched for: several are objectives of their own.

    Args:
        scoring: What scikit-learn scores by.
        refit: The metric that chooses the best, or a function that does.
        metric: The metric that is searched for; None takes that of `refit`, or else all there are.

    Raises:
        OptionError: There is no such metric, or only one that has no name.
    """
    if scoring is None or isinstance(scoring, str):
        if metric is not None:
            raise OptionError(f"metric: must be None where scoring has one score, got {shown(metric)}")
        return [None]
    if callable(scoring):  # nobody knows yet what it returns
        return [metric if metric is not None else refit if isinstance(refit, str) else None]
    names: list[str | None] = list(scoring)
    if metric is not None and metric not in names:
        raise OptionError(f"metric: must be one of {names}, got {shown(metric)}")
    return [metric] if metric is not None else [refit] if isinstance(refit, str) else names


def _seed(random_state: Any) -> int | None:
    """Return the seed of the search: a number is its own."""
    if random_state is None or isinstance(random_state, (int, np.integer)):
        return None if random_state is None else int(random_state)
    if not isinstance(random_state, np.random.RandomState):
        raise OptionError(f"random_state: must be None, an int or a RandomState, got {shown(random_state)}")
    return int(random_state.randint(2**31 - 1))
