"""Watch: looks at the trials of a study as they end: callbacks, exceptions that end it, and what is tried first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.points import CheckedPoint
from autohpo.algorithms.session import session_of
from autohpo.define_by_run.frozen import frozen
from autohpo.define_by_run.objective import PARAMS, NotCaught, TrialObjective
from autohpo.errors import FailuresError, OptimizationComplete

if TYPE_CHECKING:
    from autohpo.define_by_run.study import Study

__all__ = ["Watch"]


class Watch:
    """Looks at the trials that end while a study runs, and ends it where somebody wants that.

    Args:
        study: The study.
        hpo: The optimizer of the study.
        objective: What runs; None between ask and tell.
        callbacks: The user's.
    """

    def __init__(
        self, study: Study, hpo: BaseHPOptimizer, objective: TrialObjective | None, callbacks: list[Any]
    ) -> None:
        self._study, self._hpo, self._objective, self._callbacks = study, hpo, objective, callbacks
        self._suggest, self._n_seen = hpo._get_suggestion, 0
        self._fault: Exception | None = None

    def begin(self, queue: list[dict[str, Any]]) -> None:
        """Take over the queue, now that the log was read; what it says of earlier ones stands."""
        wanted = session_of(self._hpo).wanted
        missing = wanted.n_started - len(wanted.points)
        wanted.points += [CheckedPoint({PARAMS: {}})] * missing + [CheckedPoint({PARAMS: one}) for one in queue]
        self._n_seen = len(self._hpo.history.trials)
        if self._objective is not None:
            self._hpo._get_suggestion = self._suggestion  # type: ignore[method-assign]

    def rest(self) -> list[dict[str, Any]]:
        """The part of the queue that was not tried."""
        wanted = session_of(self._hpo).wanted
        return [dict(point.hp[PARAMS]) for point in wanted.points[wanted.n_started :]]

    def _suggestion(self, pid: int) -> Mapping[str, Any]:
        self.look()
        if self._study.is_stopped or self._fault is not None:
            raise OptimizationComplete("the study was stopped")
        return self._suggest(pid)

    def look(self) -> None:
        """Call the callbacks for the trials that have ended since the last look."""
        trials = self._hpo.history.trials
        while self._n_seen < len(trials) and self._fault is None:
            trial = trials[self._n_seen]
            self._n_seen += 1
            if self._objective is not None and f"{NotCaught.__module__}.{NotCaught.__name__}" in trial.error:
                text = f"f: raised what is not in catch=, and ended the study; {trial.error.strip()}"
                self._fault = self._objective.faults.get(trial.number) or FailuresError(text)
            for callback in self._callbacks:
                try:
                    callback(self._study, frozen(trial, self._study.most))
                except Exception as fault:  # noqa: PERF203 - it is raised where the user can see it
                    self._fault = self._fault or fault

    def raise_fault(self) -> None:
        """Raise what ended the study, if anything did."""
        if self._fault is not None:
            raise self._fault
