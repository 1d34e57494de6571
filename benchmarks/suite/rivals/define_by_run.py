"""Spaces for libraries in Optuna's manner, where a trial is asked for one parameter after the other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from suite.space import Configuration, Parameter, Space


class DefineByRun:
    """Asks and tells a study, Optuna's or Rustuna's."""

    def __init__(self, study: Any, space: Space) -> None:
        self._study, self._space = study, space

    def ask(self) -> tuple[Any, Configuration]:
        """A trial, with a value for each active parameter."""
        trial = self._study.ask()
        hp: Configuration = {}
        for parameter in self._space.parameters:
            if self._space.is_active(parameter, hp):
                hp[parameter.name] = _suggested(trial, parameter)
        return trial, hp

    def tell(self, token: Any, value: float) -> None:
        """The value of a trial."""
        self._study.tell(token.number, value)

    def best(self) -> Mapping[str, Any] | None:
        """The trial of the best value told, as ``study.best_trial`` is."""
        return None


def _suggested(trial: Any, p: Parameter) -> Any:
    if p.kind == "real":
        return trial.suggest_float(p.name, p.low, p.high, log=p.is_log)
    if p.kind == "whole":
        return trial.suggest_int(p.name, int(p.low), int(p.high), log=p.is_log)
    if p.kind == "ordinal":
        return p.values[trial.suggest_int(p.name, 0, len(p.values) - 1)]
    return trial.suggest_categorical(p.name, list(p.values))
