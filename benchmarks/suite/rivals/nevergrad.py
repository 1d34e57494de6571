"""Nevergrad: NGOpt, which chooses among its algorithms by the space, the budget and the number of workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import nevergrad as ng

from suite.rivals import Setting
from suite.space import Configuration, Parameter


class NGOpt:
    """All parameters at once."""

    def __init__(self, setting: Setting) -> None:
        self._space = setting.space
        names = ng.p.Dict(**{f"p{k}": _translated(p) for k, p in enumerate(setting.space.parameters)})
        names.random_state.seed(setting.seed)
        options = {"budget": setting.budget, "num_workers": setting.in_flight, **setting.options}
        self._optimizer = ng.optimizers.NGOpt(names, **options)

    def ask(self) -> tuple[Any, Configuration]:
        """A candidate, with a value for each active parameter."""
        candidate = self._optimizer.ask()
        return candidate, self._configuration(candidate)

    def tell(self, token: Any, value: float) -> None:
        """The value of a candidate."""
        self._optimizer.tell(token, -value)

    def best(self) -> Mapping[str, Any]:
        """What it recommends."""
        return self._configuration(self._optimizer.provide_recommendation())

    def _configuration(self, candidate: Any) -> Configuration:
        values = candidate.value
        hp: Configuration = {}
        for k, p in enumerate(self._space.parameters):
            value = values[f"p{k}"]
            if p.kind == "ordinal":
                value = p.values[value]
            hp[p.name] = value if p.is_list else min(max(value, p.low), p.high)
        return self._space.stripped(hp)


def _translated(p: Parameter) -> Any:
    """Ordinals by place, and choices that are not drawn at random: NGOpt takes anything else for a noisy objective."""
    if p.kind == "choice":
        return ng.p.Choice(list(p.values), deterministic=True)
    if p.kind == "ordinal":
        return ng.p.Scalar(lower=0, upper=len(p.values) - 1).set_integer_casting()
    kind = ng.p.Log if p.is_log else ng.p.Scalar
    number = kind(lower=p.low, upper=p.high)
    return number.set_integer_casting() if p.kind == "whole" else number
