"""Stopped: the view in which a trial that was stopped has a result, no better than what it was stopped for."""

from __future__ import annotations

from bisect import insort
from collections.abc import Sequence
from dataclasses import replace

from autohpo.history import Cursor, History, HistoryView, ReadOnly
from autohpo.spaces import SearchSpace
from autohpo.trial import Running, Trial, TrialState


class StoppedTrials(HistoryView):
    """The history as a sampler without fidelities may see it where bad trials are stopped.

    What was stopped would be missing in its models, or be taken for promising as what runs is. Its last value says
    less than a full training, and may even be higher. So it counts with that, but as no worse than the worst result
    of those in full, and as no better than their median, as far as there are any by then. Before there is any it runs.

    Args:
        history: The whole history, of one objective.
        full: The fidelity of a full evaluation, which trials without a fidelity are.
    """

    def __init__(self, history: History, full: float) -> None:
        self._history, self._full = history, full
        self._cursor = Cursor(history)
        self._revision = -1
        self._restart()

    def _restart(self) -> None:
        self._revision += 1
        self._open: dict[int, Running] = {}
        self._waiting: list[Trial] = []  # stopped before any trial was complete
        self._closed: list[Trial] = []
        self._scores: list[float] = []  # of those in full, rising

    @property
    def revision(self) -> int:  # type: ignore[override]
        """How often the history has lost a trial, so that everything was read anew."""
        self._read()
        return self._revision

    def _read(self) -> None:
        step = self._cursor.step()
        if step.is_reset:
            self._restart()
        for item in step.asked:
            started = item if isinstance(item, Running) else Running(item.suggestion, [], item.signs)
            self._open[item.number] = started
        for trial in step.told:
            if trial.score is None:
                self._close(trial)
            elif trial.reached >= self._full:
                insort(self._scores, trial.score)
                self._close(trial)
                for stopped in self._waiting:
                    self._close(self._judged(stopped))
                self._waiting = []
            elif self._scores:
                self._close(self._judged(trial))
            else:
                self._waiting.append(trial)

    def _close(self, trial: Trial) -> None:
        del self._open[trial.number]
        self._closed.append(trial)

    def _judged(self, trial: Trial) -> Trial:
        """A trial that was stopped, with the result that it counts with."""
        scores = self._scores
        score = min(max(trial.score or 0.0, scores[0]), scores[(len(scores) - 1) // 2])
        sign = trial.signs[0] if trial.signs else 1
        return replace(trial, outcome=replace(trial.outcome, state=TrialState.COMPLETE, perfs=(sign * score,)))

    @property
    def space(self) -> SearchSpace:
        """The parameters that are searched."""
        return self._history.space

    @property
    def trials(self) -> Sequence[Trial]:
        """The trials that have ended, in the order in which they had a result here."""
        self._read()
        return ReadOnly(self._closed)

    @property
    def running(self) -> Sequence[Running]:
        """The trials without an end, and those that were stopped before any was complete."""
        self._read()
        return list(self._open.values())

    def at(self, fidelity: float | None) -> HistoryView:
        """Return the view of one fidelity of the whole history."""
        return self._history.at(fidelity)

    def last_values(self) -> HistoryView:
        """Return the view of the whole history in which every chain is its last finished trial."""
        return self._history.last_values()
