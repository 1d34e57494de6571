"""hyperopt: TPE and annealing; trials go in and out as its own ``fmin`` does it."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from hyperopt import JOB_STATE_DONE, STATUS_OK, Domain, Trials, anneal, hp, space_eval, tpe
from hyperopt.pyll import scope

from suite.rivals import Setting
from suite.space import Configuration, Parameter, Space


class _Hyperopt:
    algorithm: Any

    def __init__(self, setting: Setting) -> None:
        self._space = setting.space
        self._expression = _expression(setting.space)
        self._domain, self._trials = Domain(lambda _: 0.0, self._expression), Trials()
        self._rng = np.random.default_rng(setting.seed)
        self._suggest = functools.partial(self.algorithm, **setting.options)

    def ask(self) -> tuple[Any, Configuration]:
        """A document of the trials, with a value for each active parameter."""
        ids = self._trials.new_trial_ids(1)
        self._trials.insert_trial_docs(self._suggest(ids, self._domain, self._trials, int(self._rng.integers(2**31))))
        self._trials.refresh()
        document = self._trials._dynamic_trials[-1]  # the list that fmin works on: `trials` leaves out failed ones
        given = {name: values[0] for name, values in document["misc"]["vals"].items() if values}
        return document, _flat(space_eval(self._expression, given), self._space)

    def tell(self, token: Any, value: float) -> None:
        """The value of a document."""
        token["state"], token["result"] = JOB_STATE_DONE, {"status": STATUS_OK, "loss": -value}
        self._trials.refresh()

    def best(self) -> Mapping[str, Any] | None:
        """The trial of the best value told, as ``trials.best_trial`` is."""
        return None


class TPE(_Hyperopt):
    """Tree-structured Parzen estimator, univariate."""

    algorithm = staticmethod(functools.partial(tpe.suggest, verbose=False))


class Anneal(_Hyperopt):
    """Annealing."""

    algorithm = staticmethod(anneal.suggest)


def _expression(space: Space) -> dict[str, Any]:
    """Nested as hyperopt wants it: a choice holds the parameters that hang on each of its values."""
    made: dict[str, Any] = {}

    def make(p: Parameter) -> Any:
        if p.name not in made:  # one that hangs on several values must be one and the same node
            children = [child for child in space.parameters if child.parent == p.name]
            under = {value: {c.name: make(c) for c in children if value in c.when} for value in p.values}
            made[p.name] = _node(p, under)
        return made[p.name]

    return {p.name: make(p) for p in space.parameters if p.parent is None}


def _node(p: Parameter, under: Mapping[Any, Mapping[str, Any]]) -> Any:
    if p.kind == "choice":
        return hp.choice(p.name, [{"value": place, **under[value]} for place, value in enumerate(p.values)])
    if p.kind == "ordinal":
        return hp.uniformint(p.name, 0, len(p.values) - 1)
    if p.kind == "whole":
        if not p.is_log:
            return hp.uniformint(p.name, p.low, p.high)
        ends = math.log(p.low - 0.5), math.log(p.high + 0.5)
        return scope.int(hp.qloguniform(p.name, *ends, 1))
    return hp.loguniform(p.name, math.log(p.low), math.log(p.high)) if p.is_log else hp.uniform(p.name, p.low, p.high)


def _flat(nested: Mapping[str, Any], space: Space) -> Configuration:
    """The configuration of nested values."""
    found: dict[str, Any] = {}

    def take(level: Mapping[str, Any]) -> None:
        for name, value in level.items():
            if isinstance(value, Mapping):
                found[name] = value["value"]
                take({key: inner for key, inner in value.items() if key != "value"})
            else:
                found[name] = value

    take(nested)
    result: Configuration = {}
    for p in space.parameters:
        if p.name in found:
            value = found[p.name]
            result[p.name] = p.values[int(value)] if p.is_list else min(max(value, p.low), p.high)
    return result
