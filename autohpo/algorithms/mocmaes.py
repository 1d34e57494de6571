"""MO-CMA-ES: every point of the front learns its own normal distribution for its offspring."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.mocma import Population
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.surrogates.blas import LinearAlgebra
from autohpo.trial import Suggestion

_TRIES = 16
"""Offspring that are drawn in search of a new one, before a configuration is drawn from the prior."""
_MOST_SURVIVORS = 40
"""Survivors at most, unless the user says otherwise: their volumes take time."""


@register_hpo("mocmaes")
@dataclass(eq=False, kw_only=True)
class MOCMAES(BaseHPOptimizer):
    """Draws offspring from the normal distributions of the survivors; who survives is decided by volume covered.

    Each survivor has a step size and a covariance of its own: the step grows where offspring survive and shrinks where
    they do not, and the covariance follows the steps that led to survivors. The parent of a suggestion is one of those
    that no other survivor dominates, and a result joins as soon as it comes. Constraints on the outcome come first: a
    trial that meets them beats one that does not.

    The distributions live in the unit cube: beyond its faces they are reflected. An integer also changes by single
    steps, so that it cannot get stuck when steps are short, and a value in no order is drawn anew; each with chance
    1 / d for d columns. No configuration is suggested twice in a finite space.

    It departs from the sources in the success rate at which steps keep their size: .3, not 1 / 5.5. Survival is
    more frequent than beating a parent, and in a search of some hundred trials steps must shrink soon.

    Args:
        population_size: How many survive, at least 2; as many trials are drawn from the prior first. None is 5 for one
            objective, and twice as many for each further one, up to 40: fronts grow.
        sigma: First standard deviation, as a share of each range, above 0.

    Source: Igel, Suttorp & Hansen 2007, EMO, 171-185 (one at a time, parents from the front); Igel, Hansen & Roth 2007,
        Evolutionary Computation 15(1), 1-28 (updates, survival by volume); Voss, Hansen & Igel 2010, GECCO, 487-494
        (success is survival).

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = MOCMAES([RangeHP("x", 0.0, 1.0)], seed=0, mode={"near_0": "min", "near_1": "min"})
        >>> for _ in range(20):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, {"near_0": suggestion["x"], "near_1": 1 - suggestion["x"]})
        >>> hpo.n_told
        20
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints", "objectives", "outcome_constraints"})
    linear_algebra: ClassVar[LinearAlgebra] = "numpy"

    population_size: int | None = None
    sigma: float = 0.1

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population_size is not None and self.population_size < 2:
            raise OptionError(f"population_size: must be at least 2, got {self.population_size}")
        if not 0 < self.sigma < math.inf:
            raise OptionError(f"sigma: must be above 0 and finite, got {self.sigma}")

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._seen = SeenSet(self.history)
        self._size = self.population_size or min(5 * 2 ** (self.objectives.n - 1), _MOST_SURVIVORS)
        self._population = Population(self.history, self._size, self.sigma)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        population = self._population
        population.update()
        if len(population) >= self._size and self.space.n_columns:
            for _ in range(_TRIES):
                parent, sigma, point = population.offspring(self.rng)
                hp = self.space.decode(point[None])[0]
                if self._seen.is_new(hp):
                    return Suggestion(hp, info={"parent": parent, "sigma": sigma})
        return self._seen.draw(self.rng)
