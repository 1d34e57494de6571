"""Optuna's distributions and our parameters, one by one: what a sampler of one side needs to serve the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from autohpo.integrations.optuna.spaces import from_optuna
from autohpo.spaces import ChoiceHP, FixedHP, HPSpace, LogRangeHP, OrdinalHP, RangeHP

__all__ = ["Codec", "distribution_of"]


def distribution_of(parameter: HPSpace) -> BaseDistribution | None:
    """Return the distribution whose values are those of a parameter; None where Optuna has none.

    A prior is no part of it, and neither is what other parameters decide.
    """
    match parameter:
        case ChoiceHP():
            return CategoricalDistribution(parameter.choices)
        case OrdinalHP():
            return CategoricalDistribution(parameter.values)
        case RangeHP(low=low, high=high, step=step) if parameter.is_int:
            return IntDistribution(int(low), int(high), step=int(step or 1))
        case RangeHP(low=low, high=high, step=step):
            return FloatDistribution(low, high, step=step)
        case LogRangeHP(low=low, high=high, step=step) if parameter.is_int and step in (None, 1):
            return IntDistribution(int(low), int(high), log=True)
        case LogRangeHP(low=low, high=high, step=None) if not parameter.is_int:
            return FloatDistribution(low, high, log=True)
    return None


class Codec:
    """Parameters of ours for Optuna's distributions, and their values in both forms.

    A categorical one is searched by the place of its choices, which may be any objects. Distributions are read once.
    """

    def __init__(self) -> None:
        self._known: dict[tuple[str, BaseDistribution], HPSpace | None] = {}

    def parameter(self, name: str, theirs: BaseDistribution) -> HPSpace | None:
        """Return the parameter for a distribution; None where it has a single value."""
        key = name, theirs
        if key not in self._known:
            if theirs.single():
                made: HPSpace | None = None
            elif isinstance(theirs, CategoricalDistribution):
                made = ChoiceHP(name, range(len(theirs.choices)))
            else:
                made = from_optuna({name: theirs})[name]
                made = None if isinstance(made, FixedHP) else made
            self._known[key] = made
        return self._known[key]

    def parameters(self, theirs: Mapping[str, BaseDistribution]) -> dict[str, HPSpace]:
        """Return the parameters of distributions that have more than one value, by name."""
        made = {name: self.parameter(name, one) for name, one in theirs.items()}
        return {name: parameter for name, parameter in made.items() if parameter is not None}

    @staticmethod
    def ours(theirs: BaseDistribution, value: Any) -> Any:
        """Return our value for one of Optuna's."""
        return int(theirs.to_internal_repr(value)) if isinstance(theirs, CategoricalDistribution) else value

    @staticmethod
    def theirs(theirs: BaseDistribution, value: Any) -> Any:
        """Return Optuna's value for one of ours."""
        return theirs.choices[value] if isinstance(theirs, CategoricalDistribution) else value
