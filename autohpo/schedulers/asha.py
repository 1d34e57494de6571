"""Asynchronous successive halving: who is best so far goes on, without waiting for a rung to be full."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from autohpo.errors import NotReady, OptimizationComplete
from autohpo.history import History
from autohpo.schedulers.async_stopping import AsyncStopping
from autohpo.schedulers.asynchronous import Asynchronous, GivenPoints, bracket_weights, lowest_affordable
from autohpo.schedulers.base import Decision, Limits, Promote, Start, TrainingPlan, given_up_by
from autohpo.schedulers.costs import RungCosts
from autohpo.schedulers.ranking import Ranking, Scores, scores_of
from autohpo.schedulers.rungs import SLACK

__all__ = ["AsyncPromotion", "AsyncStopping", "bracket_weights"]

_MOST_PLANNED = 100_000  # suggestions that are looked ahead


class Rung:
    """The results at one fidelity, and those of them that were not promoted."""

    def __init__(self) -> None:
        self.results = Ranking()
        self.waiting = Ranking()

    def add(self, number: int, scores: Scores, *, is_waiting: bool) -> None:
        """Take a result.

        Args:
            number: The number of its trial.
            scores: What it is ranked by.
            is_waiting: Whether it was not promoted.
        """
        self.results.add(number, scores)
        if is_waiting:
            self.waiting.add(number, scores)

    def best_waiting(self, given_up: frozenset[int] = frozenset()) -> tuple[int, int] | None:
        """Return number and rank, from 1, of the best trial that was not promoted; None where all were.

        Args:
            given_up: The trials that will not be.
        """
        n_given_up = sum(number in self.waiting for number in given_up)
        if len(self.waiting) == n_given_up:
            return None
        if not self.waiting.has_fronts:
            best = next(number for number in self.waiting.best(1 + n_given_up) if number not in given_up)
            return best, self.results.rank(best)
        ranked = enumerate(self.results.best(len(self.results)), 1)  # the order of a part would be another one
        return next((n, rank) for rank, n in ranked if n in self.waiting and n not in given_up)


class AsyncPromotion(Asynchronous):
    """Pauses every trial at its rung, and promotes those that are among the best there.

    Where a worker is free, the rungs are looked at from the highest down: the best trial that was not promoted yet goes
    on, if it is among the best ``floor(n / eta)`` of the n results there. Where there is none, a new configuration
    starts. All brackets share their rungs.

    Where the limits of the search allow too few results for one to come from the lowest rung to the full fidelity, new
    configurations start at the lowest rung from which one can.

    Args:
        rungs: The fidelities, rising; the last is the full one.
        eta: The best 1 / eta of the results at a rung go on; None is the share of :class:`Rungs`.
        n_brackets: How many of the lowest rungs new configurations may start at.
        by_cost: Whether that share is one of the cost of the results there, in place of their number.
        rush: How many of the user's first points set a threshold: only what is as good as the best of them goes on.
        n_first: How many results at a rung must be among those that go on before the first of them does; 1 is the
            paper's. A search that its limits make short does not wait, nor does one that has no configuration left.

    Source: Li et al. 2020, MLSys 2, Algorithm 2; `by_cost` as in Syne Tune's ``cost_promotion``; `rush`: Zappella et
    al. 2021, arXiv 2103.16111.

    Example:
        >>> AsyncPromotion([1.0, 3.0, 9.0], eta=3).schedule
        (1.0, 3.0, 9.0)
    """

    can_give_up = True

    def __init__(
        self,
        rungs: Sequence[float],
        eta: float | None = None,
        n_brackets: int = 1,
        *,
        by_cost: bool = False,
        rush: int = 0,
        n_first: int = 1,
    ) -> None:
        super().__init__(rungs, eta, n_brackets, n_first)
        self._points, self._by_cost = GivenPoints(rush), by_cost
        self._restart()

    def _restart(self) -> None:
        self._rungs = [Rung() for _ in self.schedule]
        self._places: dict[int, int] = {}  # the rung of each result
        self._promoted: set[int] = set()  # and given up
        self._points.restart()
        self._costs = RungCosts()

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
        for level in reversed(range(self._top)):  # Algorithm 2, get_job
            found = self._promotable(seen, level, can_start=can_start)
            if found is not None:
                above, why = self.schedule[level + 1], f"{self._where(found, level)}: promoted to"
                return Promote(found, above, {"rung": level + 1, "why": f"{why} {above:g}", **self._notes(level + 1)})
        if can_start:
            level = max(self._first_rung(rng, seen), self._lowest_start())
            return Start(self.schedule[level], {"rung": level, **self._notes(level)})
        if seen.running:
            raise NotReady("no trial can be promoted before a running one has ended")
        raise OptimizationComplete("no configuration is left, and no trial can be promoted")

    def _lowest_start(self) -> int:
        """The lowest rung that new configurations start at."""
        return lowest_affordable(self.rungs, self.limits)

    @property
    def _top(self) -> int:
        """The highest rung that trials are promoted to."""
        return len(self.schedule) - 1

    def _notes(self, level: int) -> dict[str, str]:
        """What the notes of a trial that goes to a rung say of the rule there, where it is not the usual one."""
        rules = ["the best go on while they have had their share of the cost"] if self._by_cost else []
        rules += [self._points.rule] if self._points.n else []
        is_last = level == len(self.schedule) - 1
        return {"rule": "" if is_last else ", and ".join(rules)} if rules else {}

    def _promotable(self, seen: History, level: int, *, can_start: bool) -> int | None:
        """The best trial that was not promoted, if it is among those of its rung that go on."""
        rung = self._rungs[level]
        best = rung.best_waiting(self.given_up)
        n = self._n_best(seen, level, can_start=can_start) if best is not None else 0
        if best is None or best[1] > n:
            return None
        if self._points.better(rung.results, best[0]) is None:
            return best[0]
        given = [point for point in self._points.those_in(rung.waiting) if rung.results.rank(point) <= n]
        given = [point for point in given if point not in self.given_up]
        return min(given, key=rung.results.rank, default=None)

    def _n_best(self, seen: History, level: int, *, can_start: bool = True) -> int:
        """How many of the results at a rung, the best first, go on."""
        results = self._rungs[level].results
        if self._by_cost:
            return self._costs.n_going_on(seen, level, results, self.rungs.share(level), self.limits.is_continued)
        return self._n_going_on(len(results), level, can_start=can_start)

    def _where(self, number: int, level: int) -> str:
        """The rank of a trial at its rung."""
        results = self._rungs[level].results
        return f"rank {results.rank(number)} of {len(results)} at fidelity {self.schedule[level]:g}"

    def training_plan(self, limits: Limits) -> TrainingPlan | None:
        """Return what a search with these limits trains: as far as it does not depend on results."""
        if not limits.is_any:
            return None
        first = lowest_affordable(self.rungs, limits)
        full, n_trials, cost = self.schedule[-1], 0, 0.0
        results, promoted = [0] * len(self.schedule), [0] * len(self.schedule)
        while n_trials < limits.n and n_trials < _MOST_PLANNED:
            levels = range(len(self.schedule) - 2, first - 1, -1)
            level = next((k for k in levels if self._n_going_on(results[k], k, limits) > promoted[k]), None)
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
        where = self._where(trial, level)
        if level == len(self._rungs) - 1:
            return where
        n_best = self._n_best(seen, level)
        if not n_best and not self._by_cost:
            return f"{where}: none goes on before there are more results there"
        share = f", with up to {self.rungs.share(level):.0%} of the cost there," if self._by_cost else ""
        better = self._points.better(self._rungs[level].results, trial)
        threshold = "" if better is None else f", and it is worse than trial {better}, a point given"
        return f"{where}: the best {n_best}{share} go on{threshold}"

    def _follow(self, seen: History) -> None:
        """Catches up with the history."""
        step = self.news(seen)
        if step.is_reset:
            self._restart()
        self._points.follow(step.asked)
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
                self._added(trial.number, level)

    def _added(self, number: int, level: int) -> None:
        """Called with each result that enters a rung, in the order told."""
