"""Syne Tune: its schedulers, driven as its tuner does, without its clock."""

from __future__ import annotations

import logging
from datetime import datetime
from typing import Any

from syne_tune import config_space
from syne_tune.backend.trial_status import Trial
from syne_tune.optimizer import baselines
from syne_tune.optimizer.scheduler import SchedulerDecision

from suite.fidelity.players.steps import Steps
from suite.fidelity.simulator import Exhausted, Job, Setting
from suite.fidelity.task import FidelityTask
from suite.space import Parameter

_WHEN = datetime(2024, 1, 1)  # noqa: DTZ001 - nobody looks at it


class SyneTune:
    """A scheduler that pauses trials at rungs and promotes them.

    Args:
        task: Says space and fidelities; parameters without effect are there all the same, as it has no conditions.
        seed: Of the scheduler.
        setting: Not used.
        kind: A class of its baselines.
        options: Handed to it.
    """

    takes_reports = True

    def __init__(self, task: FidelityTask, seed: int, setting: Setting, kind: str = "MOBSTER", **options: Any) -> None:
        logging.disable(logging.WARNING)
        self._task, self._steps = task, Steps(task)
        given = {"type": "promotion", "grace_period": self._steps.low, **options}
        self._scheduler = getattr(baselines, kind)(
            {p.name: _domain(p) for p in task.space.parameters},
            metric="value",
            mode="max",
            resource_attr="step",
            max_t=self._steps.high,
            random_seed=seed,
            **given,
        )
        self._trials: dict[int, tuple[Trial, dict[str, Any], float]] = {}

    def ask(self) -> Job:
        """A new trial or one that goes on; each says itself where it pauses, by its reports."""
        number = len(self._trials)
        suggestion = self._scheduler.suggest(number)
        if suggestion is None:
            raise Exhausted("nothing is left")
        if suggestion.spawn_new_trial_id:
            trial = Trial(number, suggestion.config, _WHEN)
            self._scheduler.on_trial_add(trial)
            full = {p.name: _value(p, suggestion.config[p.name]) for p in self._task.space.parameters}
            self._trials[number] = trial, self._task.space.stripped(full), 0.0
        else:
            number = int(suggestion.checkpoint_trial_id)
        trial, hp, had = self._trials[number]
        return Job(trial, number, hp, self._task.high, had)

    def report(self, job: Job, fidelity: float, value: float) -> bool:
        """Whether the scheduler lets it go on."""
        result = {"value": value, "step": self._steps.of(fidelity), "elapsed_time": fidelity / self._task.high}
        return self._scheduler.on_trial_result(job.token, result) == SchedulerDecision.CONTINUE

    def tell(self, job: Job, fidelity: float, value: float, *, is_stopped: bool) -> None:
        """A trial pauses, or has come to its end."""
        trial, hp, _ = self._trials[job.trial]
        self._trials[job.trial] = trial, hp, fidelity
        if is_stopped:
            self._scheduler.on_trial_remove(trial)
        else:
            result = {"value": value, "step": self._steps.of(fidelity), "elapsed_time": fidelity / self._task.high}
            self._scheduler.on_trial_complete(trial, result)


def _domain(p: Parameter) -> Any:
    if p.kind == "choice":
        return config_space.choice([str(k) for k in range(len(p.values))])
    if p.kind == "ordinal":
        return config_space.ordinal(list(range(len(p.values))), kind="equal")
    if p.kind == "whole":
        return (config_space.lograndint if p.is_log else config_space.randint)(int(p.low), int(p.high))
    return (config_space.loguniform if p.is_log else config_space.uniform)(p.low, p.high)


def _value(p: Parameter, value: Any) -> Any:
    return p.values[int(value)] if p.is_list else value
