"""Evolution: subpopulations of trials at one fidelity each, and children of mutants, as DEHB has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from autohpo.spaces import SearchSpace

__all__ = ["N_PARENTS", "Individual", "Subpopulation", "child"]

FloatArray = NDArray[np.float64]

N_PARENTS = 3
"""The number of parents of a mutant: one to start from, and two for a difference."""
_NEW_CATEGORY = 0.1
"""Chance that an unordered value is drawn anew: differences cannot bring back what the population has lost."""


@dataclass(frozen=True)
class Individual:
    """The trial that holds a place of a subpopulation.

    Attributes:
        number: The number of the trial.
        score: The result at the fidelity of the subpopulation, higher is better.
        point: ``(d,)`` the configuration in the unit cube.
        mask: ``(d,)`` which columns of the point are active.
    """

    number: int
    score: float
    point: FloatArray
    mask: NDArray[np.bool_]


class Subpopulation:
    """The best trial of each place at one fidelity; results of other fidelities are never compared with it.

    Args:
        size: The number of places.

    Attributes:
        individuals: The best trial of each place that has one, by the number of the place.
        n_asked: How many trials were asked for at the fidelity: each takes the next place.
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self.individuals: dict[int, Individual] = {}
        self.n_asked = 0

    @property
    def next_place(self) -> int:
        """The place that the next trial competes for."""
        return self.n_asked % self.size

    def compete(self, place: int, one: Individual) -> None:
        """Give a trial its place if it is at least as good as the one that holds it."""
        old = self.individuals.get(place % self.size)
        if old is None or one.score >= old.score:
            self.individuals[place % self.size] = one

    def best(self, n: int) -> list[Individual]:
        """Return the best n individuals in falling order; of equals the older first."""
        return sorted(self.individuals.values(), key=lambda one: (-one.score, one.number))[:n]

    def rank(self, number: int) -> int | None:
        """Return the rank of a trial, from 1; None where it holds no place."""
        ranked = [one.number for one in self.best(self.size)]
        return 1 + ranked.index(number) if number in ranked else None


def child(
    space: SearchSpace,
    target: Individual | None,
    parents: Sequence[Individual],
    rng: np.random.Generator,
    *,
    F: float,
    CR: float,
) -> FloatArray:
    """Return ``(d,)`` a point that has columns of a mutant of three parents, and others of a target.

    A column that is out of the unit interval, or inactive in one of them, is drawn from the prior. A value in no order
    is that of the first parent or, with probability F where the two others differ, of the second one; one in ten is
    new.

    Args:
        space: The space of all.
        target: The individual whose place the child competes for; None where the place is free: then a random point.
        parents: The three parents, of which the second and the third make a difference.
        rng: The generator to draw from.
        F: The length of the step, as a share of the difference.
        CR: The probability that a column is the mutant's; one column is at least.

    Source: Storn & Price 1997, J. Global Optimization 11 (rand/1/bin), by its letters; random repair and settings as in
        Awad et al. 2021, IJCAI.
    """
    d = space.n_columns
    drawn = rng.random((len(parents) + 3, d))
    x1, x2, x3 = (np.where(one.mask, one.point, row) for one, row in zip(parents, drawn, strict=False))
    x = drawn[3] if target is None else np.where(target.mask, target.point, drawn[3])
    v = x1 + F * (x2 - x3)  # mutation, rand/1
    v = np.where((v < 0) | (v > 1), drawn[4], v)
    taken = np.where((x2 != x3) & (rng.random(d) < F), x2, x1)
    taken = np.where(rng.random(d) < _NEW_CATEGORY, drawn[5], taken)
    is_crossed = rng.random(d) < CR  # binomial crossover
    is_crossed[int(rng.integers(d))] = True  # j_rand
    return np.where(is_crossed, np.where(space.levels > 0, taken, v), x)
