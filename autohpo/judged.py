"""Judged: what the end of an attempt is called, once it is known why it ended."""

from __future__ import annotations

import warnings
from dataclasses import replace

from autohpo.ending import Ending
from autohpo.execution.base import Executor
from autohpo.search import Search
from autohpo.trial import Outcome, TrialState


class Judge:
    """Gives ends of attempts the state that fits, and warns of objectives that do not end when told to.

    Args:
        search: The search.
        executor: Where its trials run.
        ending: Knows whether the search is ending.
    """

    def __init__(self, search: Search, executor: Executor, ending: Ending) -> None:
        self._search, self._executor, self._ending = search, executor, ending
        self._advised = 0

    def without_advice(self, outcome: Outcome) -> Outcome:
        """Warn once of an objective that goes on when told to end, and before that of one that returns another."""
        if not outcome.advice:
            return outcome
        weight = 2 if "went on" in outcome.advice else 1
        if weight > self._advised and not self._ending.reason:  # else it was told to end for another reason
            self._advised = weight
            warnings.warn(outcome.advice, UserWarning, stacklevel=2)
        return replace(outcome, advice="")

    def judged(self, number: int, outcome: Outcome) -> Outcome:
        """Return the outcome with the state that fits why the trial was asked to end."""
        if self._executor.is_inline and self._ending.signal is not None and not outcome.perfs:
            return replace(outcome, state=TrialState.CANCELLED)  # the signal interrupted it, whatever it made of that
        if outcome.state is not TrialState.STOPPED:
            return outcome
        if has_all(self._search.state.running[number].fidelity, outcome.reached):
            state = TrialState.COMPLETE  # it was asked to end when it had all it was given
        elif self._ending.reason:
            state = TrialState.CANCELLED  # it ended early because we asked it to, not because it had enough
        else:
            return replace(outcome, why=self._search.hpo.why(number))
        return replace(outcome, state=state)


def has_all(given: float | None, reached: float | None) -> bool:
    """Return whether a trial has come as far as the fidelity it was given."""
    return given is not None and reached is not None and reached >= given - 1e-9
