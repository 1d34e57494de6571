"""The package cmaes: CatCMA with margin, its variant for floats, whole numbers and choices at once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import cmaes

from suite.rivals import Setting
from suite.space import Configuration, Parameter

LONGEST_LIST = 64
"""Whole numbers with more values than this are rounded from the unit interval: the library keeps all in a list."""


class CatCMAWithMargin:
    """All parameters at once, numbers on the unit interval; told a generation at a time, in the order of results."""

    def __init__(self, setting: Setting) -> None:
        self._space, self._told = setting.space, list[tuple[Any, float]]()
        parameters = setting.space.parameters
        self._choices = [p for p in parameters if p.kind == "choice" or _n_values(p) == 2]  # as its docs advise
        self._wholes = [p for p in parameters if p not in self._choices and _n_values(p) <= LONGEST_LIST]
        self._reals = [p for p in parameters if p not in self._choices and p not in self._wholes]
        self._cma = cmaes.CatCMAwM(
            x_space=[[0.0, 1.0] for _ in self._reals] or None,
            z_space=[list(range(_n_values(p))) for p in self._wholes] or None,
            c_space=[_n_values(p) for p in self._choices] or None,
            seed=setting.seed + 1,  # it takes 0 for none
            **setting.options,
        )

    def ask(self) -> tuple[Any, Configuration]:
        """A solution, with a value for each active parameter."""
        solution = self._cma.ask()
        hp: Configuration = {}
        for k, p in enumerate(self._reals):
            hp[p.name] = p.at(float(solution.x[k]))
        for k, p in enumerate(self._wholes):
            hp[p.name] = _value(p, round(float(solution.z[k])))
        for k, p in enumerate(self._choices):
            hp[p.name] = _value(p, int(solution.c[k].argmax()))
        return solution, self._space.stripped(hp)

    def tell(self, token: Any, value: float) -> None:
        """The value of a solution; the library learns it with its generation."""
        self._told.append((token, -value))
        if len(self._told) == self._cma.population_size:
            self._cma.tell(self._told)
            self._told = []

    def best(self) -> Mapping[str, Any] | None:
        """The library keeps none: that of the best value told."""
        return None


def _n_values(p: Parameter) -> int:
    """How many values there are; very many for a real one, and for a whole one on a logarithmic scale."""
    if p.is_list:
        return len(p.values)
    return LONGEST_LIST + 1 if p.kind == "real" or p.is_log else int(p.high - p.low) + 1


def _value(p: Parameter, place: int) -> Any:
    return p.values[place] if p.is_list else int(p.low) + place
