"""Following: keeps the status of a tuner's search, tells the callbacks, and ends the search when it is over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from autohpo.execution.base import Event
from autohpo.execution.watch import AttemptListener
from autohpo.integrations.syne_tune.backend.trial_status import Status, Trial
from autohpo.integrations.syne_tune.optimizer.scheduler import SchedulerDecision, TrialScheduler
from autohpo.integrations.syne_tune.tuner_callback import TunerCallback
from autohpo.integrations.syne_tune.tuning_status import TuningStatus
from autohpo.trial import Outcome, Task, TrialState

__all__ = ["Following"]

SLACK = 1e-9
_log = logging.getLogger("autohpo")


class Following(AttemptListener):
    """What a tuner knows of its search while it runs.

    Args:
        scheduler: The scheduler.
        is_over: The stopping criterion.
        callbacks: What is told.
        max_failures: How many trials may fail.
        waits: Whether what runs may end when the search is over.
        print_seconds: The seconds between two lines in the log.

    Attributes:
        status: How the search stands.
        is_closing: Whether nothing more may start.
    """

    def __init__(
        self,
        scheduler: TrialScheduler,
        is_over: Callable[[TuningStatus], bool],
        callbacks: Sequence[TunerCallback],
        *,
        max_failures: int,
        waits: bool,
        print_seconds: float,
    ) -> None:
        self.status = TuningStatus(scheduler.metric_names())
        self._scheduler, self._is_over, self._callbacks = scheduler, is_over, callbacks
        self._max_failures, self._waits, self._print_seconds = max_failures, waits, print_seconds
        self.is_closing = False
        self._printed = time.monotonic()
        self._tasks: dict[int, Task] = {}  # what runs, by the number of its suggestion
        self._trials: dict[int, Trial] = {}  # by the number of the first suggestion of its chain

    @property
    def has_failed(self) -> bool:
        """Whether more trials failed than may."""
        return self.status.num_trials_failed > self._max_failures

    def started(self, task: Task) -> None:
        """Take the start of an attempt."""
        self._tasks[task.number] = task
        known = self._trials.get(task.root)
        config = self._scheduler.config_of(task.hp, task.fidelity)
        trial = self._trials[task.root] = known or Trial(len(self._trials), config)
        trial.config = config
        self.status.last_trial_status_seen[trial.trial_id] = Status.in_progress
        for callback in self._callbacks:
            callback.on_start_trial(trial) if known is None else callback.on_resume_trial(trial)

    def reported(self, event: Event, goes_on: bool) -> None:
        """Take a report, and what was answered."""
        task = self._tasks.get(event.number)
        if task is None:
            return
        trial, result = self._trials[task.root], self._result(event)
        self.status.add(trial.trial_id, result)
        is_done = task.fidelity is not None and (event.fidelity or 0) >= task.fidelity - SLACK
        decision = SchedulerDecision.CONTINUE if goes_on and not is_done else SchedulerDecision.STOP
        if is_done and self._is_partial(task):
            decision = SchedulerDecision.PAUSE
        for callback in self._callbacks:
            callback.on_trial_result(trial, Status.in_progress, result, decision)

    def ended(self, event: Event) -> None:
        """Take the end of an attempt."""
        task = self._tasks.pop(event.number, None)
        if task is None or event.outcome is None:
            return
        trial = self._trials[task.root]
        status = self._status_of(task, event.outcome)
        self.status.last_trial_status_seen[trial.trial_id] = status
        if status == Status.completed:
            last = self.status.trial_metric_statistics[trial.trial_id].last_metrics
            for callback in self._callbacks:
                callback.on_trial_complete(trial, last)

    def looked(self) -> None:
        """End the search where it is over, and say how it stands now and then."""
        for callback in self._callbacks:
            callback.on_loop_end()
            callback.on_loop_start()
        self.is_closing = self.is_closing or self.has_failed or self._is_over(self.status)
        if self.is_closing and not (self._waits and self._tasks):
            self._scheduler.hpo.stop()
        if time.monotonic() - self._printed > self._print_seconds:
            self._printed = time.monotonic()
            _log.info("%s", self.status)

    def _result(self, event: Event) -> Mapping[str, Any]:
        resource = self._scheduler.resource_attr
        found: dict[str, Any] = {self._scheduler.metric: event.perf}
        if resource is not None:
            found[resource] = event.fidelity
        return {**found, **(event.metrics or {})}

    def _is_partial(self, task: Task) -> bool:
        """Whether an attempt was not to train its trial in full."""
        full = self._scheduler.hpo.full_fidelity
        return full is not None and task.fidelity is not None and task.fidelity < full - SLACK

    def _status_of(self, task: Task, outcome: Outcome) -> str:
        if outcome.state in (TrialState.CANCELLED, TrialState.LOST):
            return Status.stopped
        if not outcome.perfs:
            return Status.failed
        reached = outcome.reached or 0
        is_done = outcome.state is TrialState.COMPLETE or (
            task.fidelity is not None and reached >= task.fidelity - SLACK
        )
        if not is_done:
            return Status.stopped
        return Status.paused if self._is_partial(task) else Status.completed
