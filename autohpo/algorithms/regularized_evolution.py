"""Regularised evolution: mutates good trials of a population from which the oldest drops out, however good."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.trial import Trial

FloatArray = NDArray[np.float64]

_BATCHES = (4, 28)
_MOST_CHANGES = 3
"""Parameters that a mutant differs in at most: of more, a new draw from the prior is as good."""


@register_hpo("regularized_evolution")
@dataclass(eq=False, kw_only=True)
class RegularizedEvolution(BaseHPOptimizer):
    """Changes one parameter of the best of a few trials, drawn from those that ended last.

    Made for architectures: choices, whole numbers and conditions between them. That the oldest die, and not the worst,
    keeps a lucky result from being copied for ever. Running trials are no parents yet, but no child repeats one: no
    configuration is suggested twice in a finite space; where all mutants are known, more parameters change.

    It departs from the source in numbers with an order, whose mutation is a normal step and not a new draw; and in its
    smaller population, as searches here are shorter.

    Args:
        population_size: Trials that may be parents, those that ended last; as many are drawn from the prior first.
        sample_size: Of these, drawn for each child; the best is its parent. At most `population_size`.
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
        self._seen = SeenSet(self.history)
        self._population: deque[Trial] = deque(maxlen=self.population_size)
        self._n_told = 0
        self._columns: dict[str, NDArray[np.intp]] = {}
        start = 0
        for hp in self.space:
            self._columns[hp.name] = np.arange(start, start + hp.width)
            start += hp.width

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        told = self.trials[self._n_told :]
        self._n_told += len(told)
        self._population.extend(trial for trial in told if trial.score is not None)
        if self.number < self.population_size or not self._population or not self.space.n_columns:
            return self._seen.draw(self.rng)
        parent = self._parent()
        for n_changes in range(1, _MOST_CHANGES + 1):
            for n in _BATCHES:
                hps = self.space.decode(self._mutants(parent.hp, n, n_changes))
                i = self._seen.first(hps)
                if i is not None:
                    return hps[i]
        return self._seen.draw(self.rng)

    def _parent(self) -> Trial:
        """The best of a few of the population; of equals the younger."""
        n = len(self._population)
        places = self.rng.choice(n, size=min(self.sample_size, n), replace=False)
        return max((self._population[i] for i in sorted(places.tolist(), reverse=True)), key=_perf)

    def _mutants(self, hp: Mapping[str, Any], n: int, n_changes: int) -> FloatArray:
        """``(n, d)`` points that differ from a configuration in some parameters that are in force.

        What is not in force is drawn from the prior, for the case that the change brings it into force.
        """
        mask = self.space.mask([hp])[0]
        points = np.where(mask, self.space.encode([hp]), self.rng.random((n, len(mask))))
        groups = [found for columns in self._columns.values() if len(found := columns[mask[columns]])]
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


def _perf(trial: Trial) -> float:
    """The perf of a trial that has one."""
    return -np.inf if trial.score is None else trial.score
