"""Stopped: the view in which a trial that was stopped has a result, no better than what it was stopped for."""

from __future__ import annotations

from bisect import insort
from dataclasses import replace

from autohpo.history import History
from autohpo.schedulers.retold import Retold
from autohpo.trial import Running, Trial, TrialState


class StoppedTrials(Retold):
    """The history as a sampler without fidelities may see it where bad trials are stopped.

    What was stopped would be missing in its models, or be taken for promising as what runs is. Its last value says
    less than a full training, and may even be higher. So it counts with that, but as no worse than the worst result
    of those in full, and as no better than their median, as far as there are any by then. Before there is any it runs.

    Args:
        history: The whole history, of one objective.
        full: The fidelity of a full evaluation, which trials without a fidelity are.
    """

    def __init__(self, history: History, full: float) -> None:
        super().__init__(history)
        self._full = full
        self._restart()

    def _restart(self) -> None:
        super()._restart()
        self._waiting: list[Trial] = []  # stopped before any trial was complete
        self._scores: list[float] = []  # of those in full, rising

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
