"""Differential evolution: moves each point of a population by differences between others, and keeps what is better."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from autohpo.algorithms.base import BaseHPOptimizer
from autohpo.algorithms.parts.arrays import BoolArray, FloatArray
from autohpo.algorithms.parts.seen import SeenSet
from autohpo.algorithms.registry import register_hpo
from autohpo.errors import OptionError
from autohpo.history import Cursor, HistoryView
from autohpo.trial import Suggestion, Trial

LEAST_SIZE = 4
"""The least size of a population: the point that moves, the best, and two for a difference."""
MEMORY_SIZE = 5
"""Pairs of settings that worked; SHADE has 100, for searches a thousand times as long."""

_TRIES = 16
_NEW_CATEGORY = 0.1
"""Chance that an unordered value is drawn anew: differences cannot bring back what the population has lost."""


@register_hpo("differential_evolution")
@dataclass(eq=False, kw_only=True)
class DifferentialEvolution(BaseHPOptimizer):
    """Moves a point towards one of the best and along the difference of two others; it stays where that is no better.

    Each suggestion works on the next of `population_size` places, so none waits for another: a result replaces what
    holds its place whenever it comes and is at least as good. Step length and share of changed parameters are drawn
    around what has worked before. A value in no order is taken from the best or from one of the others. No
    configuration is suggested twice in a finite space.

    It departs from SHADE in three ways: successes count alike, so that the scale of the results does not matter;
    there is no archive; and the population is small, for searches of some hundred trials.

    Args:
        population_size: Places, at least 4; as many trials are drawn from the prior first. More for long searches.
        best_share: Share of the places that one of the best is drawn from, above 0 and at most 1.

    Source: Tanabe & Fukunaga 2013, CEC, 71-78 (SHADE: current-to-pbest/1/bin with a memory of settings, Algorithm 1);
        Storn & Price 1997, J. Global Optimization 11.

    Example:
        >>> from autohpo import RangeHP
        >>> hpo = DifferentialEvolution([RangeHP("x", 0.0, 1.0)], seed=0, mode="min")
        >>> for _ in range(60):
        ...     suggestion = hpo.ask()
        ...     hpo.tell(suggestion, (suggestion["x"] - 0.3) ** 2)
        >>> abs(hpo.best()[0]["x"] - 0.3) < 0.05
        True
    """

    ends_with_space: ClassVar[bool] = True
    supports: ClassVar[frozenset[str]] = frozenset({"constraints"})

    population_size: int = 10
    best_share: float = 0.2

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.population_size < LEAST_SIZE:
            raise OptionError(f"population_size: must be at least {LEAST_SIZE}, got {self.population_size}")
        if not 0 < self.best_share <= 1:
            raise OptionError(f"best_share: must be above 0 and at most 1, got {self.best_share}")

    def _set_up(self, num_workers: int, time_limit: float | None, memory_limit: int | None) -> None:
        self._seen = SeenSet(self.history)
        self._population = Population(self.history, self.population_size)

    def _get_suggestion(self, pid: int) -> Mapping[str, Any]:
        self._seen.update()
        population, place = self._population, self.number % self.population_size
        population.update()
        target = population.individuals.get(place)
        if target is not None and len(population.individuals) >= LEAST_SIZE and self.space.n_columns:
            for _ in range(_TRIES):
                F, CR = population.settings(self.rng)
                child = self._child(target, F, CR)
                hp = self.space.decode(child[None])[0]
                if self._seen.is_new(hp):
                    return Suggestion(hp, info={"place": place, "F": F, "CR": CR})
        return Suggestion(self._seen.draw(self.rng), info={"place": place})

    def _child(self, target: Individual, F: float, CR: float) -> FloatArray:
        """``(d,)`` a point that has parameters of the target, and others moved away from it.

        Source: Tanabe & Fukunaga 2013, section II (current-to-pbest/1, binomial crossover), by its letters.
        """
        rng, space = self.rng, self.space
        order = self._population.best_first
        p_best = order[int(rng.integers(max(round(self.best_share * len(order)), 1)))]
        i, k = rng.choice(len(order) - 1, size=2, replace=False)
        others = [individual for individual in order if individual is not target]
        four = (target, p_best, others[i], others[k])
        # What is inactive in one of them is drawn from the prior: in the child it may be active.
        x, x_pbest, x_r1, x_r2 = (np.where(item.mask, item.point, rng.random(space.n_columns)) for item in four)
        v = x + F * (x_pbest - x) + F * (x_r1 - x_r2)  # mutation, current-to-pbest/1
        v = np.where(v < 0, x / 2, np.where(v > 1, (1 + x) / 2, v))  # halfway to the end it passed
        taken = np.where(rng.random(len(x)) < 2 / 3, x_pbest, x_r1)
        taken = np.where(rng.random(len(x)) < _NEW_CATEGORY, rng.random(len(x)), taken)
        is_crossed = rng.random(len(x)) < CR  # binomial crossover
        is_crossed[int(rng.integers(len(x)))] = True  # j_rand
        return np.where(is_crossed, np.where(space.levels > 0, taken, v), x)


@dataclass(frozen=True)
class Individual:
    """The trial that holds a place of the population.

    Attributes:
        number: The number of the trial.
        score: The result, higher is better.
        point: ``(d,)`` the configuration in the unit cube.
        mask: ``(d,)`` which columns of the point are active.
    """

    number: int
    score: float
    point: FloatArray
    mask: BoolArray


class Population:
    """The best trial of each place, and the settings that made good ones; a function of the results in their order.

    Args:
        history: The trials.
        size: The number of places.

    Attributes:
        individuals: The best trial of each place that has one, by the number of the place.
    """

    def __init__(self, history: HistoryView, size: int) -> None:
        self.individuals: dict[int, Individual] = {}
        self._space, self._size, self._cursor = history.space, size, Cursor(history)
        self._n_children = 0
        self._memory = [(0.5, 0.5)] * MEMORY_SIZE  # M_F and M_CR, means of F and CR
        self._next = 0  # of the memory, to be overwritten
        self._good: list[tuple[float, float]] = []  # F and CR of children that were better, since then

    @property
    def best_first(self) -> list[Individual]:
        """The individuals in falling order; of equals the older first."""
        return sorted(self.individuals.values(), key=lambda individual: (-individual.score, individual.number))

    def update(self) -> None:
        """Learn from the results told since the last call."""
        for trial in self._cursor.told():
            # Trials of others, such as results known before the search, take part too: each has a place of its own.
            place = trial.info.get("place", trial.number) % self._size
            if trial.score is not None:
                self._compete(place, trial, trial.score)
            if "F" in trial.info:
                self._n_children += 1
                if self._n_children % self._size == 0:  # a generation
                    self._remember()

    def _compete(self, place: int, trial: Trial, score: float) -> None:
        """Give a trial its place if it is at least as good as the one that holds it."""
        old = self.individuals.get(place)
        if old is not None and score < old.score:
            return
        if old is not None and score > old.score and "F" in trial.info:
            self._good.append((trial.info["F"], trial.info["CR"]))
        point, mask = self._space.encode([trial.hp])[0], self._space.mask([trial.hp])[0]
        self.individuals[place] = Individual(trial.number, score, point, mask)

    def _remember(self) -> None:
        """Overwrite the oldest of the memory with the means of what worked: of F the Lehmer mean, which is larger.

        Source: Tanabe & Fukunaga 2013, section III, with equal weights.
        """
        if self._good:
            F, CR = np.array(self._good).T
            self._memory[self._next] = float((F**2).sum() / F.sum()), float(CR.mean())  # mean_L(S_F), mean(S_CR)
            self._next = (self._next + 1) % MEMORY_SIZE
            self._good = []

    def settings(self, rng: np.random.Generator) -> tuple[float, float]:
        """Return F, the length of the step, in (0, 1], and CR, the share of changed parameters, in [0, 1].

        They are drawn around a pair that worked: Tanabe & Fukunaga 2013, section III.
        """
        M_F, M_CR = self._memory[int(rng.integers(MEMORY_SIZE))]
        CR = min(max(M_CR + 0.1 * float(rng.standard_normal()), 0.0), 1.0)  # randn(M_CR, .1)
        F = 0.0
        while F <= 0:  # M_F is positive, so more than half of all draws are
            F = M_F + 0.1 * float(rng.standard_cauchy())  # randc(M_F, .1)
        return min(F, 1.0), CR
