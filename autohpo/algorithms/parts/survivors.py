"""Survivors: the best few trials of several objectives, kept one result after the other, as evolution does it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from autohpo.algorithms.parts.arrays import BoolArray, FloatArray, IntArray
from autohpo.spaces import SearchSpace
from autohpo.surrogates import pareto
from autohpo.trial import Trial

Spread = Callable[[FloatArray], FloatArray]
"""How much each of the ``(n, m)`` values of one front adds to it, all of it in their own unit; more is better."""


@dataclass(frozen=True, eq=False)
class Individual:
    """A trial that has survived so far.

    Attributes:
        number: The number of the trial.
        values: ``(m,)`` scores, higher is better.
        violation: The sum of what it misses the constraints by; 0 where it meets them.
        point: ``(d,)`` the configuration in the unit cube.
        mask: ``(d,)`` which columns of the point are active.
    """

    number: int
    values: FloatArray
    violation: float
    point: FloatArray
    mask: BoolArray


class Survivors:
    """The best of the trials so far, at most `size`; a function of the results in the order told.

    Each result joins, and where there are too many the least leaves: of the last front the one that adds least to it.

    Args:
        space: The space of the search.
        size: How many there are at most.
        spread: How much each individual of a front adds to it.

    Attributes:
        individuals: The survivors, in the order told.
        ranks: ``(n,)`` the front of each, 0 the best.
        spreads: ``(n,)`` how much each adds to its front.
    """

    def __init__(self, space: SearchSpace, size: int, spread: Spread) -> None:
        self._space, self._size, self._spread = space, size, spread
        self.individuals: list[Individual] = []
        self.ranks: IntArray = np.empty(0, dtype=np.int64)
        self.spreads: FloatArray = np.empty(0)

    def __len__(self) -> int:
        return len(self.individuals)

    def individual(self, trial: Trial) -> Individual:
        """Return a trial with a result as an individual."""
        point, mask = self._space.encode([trial.hp])[0], self._space.mask([trial.hp])[0]
        return Individual(trial.number, np.array(trial.scores), trial.violation, point, mask)

    def add(self, individual: Individual) -> Individual | None:
        """Add an individual, and return the one that leaves for it, which may be the very same."""
        self.individuals.append(individual)
        self._rank()
        if len(self.individuals) <= self._size:
            return None
        worst = np.flatnonzero(self.ranks == self.ranks.max())
        place = int(worst[::-1][np.argmin(self.spreads[worst[::-1]])])  # of equals the youngest leaves
        gone = self.individuals.pop(place)
        self._rank()
        return gone

    def _rank(self) -> None:
        values = np.array([individual.values for individual in self.individuals])
        self.ranks = constrained_ranks(values, np.array([individual.violation for individual in self.individuals]))
        self.spreads = np.empty(len(self.individuals))
        for rank in range(int(self.ranks.max()) + 1):
            places = np.flatnonzero(self.ranks == rank)
            self.spreads[places] = self._spread(values[places])

    def is_better(self, i: int, j: int) -> bool:
        """Whether the individual at place i is in a better front than that at place j, or adds more to the same front.

        Source: Deb et al. 2002, IEEE TEC 6(2), section III-B (the crowded-comparison operator).
        """
        i_rank, j_rank = self.ranks[i], self.ranks[j]
        return bool(i_rank < j_rank or (i_rank == j_rank and self.spreads[i] > self.spreads[j]))


def constrained_ranks(values: FloatArray, violations: FloatArray) -> IntArray:
    """``(n,)`` the front of each of ``(n, m)`` values; those that miss constraints follow, by how much they miss them.

    Source: Deb et al. 2002, IEEE TEC 6(2), definition 1 (constrained-domination).
    """
    ranks = np.empty(len(values), dtype=np.int64)
    is_met = violations == 0
    ranks[is_met] = pareto.ranks(values[is_met]) if is_met.any() else 0
    n_fronts = int(ranks[is_met].max()) + 1 if is_met.any() else 0
    ranks[~is_met] = n_fronts + np.unique(violations[~is_met], return_inverse=True)[1]
    return ranks


def volumes(values: FloatArray) -> FloatArray:
    """``(n,)`` the volume that each of ``(n, m)`` values of a front covers alone; infinite where it is best in one.

    Source: Igel, Hansen and Roth 2007, Evolutionary Computation 15(1), section 4.1 (contributing hypervolume).
    """
    unit = pareto.scaled(values)
    alone = pareto.contributions(unit, np.zeros(unit.shape[1]))
    alone[unit.argmax(axis=0)] = np.inf  # the first of equals
    return alone
