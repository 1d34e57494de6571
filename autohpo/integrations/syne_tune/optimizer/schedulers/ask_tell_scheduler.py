"""AskTellScheduler: ask and tell in two calls, over any scheduler."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

from autohpo.errors import NoResultError, OptimizationComplete
from autohpo.integrations.syne_tune.backend.trial_status import Status, Trial, TrialResult
from autohpo.integrations.syne_tune.optimizer.scheduler import TrialScheduler
from autohpo.integrations.syne_tune.values import value_of

__all__ = ["AskTellScheduler"]


class AskTellScheduler:
    """Ask for a trial, and tell its result.

    Args:
        base_scheduler: The scheduler.

    Attributes:
        bscheduler: The scheduler.
        trial_counter: How many trials were asked for.
        completed_experiments: The trials whose results were told, by their numbers.

    Example:
        >>> from autohpo.integrations.syne_tune.config_space import uniform
        >>> from autohpo.integrations.syne_tune.optimizer.schedulers.fifo import FIFOScheduler
        >>> scheduler = AskTellScheduler(FIFOScheduler({"x": uniform(0, 1)}, metric="loss", random_seed=0))
        >>> for _ in range(3):
        ...     trial = scheduler.ask()
        ...     scheduler.tell(trial, {"loss": trial.config["x"]})
        >>> scheduler.best_trial().trial_id
        2
    """

    def __init__(self, base_scheduler: TrialScheduler) -> None:
        self.bscheduler = base_scheduler
        self.trial_counter = 0
        self.completed_experiments: dict[int, TrialResult] = {}
        self._trials: dict[int, Trial] = {}

    def ask(self) -> Trial:
        """Return the next trial: a new one, or one that was paused and goes on.

        Raises:
            OptimizationComplete: Nothing can start now.
        """
        suggestion = self.bscheduler.suggest(self.trial_counter)
        if suggestion is None:
            raise OptimizationComplete("ask: nothing can start; tell the results of the trials that run")
        if not suggestion.spawn_new_trial_id and suggestion.checkpoint_trial_id is not None:
            trial = self._trials[suggestion.checkpoint_trial_id]
            trial.config = suggestion.config or trial.config
            return trial
        trial = Trial(self.trial_counter, suggestion.config or {})
        self._trials[trial.trial_id] = trial
        self.trial_counter += 1
        self.bscheduler.on_trial_add(trial)
        return trial

    def tell(self, trial: Trial, experiment_result: Mapping[str, Any]) -> None:
        """Take the result of a trial.

        Args:
            trial: The trial.
            experiment_result: What it reported last.
        """
        self.bscheduler.on_trial_complete(trial, experiment_result)
        metrics = [dict(experiment_result)]
        self.completed_experiments[trial.trial_id] = trial.add_results(
            metrics, Status.completed, datetime.now(tz=timezone.utc)
        )

    def best_trial(self, metric: str | None = None) -> TrialResult:
        """Return the trial with the best result.

        Args:
            metric: The name of the metric; None is the scheduler's.

        Raises:
            NoResultError: No result was told.
        """
        name = self.bscheduler.metric if metric is None else metric
        if not self.completed_experiments:
            raise NoResultError("best_trial: no result was told yet")
        sign = 1 if self.bscheduler.mode == "max" else -1
        return max(
            self.completed_experiments.values(), key=lambda one: sign * value_of(one.metrics[-1], name, "metric")
        )
