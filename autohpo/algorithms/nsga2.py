"""NSGA-II: breeds from the best fronts, and keeps those that lie far from their neighbours."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.parts.survivors import Individual, Survivors
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.history import Cursor
from autohpo.surrogates.pareto import crowding

_TRIES = 16
"""Children that are bred in search of a new one, before one is drawn from the prior."""


@register_hpo("nsga2")
@dataclass(eq=False, kw_only=True)
class NSGA2(BaseHPOptimizer):
    """Crosses and mutates two parents, each the better of two survivors: in a better front, or in a wider gap of it.

    Survivors are the best `population_size` results so far. Numbers are crossed by SBX and mutated polynomially in the
    unit cube; values in no order are taken from either parent, and mutated by a draw from the prior. Constraints on the
    outcome come first: a trial that meets them beats one that does not. No configuration is suggested twice in a finite
    space.

    It departs from the paper in one way: every result joins at once and the least survivor leaves, so that no worker
    waits for a generation to end, and a child may be a parent of the next.

    Args:
        population_size: How many survive, at least 2; as many trials are drawn from the prior first.
        crossover_probability: Chance that the parents are crossed, from 0 to 1; else the first is only mutated.
        crossover_index: The paper's eta_c, above 0; children lie the nearer to their parents the higher it is.
        mutation_probability: Chance that a column is mutated, from 0 to 1; None is 1 / d for d columns.
        mutation_index: The paper's eta_m, above 0; mutations are the smaller the higher it is.

    Source: Deb et al. 2002, IEEE TEC 6(2), 182-197; Deb & Agrawal 1995, Complex Systems 9 (SBX); Durillo et al. 2009,
        EMO, 183-197 (one child at a time).

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = NSGA2([RangeHP("x", 0.0, 1.0)], seed=0, mode={"fit": "max", "cost": "min"})
        >>> for _ in range(60):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, {"fit": -((suggestion["x"] - 0.6) ** 2), "cost": suggestion["x"]})
        >>> bool(max(trial.hp["x"] for trial in hpo.trials[-10:]) < 0.65)  # beyond .6 both get worse
        True
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})

    population_size: int = 15
    crossover_probability: float = 0.9
    crossover_index: float = 2.0
    mutation_probability: float | None = None
    mutation_index: float = 20.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population_size < 2:
            raise OptionError(f"population_size: must be at least 2, got {self.population_size}")
        for name in ("crossover_probability", "mutation_probability"):
            value = getattr(self, name)
            if value is not None and not 0 <= value <= 1:
                raise OptionError(f"{name}: must be from 0 to 1, got {value}")
        for name in ("crossover_index", "mutation_index"):
            if not 0 < getattr(self, name) < math.inf:
                raise OptionError(f"{name}: must be above 0 and finite, got {getattr(self, name)}")

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._seen = SeenSet(self.history)
        self._survivors = Survivors(self.space, self.population_size, crowding)
        self._cursor = Cursor(self.history)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        for trial in self._cursor.told():
            if trial.scores:
                self._survivors.add(self._survivors.individual(trial))
        if len(self._survivors) >= self.population_size and self.space.n_columns:
            for _ in range(_TRIES):
                hp = self.space.decode(self._child()[None])[0]
                if self._seen.is_new(hp):
                    return hp
        return self._seen.draw(self.rng)

    def _child(self) -> FloatArray:
        """``(d,)`` a child of two survivors."""
        rng, levels = self.rng, self.space.levels
        parents = self._parent(), self._parent()
        # What is inactive in a parent is drawn from the prior there, for a child in which it is active.
        left, right = (np.where(parent.mask, parent.point, rng.random(len(levels))) for parent in parents)
        if rng.random() < self.crossover_probability:
            mixed = np.where(rng.random(len(levels)) < 0.5, left, right)
            left = np.where(levels > 0, mixed, crossed(left, right, self.crossover_index, rng))
        chance = 1 / len(levels) if self.mutation_probability is None else self.mutation_probability
        moved = np.where(levels > 0, rng.random(len(levels)), mutated(left, self.mutation_index, rng))
        return np.where(rng.random(len(levels)) < chance, moved, left)

    def _parent(self) -> Individual:
        """The better of two survivors: a binary tournament."""
        left, right = (int(place) for place in self.rng.integers(len(self._survivors), size=2))
        return self._survivors.individuals[right if self._survivors.is_better(right, left) else left]


def crossed(x1: FloatArray, x2: FloatArray, eta_c: float, rng: np.random.Generator) -> FloatArray:
    """``(d,)`` one of the two children of simulated binary crossover, which changes each column with chance 1/2.

    Source: Deb & Agrawal 1995, Complex Systems 9, section 4.
    """
    u = rng.random(len(x1))
    beta = np.where(u <= 0.5, (2 * u) ** (1 / (eta_c + 1)), (2 * (1 - u)) ** (-1 / (eta_c + 1)))
    is_first = rng.random(len(x1)) < 0.5
    near, far = np.where(is_first, x1, x2), np.where(is_first, x2, x1)
    child = ((1 + beta) * near + (1 - beta) * far) / 2
    return np.clip(np.where(rng.random(len(x1)) < 0.5, child, near), 0.0, 1.0)


def mutated(x: FloatArray, eta_m: float, rng: np.random.Generator) -> FloatArray:
    """``(d,)`` a point with each column moved by polynomial mutation, which does not leave the unit cube.

    Source: Deb 2001, Multi-objective optimization using evolutionary algorithms, section 4.3; with bounds as in the
        authors' own program.
    """
    u, power = rng.random(len(x)), eta_m + 1
    down = (2 * u + (1 - 2 * u) * (1 - x) ** power) ** (1 / power) - 1
    up = 1 - (2 * (1 - u) + (2 * u - 1) * x**power) ** (1 / power)
    return np.clip(x + np.where(u < 0.5, down, up), 0.0, 1.0)
