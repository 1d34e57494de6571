"""What asynchronous schedulers share: rungs, brackets that start at one of them, and points that set a threshold."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from autohpo.errors import OptionError
from autohpo.history import History
from autohpo.schedulers.base import Limits, Scheduler
from autohpo.schedulers.bracket_weights import BracketWeights, learned_weights
from autohpo.schedulers.ranking import Ranking
from autohpo.schedulers.rungs import SLACK, Rungs
from autohpo.schedulers.schedule import Plan
from autohpo.trial import Running, Trial


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


def lowest_affordable(rungs: Rungs, limits: Limits) -> int:
    """Return the lowest rung from which one configuration comes to the full fidelity within limits; 0 if none does.

    Args:
        rungs: The fidelities, and how many go on from each.
        limits: What the search may spend in all.
    """
    return _lowest(rungs, limits._replace(n_left=limits.n, cost_left=limits.cost)) if limits.is_any else 0


_PATIENT_SHARE = 1 / 3
"""The largest share of what a search may spend that the trials up to the first ones in full may take, to be patient."""


def can_wait(rungs: Rungs, n_first: int, limits: Limits) -> bool:
    """Return whether a search can afford to wait, at each rung, until `n_first` results may go on from it.

    Args:
        rungs: The fidelities, and how many go on from each.
        n_first: How many results go on together at first.
        limits: What the search may spend in all.
    """
    n, cost = limits.n * _PATIENT_SHARE, limits.cost * _PATIENT_SHARE
    return _fits(rungs, n_first, limits._replace(n_left=n, cost_left=cost))


@lru_cache
def _fits(rungs: Rungs, n_first: int, limits: Limits) -> bool:
    sizes = tuple(math.ceil(n_first * width - SLACK) for width in rungs.widths)
    return Plan(sizes, rungs.fidelities).fits(limits)


@lru_cache
def _lowest(rungs: Rungs, limits: Limits) -> int:
    for first in range(len(rungs.fidelities)):
        sizes = tuple(math.ceil(width - SLACK) for width in rungs.widths[first:])
        if Plan(sizes, rungs.fidelities[first:]).fits(limits):
            return first
    return 0


class Asynchronous(Scheduler):
    """What both kinds share: rungs, brackets that start at one of them, and the rule of the best 1 / eta.

    Args:
        rungs: The fidelities, rising; the last is the full one.
        eta: The best 1 / eta of the results at a rung go on; None is the share of :class:`Rungs`.
        n_brackets: How many of the lowest rungs new configurations may start at.
        n_first: How many results at a rung must be among those that go on before the first of them does.

    Raises:
        OptionError: `n_first` is below 1.

    Attributes:
        weights: The trust in each rung, by which brackets are drawn; None draws them as often as Hyperband has them.
    """

    weights: BracketWeights | None = None

    def __init__(self, rungs: Sequence[float], eta: float | None = None, n_brackets: int = 1, n_first: int = 1) -> None:
        if n_first < 1:
            raise OptionError(f"first_promotions: must be at least 1, got {n_first}")
        self.schedule: Sequence[float] = tuple(rungs)
        self.rungs, self._n_first = Rungs(tuple(rungs), eta), n_first
        self._weights = bracket_weights(rungs, n_brackets)

    def _n_going_on(self, n: int, level: int, limits: Limits | None = None, *, can_start: bool = True) -> int:
        """How many of n results at a rung go on: none before there are eta of them, or more where it can wait.

        Where nothing new can start it does not: more results may never come.
        """
        n_best = self.rungs.n_going_on(n, level)
        if not can_start or not 0 < n_best < self._n_first:
            return n_best
        limits = self.limits if limits is None else limits
        return 0 if not limits.is_any or can_wait(self.rungs, self._n_first, limits) else n_best

    def _first_rung(self, rng: np.random.Generator, seen: History | None = None) -> int:
        """The rung that a new configuration starts at."""
        weights = self._weights
        if len(weights) == 1:
            return 0
        if self.weights is not None and seen is not None:
            weights = learned_weights(self.schedule, weights, self.weights(seen))
        return int(rng.choice(len(weights), p=weights))


class GivenPoints:
    """The first points that the user gave: what others must be as good as, to go on.

    Args:
        n: How many of the points count; 0 sets no threshold.

    Raises:
        OptionError: `n` is negative.

    Source: Zappella et al. 2021, arXiv 2103.16111, RUSH.
    """

    def __init__(self, n: int) -> None:
        if n < 0:
            raise OptionError(f"rush: must be at least 0, got {n}")
        self.n = n
        self._numbers: list[int] = []  # of their trials, also of those that continue them

    def restart(self) -> None:
        """Forget the trials."""
        self._numbers = []

    def follow(self, asked: Iterable[Trial | Running]) -> None:
        """Take trials that were asked for, in the order of their numbers."""
        for item in asked if self.n else ():
            place = item.info.get("point")
            is_given = item.resume is None and type(place) is int and place < self.n
            if is_given or item.resume in self._numbers:
                self._numbers.append(item.number)

    def better(self, results: Ranking, number: int) -> int | None:
        """Return the best of the points at a rung where it is better than a result there; else None.

        A point itself always competes, so that there is none for it.

        Args:
            results: The results at the rung.
            number: The result that is judged.
        """
        if not self.n or number in self._numbers:
            return None
        there = self.those_in(results)
        if not there:
            return None
        best = min(there, key=results.rank)
        is_worse = results.rank(best) < results.rank(number) and results.scores(best) != results.scores(number)
        return best if is_worse else None

    def those_in(self, rivals: Ranking) -> list[int]:
        """Return the points among some results."""
        return [point for point in self._numbers if point in rivals]

    @property
    def rule(self) -> str:
        """What it asks for, as a line for people; empty where it asks for nothing."""
        who = "the point" if self.n == 1 else f"the best of the {self.n} points"
        return f"of the best those go on that are as good as {who} given" if self.n else ""
