"""Survivors: the best few trials of several objectives, kept one result after the other, as evolution does it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autohpo.spaces import SearchSpace
from autohpo.surrogates import pareto
from autohpo.trial import Trial

FloatArray = NDArray[np.float64]
IntArray = NDArray[np.int64]

Spread = Callable[[FloatArray], FloatArray]
"""How much each of the ``(n, m)`` values of one front adds to it, all of it in their own unit; more is better."""


@dataclass(frozen=True, eq=False)
class Individual:
    """A trial that has survived so far.

    Attributes:
        number: Of the trial.
        values: ``(m,)`` its objectives, higher is better.
        violation: By how much it misses the constraints; 0 where it meets them.
        point: ``(d,)`` its configuration in the unit cube.
        mask: ``(d,)`` which columns of it are in force.
    """

    number: int
    values: FloatArray
    violation: float
    point: FloatArray
    mask: NDArray[np.bool_]


class Survivors:
    """The best of the trials so far, at most `size`; a function of the results in the order told.

    Each result joins, and where there are too many the least leaves: of the last front the one that adds least to it.

    Args:
        space: That is searched.
        size: How many there are at most.
        spread: How much each member of a front adds to it.

    Attributes:
        members: In the order told.
        ranks: ``(n,)`` the front of each, 0 the best.
        spreads: ``(n,)`` how much each adds to its front.
    """

    def __init__(self, space: SearchSpace, size: int, spread: Spread) -> None:
        self._space, self._size, self._spread = space, size, spread
        self.members: list[Individual] = []
        self.ranks: IntArray = np.empty(0, dtype=np.int64)
        self.spreads: FloatArray = np.empty(0)

    def __len__(self) -> int:
        return len(self.members)

    def member(self, trial: Trial) -> Individual:
        """What a trial with a result is as a member."""
        point, mask = self._space.encode([trial.hp])[0], self._space.mask([trial.hp])[0]
        return Individual(trial.number, np.array(trial.scores), trial.violation, point, mask)

    def add(self, member: Individual) -> Individual | None:
        """Takes a member in, and returns the one that leaves for it, which may be the very same."""
        self.members.append(member)
        self._judge()
        if len(self.members) <= self._size:
            return None
        worst = np.flatnonzero(self.ranks == self.ranks.max())
        place = int(worst[::-1][np.argmin(self.spreads[worst[::-1]])])  # of equals the youngest leaves
        gone = self.members.pop(place)
        self._judge()
        return gone

    def _judge(self) -> None:
        values = np.array([member.values for member in self.members])
        self.ranks = constrained_ranks(values, np.array([member.violation for member in self.members]))
        self.spreads = np.empty(len(self.members))
        for rank in range(int(self.ranks.max()) + 1):
            places = np.flatnonzero(self.ranks == rank)
            self.spreads[places] = self._spread(values[places])

    def is_better(self, left: int, right: int) -> bool:
        """Whether the member at one place is in a better front than at another, or adds more to the same."""
        keys = [(-int(self.ranks[place]), float(self.spreads[place])) for place in (left, right)]
        return keys[0] > keys[1]


def constrained_ranks(values: FloatArray, violations: FloatArray) -> IntArray:
    """``(n,)`` the front of each of ``(n, m)`` values; those that miss constraints follow, by how much they miss them.

    Source: Deb et al. 2002, IEEE TEC 6(2), definition 1.
    """
    ranks = np.empty(len(values), dtype=np.int64)
    is_met = violations == 0
    ranks[is_met] = pareto.ranks(values[is_met]) if is_met.any() else 0
    n_fronts = int(ranks[is_met].max()) + 1 if is_met.any() else 0
    ranks[~is_met] = n_fronts + np.unique(violations[~is_met], return_inverse=True)[1]
    return ranks


def scaled(values: FloatArray) -> FloatArray:
    """``(n, m)`` values of a front from 0, the worst, to 1, the best of each objective; 0 where all are equal."""
    low, high = values.min(axis=0), values.max(axis=0)
    halves = high / 2 - low / 2  # of the ranges: those of huge values are no doubles
    return np.asarray((values / 2 - low / 2) / np.where(halves > 0, halves, 1.0), dtype=float)


def crowding(values: FloatArray) -> FloatArray:
    """``(n,)`` how far each of ``(n, m)`` values of a front has its neighbours; infinite at the ends.

    Source: Deb et al. 2002, IEEE TEC 6(2), section III-B.
    """
    n, m = values.shape
    distances = np.zeros(n)
    if n < 3:
        return np.full(n, np.inf)
    unit = scaled(values)
    for j in range(m):
        order = np.argsort(unit[:, j], kind="stable")
        column = unit[order, j]
        distances[order[1:-1]] += column[2:] - column[:-2]
        distances[order[[0, -1]]] = np.inf
    return distances


def volumes(values: FloatArray) -> FloatArray:
    """``(n,)`` the volume that each of ``(n, m)`` values of a front covers alone; infinite where it is best in one.

    Source: Igel, Hansen and Roth 2007, Evolutionary Computation 15(1), section 4.1.
    """
    unit = scaled(values)
    alone = pareto.contributions(unit, np.zeros(unit.shape[1]))
    alone[unit.argmax(axis=0)] = np.inf  # the first of equals
    return alone


def take_in(trials: Sequence[Trial], n_told: int, survivors: Survivors) -> int:
    """Adds the trials with a result from the n-th on, and returns how many there are now."""
    for trial in trials[n_told:]:
        if trial.scores:
            survivors.add(survivors.member(trial))
    return len(trials)
