"""SMAC's multi-fidelity facade: a forest in Hyperband's brackets."""

from __future__ import annotations

import logging
import tempfile
from pathlib import Path
from typing import Any

import smac
from smac.runhistory import TrialValue

from suite.fidelity.players.continued import Continued
from suite.fidelity.simulator import Exhausted, Job, Setting
from suite.fidelity.task import FidelityTask
from suite.rivals.config_space import config_space, configuration


class MultiFidelity:
    """Asked and told; a configuration that it promotes goes on where it was.

    Args:
        task: Says space and fidelities.
        seed: Of everything random.
        setting: Says the budget, from which the number of trials that SMAC wants to know is a bound.
        options: Handed to it.
    """

    takes_reports = False

    def __init__(self, task: FidelityTask, seed: int, setting: Setting, **options: Any) -> None:
        logging.getLogger("smac").setLevel(logging.ERROR)
        self._space, self._continued = task.space, Continued()
        self._folder = tempfile.TemporaryDirectory()
        scenario = smac.Scenario(
            config_space(task.space, seed),
            output_directory=Path(self._folder.name),
            deterministic=True,
            n_trials=int(setting.trainings * task.high / task.levels()[0]) + 1,
            min_budget=task.low,
            max_budget=task.high,
            seed=seed,
        )
        intensifier = smac.MultiFidelityFacade.get_intensifier(scenario, eta=3)
        self._smac = smac.MultiFidelityFacade(
            scenario, _never_called, intensifier=intensifier, logging_level=False, overwrite=True, **options
        )

    def ask(self) -> Job:
        """The next configuration and its fidelity."""
        try:
            asked = self._smac.ask()
        except StopIteration as error:
            raise Exhausted(str(error)) from error
        return self._continued.job(asked, configuration(self._space, asked.config), float(asked.budget))

    def report(self, job: Job, fidelity: float, value: float) -> bool:
        """Nothing is stopped."""
        return True

    def tell(self, job: Job, fidelity: float, value: float, *, is_stopped: bool) -> None:
        """The value at the fidelity that was asked for."""
        self._continued.ended(job, fidelity)
        self._smac.tell(job.token, TrialValue(cost=-value))


def _never_called(config: Any, seed: int = 0, budget: float = 0.0) -> float:  # noqa: ARG001 - SMAC looks at the names
    """SMAC wants an objective to look at, even where it is only asked and told."""
    raise RuntimeError("SMAC called the objective by itself")
