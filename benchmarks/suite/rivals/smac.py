"""SMAC: a forest (the facade for hyper-parameters) or a Gaussian process (the one for black boxes)."""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import smac
from smac.runhistory import TrialInfo, TrialValue

from suite.rivals import Setting
from suite.rivals.config_space import config_space, configuration
from suite.space import Configuration


class HyperparameterFacade:
    """The forest; told that the objective is deterministic, so that each evaluation is of a new configuration."""

    facade = smac.HyperparameterOptimizationFacade

    def __init__(self, setting: Setting) -> None:
        logging.getLogger("smac").setLevel(logging.ERROR)
        self._space = setting.space
        self._folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            config_space(setting.space, setting.seed),
            output_directory=Path(self._folder.name),
            deterministic=True,
            n_trials=setting.budget,
            seed=setting.seed,
        )
        self._smac = self.facade(scenario, _never_called, logging_level=False, overwrite=True, **setting.options)

    def ask(self) -> tuple[TrialInfo, Configuration]:
        """A trial, with a value for each active parameter."""
        trial = self._smac.ask()
        return trial, configuration(self._space, trial.config)

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
