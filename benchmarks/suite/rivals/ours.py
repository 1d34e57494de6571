"""Every algorithm of autohpo."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from autohpo import build_hpo_from_name
from autohpo.errors import OptimizationComplete
from autohpo.spaces import ChoiceHP, HPSpace, LogRangeHP, OrdinalHP, RangeHP
from suite.race import Exhausted
from suite.rivals import Setting
from suite.space import Configuration, Parameter, Space


class Ours:
    """One of our algorithms; `setting.options` are its dataclass fields."""

    def __init__(self, name: str, setting: Setting) -> None:
        self._hpo = build_hpo_from_name(name, our_parameters(setting.space), seed=setting.seed, **setting.options)
        self._hpo.set_up(num_workers=setting.in_flight)

    def ask(self) -> tuple[Any, Configuration]:
        """The next suggestion, which is its own token."""
        try:
            suggestion = self._hpo.ask()
        except OptimizationComplete as error:
            raise Exhausted(str(error)) from error
        return suggestion, dict(suggestion)

    def tell(self, token: Any, value: float) -> None:
        """The value of a suggestion."""
        self._hpo.tell(token, value)

    def best(self) -> Mapping[str, Any]:
        """What the algorithm names the best: not always that of the best value told."""
        return self._hpo.best()[0]


def our_parameters(space: Space) -> list[HPSpace]:
    """The parameters without a parent; children hang on the choices that they belong to."""
    return [_ours(p, space) for p in space.parameters if p.parent is None]


def _ours(parameter: Parameter, space: Space) -> HPSpace:
    name = parameter.name
    if parameter.kind == "choice":
        children = [p for p in space.parameters if p.parent == name]
        under = [[_ours(p, space) for p in children if value in p.when] for value in parameter.values]
        return ChoiceHP(name, parameter.values, under) if children else ChoiceHP(name, parameter.values)
    if parameter.kind == "ordinal":
        return OrdinalHP(name, parameter.values)
    return (LogRangeHP if parameter.is_log else RangeHP)(name, parameter.low, parameter.high)
