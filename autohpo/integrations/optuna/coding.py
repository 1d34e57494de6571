"""Codes: the parameters of a search space as what Optuna's samplers can suggest, and configurations as its params."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import Trial

from autohpo.spaces import ChoiceHP, HPSpace, LogRangeHP, RangeHP, SearchSpace

__all__ = ["Codes"]

_MOST_INT = 2**53
_MOST_FLOAT = 1e300


class Codes:
    """A search space for Optuna: parameter by parameter, each only where it is active.

    Numbers without a step and a prior go as they are, a choice by the place of its value, other parameters of few
    values by the place of theirs. All else, such as orders and lists, goes by its columns of the unit cube.
    """

    def __init__(self, space: SearchSpace) -> None:
        self._space = space
        self._parts = [_part_of(parameter) for parameter in space]

    @property
    def distributions(self) -> dict[str, BaseDistribution]:
        """The distributions of all parameters."""
        return {name: one for part in self._parts for name, one in part.distributions.items()}

    def suggest(self, trial: Trial) -> dict[str, Any]:
        """Return the configuration that a trial of Optuna suggests."""
        hp: dict[str, Any] = {}
        for part in self._parts:
            parameter = part.parameter
            if self._space.is_active(parameter.name, hp):
                names = list(part.distributions)[: parameter.n_active(hp)]
                value = part.value([_suggest(trial, name, part.distributions[name]) for name in names])
                hp[parameter.name] = parameter.cut(value, hp) if parameter.refers_to else value
        return hp

    def params(self, hp: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, BaseDistribution]]:
        """Return what a configuration is to Optuna: its params, and their distributions."""
        params: dict[str, Any] = {}
        units = self._space.encode([hp])[0]
        start = 0
        for part in self._parts:
            parameter, end = part.parameter, start + part.parameter.width
            if parameter.name in hp:
                values = part.params(hp[parameter.name], units[start:end])
                names = list(part.distributions)[: parameter.n_active(hp)]
                params |= dict(zip(names, values, strict=False))
            start = end
        known = self.distributions
        return params, {name: known[name] for name in params}


def _suggest(trial: Trial, name: str, theirs: BaseDistribution) -> Any:
    if isinstance(theirs, CategoricalDistribution):
        return trial.suggest_categorical(name, theirs.choices)
    if isinstance(theirs, IntDistribution):
        return trial.suggest_int(name, theirs.low, theirs.high, log=theirs.log)
    assert isinstance(theirs, FloatDistribution)  # for the type checker: there is no fourth
    return trial.suggest_float(name, theirs.low, theirs.high, log=theirs.log)


class _Columns:
    """A parameter by its columns of the unit cube."""

    def __init__(self, parameter: HPSpace) -> None:
        self.parameter = parameter
        theirs: BaseDistribution = FloatDistribution(0.0, 1.0)
        if parameter.levels:
            theirs = CategoricalDistribution(tuple(range(parameter.levels)))
        names = [parameter.name] if parameter.width == 1 else [f"{parameter.name}\0{j}" for j in range(parameter.width)]
        self.distributions = dict.fromkeys(names, theirs)

    def value(self, drawn: list[Any]) -> Any:
        units = np.full((1, self.parameter.width), 0.5)
        scale = self.parameter.levels
        units[0, : len(drawn)] = [(one + 0.5) / scale if scale else min(max(one, 0.0), 1.0) for one in drawn]
        return self.parameter.decode(units)[0]

    def params(self, value: Any, units: np.ndarray[Any, Any]) -> list[Any]:
        scale = self.parameter.levels
        return [min(int(unit * scale), scale - 1) if scale else float(unit) for unit in units]


class _Itself:
    """A number that both sides have."""

    def __init__(self, parameter: HPSpace, theirs: BaseDistribution) -> None:
        self.parameter, self.distributions = parameter, {parameter.name: theirs}

    def value(self, drawn: list[Any]) -> Any:
        return drawn[0]

    def params(self, value: Any, units: np.ndarray[Any, Any]) -> list[Any]:
        return [value]


class _Place:
    """A parameter of few values by the place of its value: ordered, or a choice."""

    def __init__(self, parameter: HPSpace, edges: Any) -> None:
        self.parameter, self._edges = parameter, np.asarray(edges)
        n = len(self._edges) - 1
        is_choice = bool(parameter.levels)
        theirs = CategoricalDistribution(tuple(range(n))) if is_choice else IntDistribution(0, n - 1)
        self.distributions = {parameter.name: theirs}

    def value(self, drawn: list[Any]) -> Any:
        place = drawn[0]
        return self.parameter.decode(np.array([[self._edges[place : place + 2].mean()]]))[0]

    def params(self, value: Any, units: np.ndarray[Any, Any]) -> list[Any]:
        return [int(np.clip(np.searchsorted(self._edges, units[0], side="right") - 1, 0, len(self._edges) - 2))]


def _part_of(parameter: HPSpace) -> Any:
    theirs = _number_of(parameter)
    if theirs is not None:
        return _Itself(parameter, theirs)
    edges = parameter.edges
    if edges is None and isinstance(parameter, ChoiceHP):  # of very many choices
        edges = np.linspace(0.0, 1.0, len(parameter.choices) + 1)
    return _Columns(parameter) if edges is None or parameter.width != 1 else _Place(parameter, edges)


def _number_of(parameter: HPSpace) -> BaseDistribution | None:
    """The distribution of a number that both sides have; None for another parameter."""
    if not isinstance(parameter, (RangeHP, LogRangeHP)) or parameter.step is not None or parameter.prior is not None:
        return None
    low, high, is_log = parameter.low, parameter.high, isinstance(parameter, LogRangeHP)
    if parameter.is_int:
        is_fine = max(abs(low), abs(high)) < _MOST_INT
        return IntDistribution(int(low), int(high), log=is_log) if is_fine else None
    return FloatDistribution(low, high, log=is_log) if max(abs(low), abs(high)) < _MOST_FLOAT else None
