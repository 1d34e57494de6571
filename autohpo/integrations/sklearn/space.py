"""The space of a search: ours, or a dict as scikit-learn's own searches take it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from autohpo.errors import SpaceError, shown
from autohpo.integrations.sklearn.distributions import parameter_of
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, OrdinalHP, SearchSpace


def space_of(given: Any) -> SearchSpace:
    """Return the search space that a user has described.

    In a dict, from the name of a parameter of the estimator, may stand a parameter of ours under that name, a list of
    values (or a tuple, an array, a range), or a frozen distribution of scipy.stats. Of a list, numbers that rise or
    fall are an OrdinalHP, as neighbours are alike; others are a ChoiceHP, and one alone is a FixedHP.

    Args:
        given: A SearchSpace, a list of parameters, or such a dict.

    Raises:
        SpaceError: It is none of these, or an entry of the dict is none.

    Example:
        >>> import scipy.stats
        >>> list(space_of({"C": scipy.stats.loguniform(0.1, 10.0), "kernel": ["rbf", "linear"]}))
        [LogRangeHP(name='C', low=0.1, high=10.0), ChoiceHP(name='kernel', choices=('rbf', 'linear'))]
    """
    if isinstance(given, Mapping):
        return SearchSpace([_parameter(name, value) for name, value in given.items()])
    if isinstance(given, (list, tuple)) and given and all(isinstance(part, Mapping) for part in given):
        rule = "must be one dict; parameters that only some choices have are children=... of a ChoiceHP"
        raise SpaceError(f"space: {rule}, got a list of {len(given)} dicts")
    return given if isinstance(given, SearchSpace) else SearchSpace(given)


def _parameter(name: Any, value: Any) -> HPSpace:
    if isinstance(value, HPSpace):
        if value.name != name:
            raise SpaceError(f"space: {shown(name)} must hold a parameter of that name, got {value.name!r}")
        return value
    if isinstance(value, (list, tuple, range, np.ndarray)):
        values = value.tolist() if isinstance(value, np.ndarray) else list(value)
        if len(values) == 1:
            return FixedHP(name, values[0])
        return OrdinalHP(name, values) if _is_sorted(values) else ChoiceHP(name, values)
    return parameter_of(name, value)


def _is_sorted(values: list[Any]) -> bool:
    """Whether these are at least three numbers, each above the one before, or each below."""
    if len(values) < 3 or any(isinstance(v, bool) or not isinstance(v, (int, float, np.number)) for v in values):
        return False
    steps = np.sign(np.diff(np.asarray(values, dtype=float)))
    return bool(np.all(steps == 1) or np.all(steps == -1))
