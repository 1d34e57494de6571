"""Paused trainings: how many are held, and which of them is the least likely to go on."""

from __future__ import annotations

import math
from bisect import bisect_left, insort

from autohpo.execution.base import Executor
from autohpo.search import Search
from autohpo.trial import Trial


class Suspended:
    """Keeps the number of paused trainings within bounds, and ranks them for an executor that is short of memory.

    Where one must go, it is the one whose loss costs least: its chance to go on, by its rank among the results at its
    fidelity, times the training that would be lost. One that is about to go on is the last to go.

    Args:
        search: The search.
        executor: Where trainings are paused.
        max_suspended: How many are held at most.
    """

    def __init__(self, search: Search, executor: Executor, max_suspended: int) -> None:
        self._search, self._executor, self._max = search, executor, max_suspended
        self._held: set[int] = set()  # roots
        self._scores: dict[float, list[float]] | None = None  # minus the scores at each fidelity, the best first

    def ended(self, number: int) -> None:
        """Take the end of a trial or an attempt, and let go of what is too much.

        Args:
            number: The number of the trial.
        """
        if number < 0:  # no trial of the algorithm's: none is promoted
            return
        state = self._search.state
        if self._scores is not None and number not in state.running:
            self._add(state[number])
        self._held.add(state.chain(number).root)
        self._held = {root for root in self._held if self._is_held(root)}
        if not self._held:
            return
        if self._scores is None:
            self._scores = {}
            for trial in state.trials():
                self._add(trial)
        ranked = sorted(self._held, key=self._loss)
        n = max(0, len(ranked) - self._max)
        for root in ranked[:n]:
            self._executor.drop(root)
            self._held.discard(root)
        self._executor.rank(ranked[n:])

    def _is_held(self, root: int) -> bool:
        return any(self._executor.holds(slot, root) for slot in self._executor.slots())

    def _add(self, trial: Trial) -> None:
        if self._scores is not None and trial.score is not None and trial.fidelity is not None:
            insort(self._scores.setdefault(trial.fidelity, []), -trial.score)

    def _loss(self, root: int) -> float:
        """What it would cost to let go of a training."""
        state = self._search.state
        leaf = state.chain(root).leaf
        if leaf in state.running:
            return math.inf
        trial = state[leaf]
        scores = (self._scores or {}).get(trial.fidelity or 0.0, [])
        if trial.score is None or trial.fidelity is None or not scores:
            return 0.0
        return trial.fidelity * (1 - bisect_left(scores, -trial.score) / len(scores))
