"""Asynchronous successive halving: who is best so far goes on, without waiting for a rung to be full."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import NotReady, OptimizationComplete
from autohpo.history import History
from autohpo.schedulers.base import Decision, Limits, Promote, Scheduler, Start, TrainingPlan, given_up_by
from autohpo.schedulers.ranking import Ranking, Scores, scores_of
from autohpo.schedulers.schedule import SLACK, Plan
from autohpo.trial import Running, Trial

_MOST_PLANNED = 100_000  # suggestions that are looked ahead


def bracket_weights(rungs: Sequence[float], n_brackets: int) -> NDArray[np.float64]:
    """Return ``(n,)`` chances of the brackets, bracket s starting at rung s: as Hyperband's first rungs are sized.

    Args:
        rungs: The fidelities, rising.
        n_brackets: How many brackets there are, at most one for each rung.

    Source: Li et al. 2018, JMLR 18(185), Algorithm 1; drawn at random as in Syne Tune.
    """
    S = len(rungs)
    n_s = np.array([S / ((S - s) * rungs[s]) for s in range(n_brackets)])
    weights: NDArray[np.float64] = n_s / n_s.sum()
    return weights


def lowest_affordable(rungs: Sequence[float], eta: float, limits: Limits) -> int:
    """Return the lowest rung from which one configuration comes to the full fidelity within limits; 0 if none does.

    Args:
        rungs: The fidelities, rising; the last is the full one.
        eta: The best 1 / eta of the results at a rung go on.
        limits: What the search may spend in all.
    """
    return _lowest(tuple(rungs), eta, limits._replace(n_left=limits.n, cost_left=limits.cost)) if limits.is_any else 0


@lru_cache
def _lowest(rungs: tuple[float, ...], eta: float, limits: Limits) -> int:
    for first in range(len(rungs)):
        sizes = [math.ceil(eta**k - SLACK) for k in reversed(range(len(rungs) - first))]
        if Plan(tuple(sizes), rungs[first:]).fits(limits):
            return first
    return 0


class _Asynchronous(Scheduler):
    """What both kinds share: rungs, brackets that start at one of them, and the rule of the best 1 / eta.

    Args:
        rungs: The fidelities, rising; the last is the full one.
        eta: The best 1 / eta of the results at a rung go on.
        n_brackets: How many of the lowest rungs new configurations may start at.
    """

    def __init__(self, rungs: Sequence[float], eta: float, n_brackets: int = 1) -> None:
        self.schedule: Sequence[float] = tuple(rungs)
        self._eta = eta
        self._weights = bracket_weights(rungs, n_brackets)

    def _n_going_on(self, n: int) -> int:
        """How many of n results at a rung go on: none before there are eta of them."""
        return int(n / self._eta + SLACK)

    def _first_rung(self, rng: np.random.Generator) -> int:
        """The rung that a new configuration starts at."""
        return int(rng.choice(len(self._weights), p=self._weights)) if len(self._weights) > 1 else 0


class _Rung:
    """The results at one fidelity, and those of them that were not promoted."""

    def __init__(self) -> None:
        self.results = Ranking()
        self.waiting = Ranking()

    def add(self, number: int, scores: Scores, *, is_waiting: bool) -> None:
        """Takes a result."""
        self.results.add(number, scores)
        if is_waiting:
            self.waiting.add(number, scores)

    def best_waiting(self, given_up: frozenset[int] = frozenset()) -> tuple[int, int] | None:
        """Number and rank, from 1, of the best trial that was not promoted; those given up never are."""
        n_given_up = sum(number in self.waiting for number in given_up)
        if len(self.waiting) == n_given_up:
            return None
        if not self.waiting.has_fronts:
            best = next(number for number in self.waiting.best(1 + n_given_up) if number not in given_up)
            return best, self.results.rank(best)
        ranked = enumerate(self.results.best(len(self.results)), 1)  # the order of a part would be another one
        return next((n, rank) for rank, n in ranked if n in self.waiting and n not in given_up)


class AsyncPromotion(_Asynchronous):
    """Pauses every trial at its rung, and promotes those that are among the best there.

    Where a worker is free, the rungs are looked at from the highest down: the best trial that was not promoted yet goes
    on, if it is among the best ``floor(n / eta)`` of the n results there. Where there is none, a new configuration
    starts. All brackets share their rungs.

    Where the limits of the search allow too few results for one to come from the lowest rung to the full fidelity, new
    configurations start at the lowest rung from which one can.

    Args:
        rungs: The fidelities, rising; the last is the full one.
        eta: The best 1 / eta of the results at a rung go on.
        n_brackets: How many of the lowest rungs new configurations may start at.

    Source: Li et al. 2020, MLSys 2, Algorithm 2.

    Example:
        >>> AsyncPromotion([1.0, 3.0, 9.0], eta=3).schedule
        (1.0, 3.0, 9.0)
    """

    def __init__(self, rungs: Sequence[float], eta: float, n_brackets: int = 1) -> None:
        super().__init__(rungs, eta, n_brackets)
        self._restart()

    def _restart(self) -> None:
        self._rungs = [_Rung() for _ in self.schedule]
        self._places: dict[int, int] = {}  # the rung of each result
        self._promoted: set[int] = set()  # and given up

    def next(
        self, seen: History, rng: np.random.Generator, *, can_start: bool = True, n_left: float = math.inf
    ) -> Decision:
        """Return the promotion of a trial at the highest rung that has one; else a new configuration.

        Args:
            seen: The history of the search.
            rng: The generator that the bracket of a new configuration is drawn from.
            can_start: Whether a new configuration can be had.
            n_left: Not used: the rule asks for no budget.

        Raises:
            NotReady: Nothing can start, and no rung has a promotion while trials run.
            OptimizationComplete: Nothing can start, and nothing will be promoted.
        """
        self._follow(seen)
        for level in reversed(range(len(self.schedule) - 1)):  # Algorithm 2, get_job
            rung = self._rungs[level]
            best, n = rung.best_waiting(self.given_up), len(rung.results)
            if best is not None and best[1] <= self._n_going_on(n):
                here, above = self.schedule[level], self.schedule[level + 1]
                why = f"rank {best[1]} of {n} at fidelity {here:g}: promoted to {above:g}"
                return Promote(best[0], above, {"rung": level + 1, "why": why})
        if can_start:
            level = max(self._first_rung(rng), lowest_affordable(self.schedule, self._eta, self.limits))
            return Start(self.schedule[level], {"rung": level})
        if seen.running:
            raise NotReady("no trial can be promoted before a running one has ended")
        raise OptimizationComplete("no configuration is left, and no trial can be promoted")

    def training_plan(self, limits: Limits) -> TrainingPlan | None:
        """Return what a search with these limits trains: as far as it does not depend on results."""
        if not limits.is_any:
            return None
        first = lowest_affordable(self.schedule, self._eta, limits)
        full, n_trials, cost = self.schedule[-1], 0, 0.0
        results, promoted = [0] * len(self.schedule), [0] * len(self.schedule)
        while n_trials < limits.n and n_trials < _MOST_PLANNED:
            levels = range(len(self.schedule) - 2, first - 1, -1)
            level = next((k for k in levels if self._n_going_on(results[k]) > promoted[k]), None)
            at = first if level is None else level + 1
            had = self.schedule[level] if level is not None and limits.is_continued else 0.0
            if cost + (self.schedule[at] - had) / full > limits.cost + SLACK:
                break
            if level is not None:
                promoted[level] += 1
            n_trials, cost, results[at] = n_trials + 1, cost + (self.schedule[at] - had) / full, results[at] + 1
        return TrainingPlan(n_trials, results[-1], cost * full, full, is_exact=False)

    def resumable(self, seen: History) -> frozenset[int]:
        """Return the trials that were not promoted yet: each may be, once there are more results at its rung."""
        self._follow(seen)
        return frozenset(number for rung in self._rungs[:-1] for number in rung.waiting)

    def why(self, seen: History, trial: int) -> str:
        """Return the rank of a trial at its rung, and how many of the rung go on."""
        self._follow(seen)
        if trial not in self._places:
            return ""
        level = self._places[trial]
        results = self._rungs[level].results
        where = f"rank {results.rank(trial)} of {len(results)} at fidelity {self.schedule[level]:g}"
        is_last = level == len(self._rungs) - 1
        return where if is_last else f"{where}: the best {self._n_going_on(len(results))} go on"

    def _follow(self, seen: History) -> None:
        """Catches up with the history."""
        step = self.news(seen)
        if step.is_reset:
            self._restart()
        for item in step.asked:
            for number in (*([] if item.resume is None else [item.resume]), *given_up_by(item)):
                self._promoted.add(number)
                if number in self._places:
                    self._rungs[self._places[number]].waiting.discard(number)
        for trial in step.told:
            level, scores = trial.info.get("rung"), scores_of(trial)
            if not scores or type(level) is not int or not 0 <= level < len(self.schedule):
                continue
            if trial.fidelity == self.schedule[level]:
                self._rungs[level].add(trial.number, scores, is_waiting=trial.number not in self._promoted)
                self._places[trial.number] = level


class AsyncStopping(_Asynchronous):
    """Starts every trial with everything there is, and stops it at the first rung where it is not among the best.

    A report enters the highest rung that it is the first of its trial to reach. The trial goes on while the rung has
    fewer than eta results, and after that where it is among the best ``floor(n / eta)`` of the n results so far, its
    own included. All brackets share their rungs.

    Args:
        rungs: The fidelities, rising; the last is the full one.
        eta: The best 1 / eta of the results at a rung go on.
        n_brackets: How many of the lowest rungs may be the first that judges a trial.

    Source: Li et al. 2020, MLSys 2; the stopping variant is Syne Tune's and Ray's.

    Example:
        >>> AsyncStopping([1.0, 3.0, 9.0], eta=3).schedule
        (1.0, 3.0, 9.0)
    """

    def __init__(self, rungs: Sequence[float], eta: float, n_brackets: int = 1) -> None:
        super().__init__(rungs, eta, n_brackets)
        self._judging = self.schedule[:-1]
        self._reasons: dict[int, str] = {}  # of trials that were stopped; for users, and no decision reads them
        self._restart()

    def _restart(self) -> None:
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
        return Start(self.schedule[-1], {"rung": self._first_rung(rng)})

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
        n, rank = len(results), results.rank(trial)
        n_going_on = self._n_going_on(n)
        if not n_going_on or rank <= n_going_on:
            return True
        self._reasons[trial] = f"stopped at {fidelity:g}: rank {rank} of {n}, the best {n_going_on} go on"
        return False

    def why(self, seen: History, trial: int) -> str:
        """Return at which rung a trial was stopped, and its rank there; the empty string where it was not."""
        return self._reasons.get(trial, "")

    def _follow(self, seen: History) -> None:
        """Catches up with the trials that have ended."""
        step = self.news(seen)
        if step.is_reset:
            self._restart()
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
