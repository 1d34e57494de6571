"""Failures: trials that end without a result, counted, named once, and the end of a search that has too many."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from autohpo.errors import FailuresError, FirstTrialError
from autohpo.trial import Trial, TrialState

MAX_CHARACTERS = 160  # of a reason in a line of the progress

WORDS: Mapping[TrialState, str] = {
    TrialState.FAILED: "failed",
    TrialState.INVALID: "invalid",
    TrialState.CRASHED: "crashed",
    TrialState.TIMEOUT: "timed out",
    TrialState.MEMORY: "out of memory",
}
"""The states without a result in the words of the progress line."""


class Failures:
    """Counts the trials without a result, in the order of their ends; those of earlier runs do not count.

    Args:
        most: How many in a row end the search; None allows any number.
        may_first: Whether the first trial may fail.
        say: Shows a sentence: the first failure of each kind is named.

    Attributes:
        counts: How many trials ended in each state without a result.
        n_in_row: How many did since the last one with a result, which sets it to 0.
    """

    def __init__(self, most: int | None, say: Callable[[str], None], *, may_first: bool) -> None:
        self._most, self._may_first, self._say = most, may_first, say
        self.n_in_row = 0
        self.counts: dict[TrialState, int] = {}

    def ended(self, trial: Trial, *, is_first: bool, is_last: bool) -> None:
        """Take the end of a trial without a result.

        Args:
            trial: The trial.
            is_first: Whether it was the first to start, and no other one has a result.
            is_last: Whether the search ends with it anyway.

        Raises:
            FirstTrialError: It was, and it raised or returned no number.
            FailuresError: Too many in a row had no result.
        """
        if trial.state is TrialState.CANCELLED:
            return
        self.n_in_row += 1
        self.counts[trial.state] = self.counts.get(trial.state, 0) + 1
        if is_first and not self._may_first and trial.state in (TrialState.FAILED, TrialState.INVALID):
            did = "raised" if trial.state is TrialState.FAILED else "returned no result"
            which = "the first to start" if self.n_in_row < 3 else "and none before it had a result"
            raise FirstTrialError(
                f"the objective {did} in trial {trial.number}, {which}; fix it, or go on in spite of it "
                f"with continue_on_error=True{_fidelity_hint(trial)}\n{trial.error}"
            )
        if self.counts[trial.state] == 1:
            self._say(f"trial {trial.number} {WORDS.get(trial.state, trial.state.value)}: {reason_of(trial)}")
        if self._most is not None and self.n_in_row >= self._most and not is_last:
            raise FailuresError(
                f"max_consecutive_failures: {self.n_in_row} trials in a row had no result, so the search ends; fix "
                "the objective or the space, or raise this number, and run the same command again; the last, trial "
                f"{trial.number}, is {trial.state}: {trial.error.strip()}"
            )


def _fidelity_hint(trial: Trial) -> str:
    """What to do where an objective counted on an integer, and its fidelity was none; else the empty string."""
    fidelity = trial.fidelity
    if fidelity is None or float(fidelity).is_integer() or not re.search(r"\b(float|integer)", reason_of(trial)):
        return ""
    return (
        f". Its fidelity was {fidelity:g}, no integer: use int(fidelity) in the objective, or give fidelities whose "
        "levels are integers, such as min_fidelity=1, max_fidelity=27, eta=3; hpo.fidelity_schedule() shows them"
    )


def reason_of(trial: Trial) -> str:
    """Return the line of a trial's error that says most: the last one of a traceback, or the first one."""
    lines = trial.error.strip().splitlines() or [""]
    line = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    line = line.removeprefix("autohpo.errors.").strip()
    return line if len(line) <= MAX_CHARACTERS else line[: MAX_CHARACTERS - 3] + "..."
