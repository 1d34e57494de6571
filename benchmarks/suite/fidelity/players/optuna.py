"""Optuna: TPE whose trials a pruner stops."""

from __future__ import annotations

from typing import Any

import optuna

from suite.fidelity.players.steps import Steps
from suite.fidelity.simulator import Job, Setting
from suite.fidelity.task import FidelityTask
from suite.rivals.define_by_run import DefineByRun


class TPE:
    """Every trial aims at full fidelity, reports on the way, and is stopped where the pruner says so.

    Args:
        task: Says space and fidelities.
        seed: Of the sampler.
        setting: Not used.
        pruner: "hyperband", "halving" or "median".
        options: Handed to the sampler.
    """

    takes_reports = True

    def __init__(
        self, task: FidelityTask, seed: int, setting: Setting, pruner: str = "hyperband", **options: Any
    ) -> None:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        self._steps, self._high, self._n = Steps(task), task.high, 0
        low, high = self._steps.low, self._steps.high
        pruners = {
            "hyperband": lambda: optuna.pruners.HyperbandPruner(low, high, 3),
            "halving": lambda: optuna.pruners.SuccessiveHalvingPruner(low, 3),
            "median": optuna.pruners.MedianPruner,
        }
        sampler = optuna.samplers.TPESampler(seed=seed, **options)
        self._study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruners[pruner]())
        self._asking = DefineByRun(self._study, task.space)

    def ask(self) -> Job:
        """A new trial, to be trained in full."""
        trial, hp = self._asking.ask()
        return Job(trial, trial.number, hp, self._high)

    def report(self, job: Job, fidelity: float, value: float) -> bool:
        """Whether the pruner lets it go on."""
        job.token.report(value, self._steps.of(fidelity))
        return not job.token.should_prune()

    def tell(self, job: Job, fidelity: float, value: float, *, is_stopped: bool) -> None:
        """The end of a trial; the value of a pruned one is that which it reported last."""
        if is_stopped:
            self._study.tell(job.token, state=optuna.trial.TrialState.PRUNED)
        else:
            self._study.tell(job.token, value)
