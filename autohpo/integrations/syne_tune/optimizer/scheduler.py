"""What schedulers answer, and the ask-and-tell that all of them have, over an optimizer of ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.integrations.syne_tune.backend.trial_status import Trial
from autohpo.integrations.syne_tune.points import Configurations
from autohpo.integrations.syne_tune.values import resource_of, value_of
from autohpo.trial import Suggestion

__all__ = ["SchedulerDecision", "TrialScheduler", "TrialSuggestion"]

SLACK = 1e-9


class SchedulerDecision:
    """What becomes of a trial that has reported."""

    CONTINUE = "CONTINUE"
    PAUSE = "PAUSE"
    STOP = "STOP"


@dataclass
class TrialSuggestion:
    """What to start next: a new trial, or one that is paused.

    Attributes:
        spawn_new_trial_id: Whether it is a new trial.
        checkpoint_trial_id: The paused trial to go on with, or the trial whose checkpoint a new one starts from.
        config: The configuration, constants included.
    """

    spawn_new_trial_id: bool = True
    checkpoint_trial_id: int | None = None
    config: dict[str, Any] | None = None

    @staticmethod
    def start_suggestion(config: dict[str, Any], checkpoint_trial_id: int | None = None) -> TrialSuggestion:
        """Return the suggestion to start a new trial.

        Args:
            config: The configuration.
            checkpoint_trial_id: The trial whose checkpoint it starts from, if any.
        """
        return TrialSuggestion(spawn_new_trial_id=True, checkpoint_trial_id=checkpoint_trial_id, config=config)

    @staticmethod
    def resume_suggestion(trial_id: int, config: dict[str, Any] | None = None) -> TrialSuggestion:
        """Return the suggestion to go on with a paused trial.

        Args:
            trial_id: The trial.
            config: The configuration, where something in it changes.
        """
        return TrialSuggestion(spawn_new_trial_id=False, checkpoint_trial_id=trial_id, config=config)


class TrialScheduler:
    """A scheduler: it suggests configurations, takes their results, and says which trials go on.

    :class:`Tuner` runs it with workers, a store and limits. Without a tuner, ask it by :meth:`suggest` and tell it by
    the methods that begin with ``on_trial``.

    Args:
        config_space: A dict from name to domain or constant.
        hpo: The optimizer that decides.
        metric: The name of what is optimized, among the reported values.
        constants: What is passed to every trial as it is.
        resource_attr: The name of the resource among the reported values; None counts the reports.
        max_resource_attr: The constant that tells a trial how far it is to go.
        cost_attr: The name of the cost among the reported values, if costs matter.

    Attributes:
        hpo: The optimizer, with everything that it offers: ``best()``, ``why()``, ``result`` after a tuner has run.
        config_of: What makes the configuration that a trial gets.
    """

    def __init__(
        self,
        config_space: Mapping[str, Any],
        hpo: BaseHPOptimizer,
        *,
        metric: str,
        constants: Mapping[str, Any],
        resource_attr: str | None = None,
        max_resource_attr: str | None = None,
        cost_attr: str | None = None,
    ) -> None:
        self.config_space, self.hpo, self.metric = config_space, hpo, metric
        self.constants = dict(constants)
        self.resource_attr, self.max_resource_attr, self.cost_attr = resource_attr, max_resource_attr, cost_attr
        self.config_of = Configurations(tuple(config_space), self.constants, max_resource_attr)
        self._running: dict[int, Suggestion] = {}  # by the number of the trial
        self._trial_ids: dict[int, int] = {}  # the number of the trial that each suggestion was for
        self._reached: dict[int, float] = {}  # by the number of the trial
        self._last: dict[int, Mapping[str, Any]] = {}

    @property
    def mode(self) -> str:
        """Which way the metric is better: "min" or "max"."""
        return "max" if self.hpo.objectives.signs[0] > 0 else "min"

    def metric_names(self) -> list[str]:
        """Return the name of the metric, in a list."""
        return [self.metric]

    def metric_mode(self) -> str:
        """Return "min" or "max"."""
        return self.mode

    def metadata(self) -> dict[str, Any]:
        """Return what is kept with the results of a tuner."""
        return {
            "metric_names": self.metric_names(),
            "metric_mode": self.metric_mode(),
            "scheduler_name": type(self).__name__,
            "resource_attr": self.resource_attr,
        }

    # Ask and tell.

    def suggest(self, trial_id: int) -> TrialSuggestion | None:
        """Return what to start next; None where nothing can start now.

        Args:
            trial_id: The number of the trial, should a new one start; not used before.

        Raises:
            OptionError: The number was used before.
        """
        if trial_id in self._reached:
            raise OptionError(f"trial_id: must not have been used before, got {trial_id}")
        try:
            suggestion = self.hpo.ask()
        except (OptimizationComplete, NotReady):
            return None
        config = self.config_of(suggestion, suggestion.fidelity)
        found = trial_id if suggestion.resume is None else self._trial_ids[suggestion.resume]
        self._trial_ids[suggestion.number], self._running[found] = found, suggestion
        if suggestion.resume is not None:
            return TrialSuggestion.resume_suggestion(found, config)
        self._reached[found] = 0 if suggestion.fork is None else self._reached[self._trial_ids[suggestion.fork]]
        source = None if suggestion.fork is None else self._trial_ids[suggestion.fork]
        return TrialSuggestion.start_suggestion(config, source)

    def on_trial_add(self, trial: Trial) -> None:
        """Take the start of a new trial; nothing is to be done."""

    def on_trial_result(self, trial: Trial, result: Mapping[str, Any]) -> str:
        """Return what becomes of a trial: CONTINUE, PAUSE or STOP.

        Args:
            trial: The trial.
            result: What it reported: the metric, the resource from 1 on, and anything else.

        Raises:
            OptionError: The metric or the resource is missing, or is no number.
            EvaluationsError: The metric is not finite.
        """
        suggestion = self._running.get(trial.trial_id)
        if suggestion is None:
            return SchedulerDecision.STOP
        perf = value_of(result, self.metric, "metric")
        reached = self._resource(trial.trial_id, result)
        if reached <= self._reached[trial.trial_id]:
            return SchedulerDecision.CONTINUE  # a trial that was resumed goes over known ground
        goes_on = self.hpo.report(suggestion, reached, perf)
        self._reached[trial.trial_id], self._last[trial.trial_id] = reached, result
        if goes_on:
            return SchedulerDecision.CONTINUE
        is_done = suggestion.fidelity is not None and reached >= suggestion.fidelity - SLACK
        self._end(trial.trial_id, result, is_stopped=not is_done)
        full = self.hpo.full_fidelity
        is_paused = is_done and full is not None and suggestion.fidelity is not None and suggestion.fidelity < full
        return SchedulerDecision.PAUSE if is_paused else SchedulerDecision.STOP

    def on_trial_complete(self, trial: Trial, result: Mapping[str, Any]) -> None:
        """Take the end of a trial that ended by itself.

        Args:
            trial: The trial.
            result: What it reported last.
        """
        if trial.trial_id in self._running:
            self._end(trial.trial_id, result, is_stopped=False)

    def on_trial_error(self, trial: Trial) -> None:
        """Take the end of a trial that failed: it has no result, whatever it reported."""
        suggestion = self._running.pop(trial.trial_id, None)
        if suggestion is not None:
            self.hpo.fail(suggestion, "it was reported as failed")

    def on_trial_remove(self, trial: Trial) -> None:
        """Take the end of a trial that somebody stopped: what it reported last is its result."""
        if trial.trial_id not in self._running:
            return
        if trial.trial_id in self._last:
            self._end(trial.trial_id, self._last[trial.trial_id], is_stopped=True)
        else:
            self.on_trial_error(trial)

    def _end(self, trial_id: int, result: Mapping[str, Any], *, is_stopped: bool) -> None:
        perf = value_of(result, self.metric, "metric")
        cost = None if self.cost_attr is None else value_of(result, self.cost_attr, "cost_attr")
        self.hpo.tell(self._running[trial_id], perf, cost=cost, is_stopped=is_stopped)
        del self._running[trial_id]

    def _resource(self, trial_id: int, result: Mapping[str, Any]) -> float:
        """How far a trial has come by its own report; where it does not say so, one more than before."""
        if self.resource_attr is None:
            return self._reached[trial_id] + 1
        return resource_of(result, self.resource_attr)
