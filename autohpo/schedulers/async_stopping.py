"""Asynchronous halving by stopping: a trial runs on, and ends at the first rung where it is not among the best."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

import numpy as np

from autohpo.errors import OptimizationComplete
from autohpo.history import History
from autohpo.schedulers.asynchronous import Asynchronous, GivenPoints
from autohpo.schedulers.base import Decision, Start
from autohpo.schedulers.ranking import Ranking, Scores
from autohpo.schedulers.rungs import SLACK
from autohpo.trial import Running, Trial


class AsyncStopping(Asynchronous):
    """Starts every trial with everything there is, and stops it at the first rung where it is not among the best.

    A report enters the highest rung that it is the first of its trial to reach. The trial goes on while the rung has
    fewer than eta results, and after that where it is among the best ``floor(n / eta)`` of the n results so far, its
    own included. All brackets share their rungs.

    Args:
        rungs: The fidelities, rising; the last is the full one.
        eta: The best 1 / eta of the results at a rung go on.
        n_brackets: How many of the lowest rungs may be the first that judges a trial.
        rush: How many of the user's first points set a threshold: a trial that is worse at a rung than the best of them
            is stopped there, also while the rung has fewer than eta results.

    Source: Li et al. 2020, MLSys 2; the stopping variant is Syne Tune's and Ray's; `rush`: Zappella et al. 2021, arXiv
    2103.16111.

    Example:
        >>> AsyncStopping([1.0, 3.0, 9.0], eta=3).schedule
        (1.0, 3.0, 9.0)
    """

    def __init__(self, rungs: Sequence[float], eta: float | None = None, n_brackets: int = 1, *, rush: int = 0) -> None:
        super().__init__(rungs, eta, n_brackets)
        self._points = GivenPoints(rush)
        self._judging = self.schedule[:-1]
        self._reasons: dict[int, str] = {}  # of trials that were stopped; for users, and no decision reads them
        self._restart()

    def _restart(self) -> None:
        self._points.restart()
        self._results = [Ranking() for _ in self._judging]  # of trials that have ended

    def next(
        self, seen: History, rng: np.random.Generator, *, can_start: bool = True, n_left: float = math.inf
    ) -> Decision:
        """Return a new configuration, with everything there is.

        Args:
            seen: The history of the search.
            rng: The generator that the first rung to judge it is drawn from.
            can_start: Whether a new configuration can be had.
            n_left: Not used: the rule asks for no budget.

        Raises:
            OptimizationComplete: Nothing can start.
        """
        if not can_start:
            raise OptimizationComplete("no configuration is left to start with")
        return Start(self.schedule[-1], {"rung": self._first_rung(rng, seen)})

    def on_report(self, seen: History, trial: int, fidelity: float, score: float | Scores) -> bool:
        """Return whether a running trial is among the best of the rung that it has just reached, if it has."""
        running = seen.find(trial)
        level, before = self._level(fidelity), [self._level(done) for done, _ in running.reports[-2:-1]]
        if before and before[0] >= level:  # what most reports are: no rung is reached
            return True
        marks = self._marks(running)
        if level not in marks or level in self._marks(running, -1):
            return True
        self._follow(seen)
        results = self._results[level].copy()
        for one in seen.running:
            found = self._marks(one).get(level)
            if found is not None:
                results.add(one.number, found)
        n, rank, n_going_on = len(results), results.rank(trial), self._n_going_on(len(results), level)
        where = f"stopped at {fidelity:g}: rank {rank} of {n}"
        better = self._points.better(results, trial)
        if n_going_on and rank > n_going_on:
            self._reasons[trial] = f"{where}, the best {n_going_on} go on"
            return False
        if better is not None:
            self._reasons[trial] = f"{where}, worse than trial {better}, a point given"
            return False
        return True

    def why(self, seen: History, trial: int) -> str:
        """Return at which rung a trial was stopped, and its rank there; the empty string where it was not."""
        return self._reasons.get(trial, "")

    def _follow(self, seen: History) -> None:
        """Catches up with the trials that have ended."""
        step = self.news(seen)
        if step.is_reset:
            self._restart()
        self._points.follow(step.asked)
        for trial in step.told:
            for level, scores in self._marks(trial).items():
                self._results[level].add(trial.number, scores)

    def _level(self, fidelity: float) -> int:
        """The highest rung at or below a fidelity; -1 below all of them."""
        return bisect_right(self._judging, fidelity * (1 + SLACK)) - 1

    def _marks(self, item: Trial | Running, n_reports: int | None = None) -> dict[int, Scores]:
        """The scores at each rung that a report was the first to reach, of all reports or of all but the last -n."""
        first = item.info.get("rung")
        if type(first) is not int or item.fidelity != self.schedule[-1]:  # of another schedule
            return {}
        marks: dict[int, Scores] = {}
        top = first - 1
        for fidelity, scores in item.curves[:n_reports]:
            level = self._level(fidelity)
            if level > top:
                marks[level], top = (0.0, *scores), level
        return marks
