"""Limits: what a search may spend, what it has spent, and what it will train with that."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import NamedTuple

from autohpo.history import Cursor, History
from autohpo.trial import Running, Suggestion, Trial, TrialState

__all__ = ["Limits", "Spending", "TrainingPlan"]


class Limits(NamedTuple):
    """What a search may spend: in all, and from now on.

    Attributes:
        n: How many suggestions in all; infinite without a limit.
        n_left: How many from now on, the next one included.
        cost: How much in all, in full evaluations; infinite without a budget.
        cost_left: How much from now on.
        is_continued: Whether a promoted trial continues its training, so that only what is added costs.
    """

    n: float = math.inf
    n_left: float = math.inf
    cost: float = math.inf
    cost_left: float = math.inf
    is_continued: bool = True

    @property
    def is_any(self) -> bool:
        """Whether there is a limit at all."""
        return self.n < math.inf or self.cost < math.inf


@dataclass(frozen=True)
class TrainingPlan:
    """What a search will train; printed, it is a line for people.

    Attributes:
        n_trials: How many trainings there will be; a promotion counts as one.
        n_full: How many of them reach the full fidelity.
        trained: The fidelity of all of them together.
        full: The full fidelity.
        is_exact: Whether it follows from the schedule alone, and not from results.
        n_at: How many trainings there are to each fidelity, where that is known.

    Example:
        >>> print(TrainingPlan(13, 1, 27, 9))
        13 trainings, 1 in full, 27 epochs (3 full evaluations)
    """

    n_trials: int
    n_full: int
    trained: float
    full: float
    is_exact: bool = True
    n_at: tuple[tuple[float, int], ...] = ()

    def plus_in_full(self, n: int) -> TrainingPlan:
        """Return the same with some more full evaluations."""
        return replace(self, n_trials=self.n_trials + n, n_full=self.n_full + n, trained=self.trained + n * self.full)

    def __str__(self) -> str:
        about, more = ("", "") if self.is_exact else ("about ", " or more")
        if self.full == 1 and self.n_full == self.n_trials:  # without fidelities there are no epochs to speak of
            return f"{about}{self.n_trials} trainings, all in full"
        unit = "epochs" if self.full > 1 else "of fidelity"
        trained, cost = f"{round(self.trained, 6):.12g}", round(self.trained / self.full, 2)
        text = f"{about}{self.n_trials} trainings, {self.n_full}{more} in full, {about}{trained} {unit}"
        return f"{text} ({cost:g} full evaluation{'s' * (cost != 1)})"


class Spending:
    """What a search has spent, in full evaluations, kept up to date.

    A trial that runs counts with all that it was given, one that was stopped or has failed with what it reported. Known
    results cost nothing.

    Args:
        history: The history of the search.
        full: The fidelity of a full evaluation; None where every trial is one.
        is_continued: Whether a promoted or forked trial continues a training, so that only what is added costs.
    """

    def __init__(self, history: History, full: float | None, *, is_continued: bool = True) -> None:
        self._history, self._cursor = history, Cursor(history)
        self._full, self._is_continued = full, is_continued
        self._spent, self._running = 0.0, dict[int, float]()

    def update(self) -> float:
        """Return what was spent until now, with all that the running trials were given."""
        step = self._cursor.step()
        if step.is_reset:
            self._spent, self._running = 0.0, {}
        for item in step.asked:
            if "known" not in item.info:
                suggestion = item.suggestion
                self._running[item.number] = self.cost(suggestion)
        for trial in step.told:
            planned = self._running.pop(trial.number, None)
            if planned is not None:
                self._spent += min(planned, self._spent_on(trial))
        return self._spent + sum(self._running.values())

    def cost(self, suggestion: Suggestion) -> float:
        """Return what a suggestion costs if it is trained to its fidelity."""
        return max(self._share(suggestion.fidelity) - self._had(suggestion), 0.0)

    def _spent_on(self, trial: Trial) -> float:
        """What a finished trial has cost."""
        if trial.state is TrialState.COMPLETE or self._full is None:
            return math.inf  # all that was planned
        done = trial.reached if trial.state is TrialState.STOPPED else math.inf
        if trial.perf is None and trial.reports:
            done = trial.reports[-1][0]
        return max(min(done / self._full, 1.0) - self._had(trial.suggestion), 0.0) if done < math.inf else math.inf

    def _share(self, fidelity: float | None) -> float:
        return 1.0 if fidelity is None or self._full is None else fidelity / self._full

    def _had(self, suggestion: Suggestion) -> float:
        """What was trained before, where that is continued."""
        source = suggestion.resume if suggestion.resume is not None else suggestion.fork
        if source is None or not self._is_continued:
            return 0.0
        before: Trial | Running | None = self._history.get(source)
        return 0.0 if before is None else self._share(before.fidelity)
