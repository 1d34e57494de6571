"""Regularised evolution: mutates good trials of a population from which the oldest dies, however good."""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import FloatArray
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.history import Cursor
from autohpo.trial import Trial

_BATCHES = (4, 28)
_MOST_CHANGES = 3
"""Parameters that a mutant differs in at most: of more, a new draw from the prior is as good."""


@register_hpo("regularized_evolution")
@dataclass(eq=False, kw_only=True)
class RegularizedEvolution(BaseHPOptimizer):
    """Changes one parameter of the best of a few trials, drawn from those that ended last.

    Made for architectures: choices, integers and conditions between them. That the oldest die, and not the worst,
    keeps a lucky result from being copied for ever. Running trials are no parents yet, but no child repeats one: no
    configuration is suggested twice in a finite space; where all mutants were seen, more parameters change.

    It departs from the source in numbers with an order, whose mutation is a normal step and not a new draw; and in its
    smaller population, as searches here are shorter.

    Args:
        population_size: Trials that may be parents, those that ended last; as many are drawn from the prior first.
        sample_size: Trials drawn from the population for each child, whose parent is the best of them; at most
            `population_size`.
        step: Standard deviation of the mutation of a number, as a share of its range, above 0.

    Source: Real, Aggarwal, Huang, Le 2019, AAAI 33, 4780-4789, Algorithm 1.

    Example:
        >>> from autohpo import ChoiceHP
        >>> space = [ChoiceHP(f"op{i}", ["conv", "pool", "skip", "none"]) for i in range(6)]
        >>> hpo = RegularizedEvolution(space, seed=0)
        >>> for _ in range(150):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, sum(op == "conv" for op in suggestion.values()))
        >>> hpo.best()[1]
        6.0
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

    population_size: int = 20
    sample_size: int = 8
    step: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population_size < 2:
            raise OptionError(f"population_size: must be at least 2, got {self.population_size}")
        if not 1 <= self.sample_size <= self.population_size:
            raise OptionError(f"sample_size: must be from 1 to population_size, got {self.sample_size}")
        if not 0 < self.step < 1:
            raise OptionError(f"step: must be above 0 and below 1, got {self.step}")

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._seen, self._cursor = SeenSet(self.history), Cursor(self.history)
        self._population: deque[Trial] = deque(maxlen=min(self.population_size, sys.maxsize))
        ends = np.cumsum([0, *(hp.width for hp in self.space)])
        self._columns = [np.arange(start, end) for start, end in pairwise(ends)]  # of each parameter

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        for trial in self._cursor.told():
            if trial.score is not None:
                self._population.append(trial)  # to the right; where it is full, the oldest dies at the left
        if self.number < self.population_size or not self._population or not self.space.n_columns:
            return self._seen.draw(self.rng)  # a random architecture
        parent = self._best(self._sample())
        return self._mutate(parent)

    def _sample(self) -> list[Trial]:
        """Random trials of the population, the younger first."""
        n = len(self._population)
        places = self.rng.choice(n, size=min(self.sample_size, n), replace=False)
        return [self._population[place] for place in sorted(places.tolist(), reverse=True)]

    def _best(self, sample: list[Trial]) -> Trial:
        """The trial of the highest accuracy, which is our score; of equals the first."""
        return max(sample, key=lambda trial: -np.inf if trial.score is None else trial.score)

    def _mutate(self, parent: Trial) -> Mapping[str, Any]:
        """A new configuration that differs from its parent in as few parameters as possible."""
        for n_changes in range(1, _MOST_CHANGES + 1):
            for n in _BATCHES:
                hps = self.space.decode(self._mutants(parent.hp, n, n_changes))
                place = self._seen.first(hps)
                if place is not None:
                    return hps[place]
        return self._seen.draw(self.rng)

    def _mutants(self, hp: Mapping[str, Any], n: int, n_changes: int) -> FloatArray:
        """``(n, d)`` points that differ from a configuration in some active parameters.

        What is inactive is drawn from the prior, for the case that the change makes it active.
        """
        mask = self.space.mask([hp])[0]
        points = np.where(mask, self.space.encode([hp]), self.rng.random((n, len(mask))))
        groups = [active for columns in self._columns if len(active := columns[mask[columns]])]
        for point in points:
            for group in self.rng.choice(len(groups), size=min(n_changes, len(groups)), replace=False):
                column = int(self.rng.choice(groups[group]))
                point[column] = self._mutated(column, point[column])
        return points

    def _mutated(self, column: int, unit: float) -> float:
        """Another value in a column: any other one where there is no order, else one nearby."""
        edges, levels = self.space.edges[column], int(self.space.levels[column])
        if levels:
            ends = np.arange(levels + 1) / levels if edges is None else edges
            k = int(np.searchsorted(ends[1:-1], unit, side="right"))
            other = (k + int(self.rng.integers(1, levels))) % levels
            return float(ends[other] + ends[other + 1]) / 2
        moved = abs(unit + self.step * float(self.rng.standard_normal()))
        return min(max(2.0 - moved if moved > 1 else moved, 0.0), 1.0)  # turned back at the ends
