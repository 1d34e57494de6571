"""SMAC: a forest (the facade for hyper-parameters) or a Gaussian process (the one for black boxes)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ConfigSpace
import smac
from smac.runhistory import TrialInfo, TrialValue

from suite.rivals import Setting
from suite.space import Configuration, Parameter, Space


class HyperparameterFacade:
    """The forest; told that the objective is deterministic, so that each evaluation is of a new configuration."""

    facade = smac.HyperparameterOptimizationFacade

    def __init__(self, setting: Setting) -> None:
        logging.getLogger("smac").setLevel(logging.ERROR)
        self._space = setting.space
        self._folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            _config_space(setting.space, setting.seed),
            output_directory=Path(self._folder.name),
            deterministic=True,
            n_trials=setting.budget,
            seed=setting.seed,
        )
        self._smac = self.facade(scenario, _never_called, logging_level=False, overwrite=True, **setting.options)

    def ask(self) -> tuple[TrialInfo, Configuration]:
        """A trial, with a value for each active parameter."""
        trial = self._smac.ask()
        places = dict(trial.config)
        hp: Configuration = {}
        for p in self._space.parameters:
            if p.name in places:
                hp[p.name] = p.values[int(places[p.name])] if p.is_list else _plain(places[p.name])
        return trial, hp

    def tell(self, token: TrialInfo, value: float) -> None:
        """The value of a trial."""
        self._smac.tell(token, TrialValue(cost=-value))

    def best(self) -> Mapping[str, Any] | None:
        """Its incumbent is that of the best value told, as each configuration is tried once."""
        return None


class BlackBoxFacade(HyperparameterFacade):
    """The Gaussian process; it knows no conditional parameters."""

    facade = smac.BlackBoxFacade


def _never_called(config: Any, seed: int = 0) -> float:  # noqa: ARG001 - SMAC looks at the names
    """SMAC wants an objective to look at, even where it is only asked and told."""
    raise RuntimeError("SMAC called the objective by itself")


def _config_space(space: Space, seed: int) -> Any:
    """Choices and ordinals by place: ConfigSpace takes no values that are lists, and compares True to 1."""
    made = ConfigSpace.ConfigurationSpace(seed=seed)
    by_name = {p.name: _translated(p) for p in space.parameters}
    made.add(*by_name.values())
    for p in space.parameters:
        if p.parent is not None:
            parent = next(other for other in space.parameters if other.name == p.parent)
            places = [parent.values.index(value) for value in p.when]
            made.add(ConfigSpace.InCondition(by_name[p.name], by_name[p.parent], places))
    return made


def _translated(p: Parameter) -> Any:
    if p.kind == "choice":
        return ConfigSpace.CategoricalHyperparameter(p.name, list(range(len(p.values))))
    if p.kind == "ordinal":
        return ConfigSpace.OrdinalHyperparameter(p.name, list(range(len(p.values))))
    if p.kind == "whole":
        return ConfigSpace.UniformIntegerHyperparameter(p.name, int(p.low), int(p.high), log=p.is_log)
    return ConfigSpace.UniformFloatHyperparameter(p.name, p.low, p.high, log=p.is_log)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
