"""scikit-optimize: its Gaussian process; sequential only, as it gives the same point until it is told a value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import skopt
from skopt.space import Categorical, Integer, Real

from suite.rivals import Setting
from suite.space import Configuration, Parameter


class GP:
    """All parameters at once.

    Raises:
        ValueError: Several asks are to be open at once.
    """

    def __init__(self, setting: Setting) -> None:
        if setting.in_flight > 1:
            raise ValueError(f"in_flight: must be 1 for scikit-optimize, got {setting.in_flight}")
        self._space = setting.space
        dimensions = [_translated(p) for p in setting.space.parameters]
        self._optimizer = skopt.Optimizer(dimensions, random_state=setting.seed, **setting.options)

    def ask(self) -> tuple[Any, Configuration]:
        """A point, with a value for each active parameter."""
        point = self._optimizer.ask()
        hp = {}
        for p, value in zip(self._space.parameters, point, strict=True):
            hp[p.name] = p.values[int(value)] if p.is_list else min(max(_plain(value), p.low), p.high)
        return point, self._space.stripped(hp)

    def tell(self, token: Any, value: float) -> None:
        """The value of a point."""
        self._optimizer.tell(token, -value)

    def best(self) -> Mapping[str, Any] | None:
        """The point of the best value told, as its result object has it."""
        return None


def _translated(p: Parameter) -> Any:
    if p.kind == "choice":
        return Categorical(list(range(len(p.values))))
    if p.kind == "ordinal":
        return Integer(0, len(p.values) - 1)
    prior = "log-uniform" if p.is_log else "uniform"
    return (Integer if p.kind == "whole" else Real)(p.low, p.high, prior=prior)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
