"""DEHB: Hyperband's brackets, whose rungs are filled by differential evolution of a subpopulation for each fidelity."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from autohpo.errors import OptionError
from autohpo.history import History, Step
from autohpo.schedulers import hyperband
from autohpo.schedulers.base import Decision, Limits, Promote, Start, TrainingPlan, score_of
from autohpo.schedulers.evolution import N_PARENTS, Individual, Subpopulation, child
from autohpo.schedulers.fitting import training_plan
from autohpo.schedulers.schedule import Schedule
from autohpo.trial import Running, Trial

_TRIES = 16  # for a mutant that is allowed, and was not tried at its fidelity


class DEHB(hyperband.Hyperband):
    """Hyperband's brackets, filled by evolution of the subpopulation at the fidelity of each rung.

    The first bracket is Hyperband's: the sampler draws its configurations. From then on a new configuration works on
    the next place of the subpopulation at its fidelity: the configuration there, the target, is crossed with a mutant
    of three parents. Of a bracket's first rung the parents are others of that subpopulation; of a higher rung they are
    the best of the subpopulation one rung below, as many as the rung has slots. Where there are fewer than three,
    others of all subpopulations join them. The result takes the place if it is at least as good.

    In the first round of brackets the best of a rung go on, as in Hyperband, and take the next places at the higher
    one. In later rounds nobody does: every rung is filled by new configurations.

    Where a mutant is a configuration that waits at a lower rung, its training goes on. In a space that can be counted
    none is tried twice at a fidelity, and where no new one is left the best that wait go on.

    Args:
        schedule: The brackets.
        num_iterations: How many to open at most; None opens another whenever all others wait.
        mutation_factor: The length of a step of the evolution, F.
        crossover_probability: The share of parameters that a mutant gives to a child, CR.
        promoting_brackets: How many of the first brackets let the best of a rung go on; None is one round of them.

    Raises:
        OptionError: A setting is out of its range.

    Source: Awad, Mallik & Hutter 2021, IJCAI, arXiv 2105.09821; the round that promotes is that of the authors' code.

    Example:
        >>> DEHB(Schedule(1, 9, 3, "floor")).sizes
        (9, 3, 3)
    """

    def __init__(
        self,
        schedule: Schedule,
        num_iterations: int | None = None,
        *,
        mutation_factor: float = 0.5,
        crossover_probability: float = 0.5,
        promoting_brackets: int | None = None,
    ) -> None:
        if not 0 < mutation_factor <= 2:
            raise OptionError(f"mutation_factor: must be above 0 and at most 2, got {mutation_factor}")
        if not 0 <= crossover_probability <= 1:
            raise OptionError(f"crossover_probability: must be from 0 to 1, got {crossover_probability}")
        if promoting_brackets is not None and promoting_brackets < 1:
            raise OptionError(f"promoting_brackets: must be at least 1, or None, got {promoting_brackets}")
        self._n_promoting = len(schedule.brackets) if promoting_brackets is None else promoting_brackets
        self._F, self._CR = mutation_factor, crossover_probability
        n = len(schedule.fidelities)
        padded = [(0,) * (n - len(bracket.sizes)) + bracket.sizes for bracket in schedule.brackets]
        self.sizes = tuple(max(column) for column in zip(*padded, strict=True))
        super().__init__(schedule, num_iterations)
        self._clear()

    def _clear(self) -> None:
        """Forgets the subpopulations."""
        self._populations = [Subpopulation(size) for size in self.sizes]
        self._levels = {fidelity: level for level, fidelity in enumerate(self.schedule.fidelities)}
        self._newest: dict[str, Trial | Running] = {}  # by configuration, where these can be counted

    def _promotes(self, index: int) -> bool:
        return index < self._n_promoting

    def next(
        self, seen: History, rng: np.random.Generator, *, can_start: bool = True, n_left: float = math.inf
    ) -> Decision:
        """Return what Hyperband would do; a new configuration is a mutant once there are three results.

        Args:
            seen: The history of the search.
            rng: The generator of the evolution.
            can_start: Whether the sampler has another configuration.
            n_left: How many suggestions the budget leaves, this one included.

        Raises:
            NotReady: Everything left waits for running trials.
            OptimizationComplete: Every bracket is over, or nothing is left to fill one with.
        """
        self._follow(seen)
        if not can_start:
            waiting = self._best_waiting(seen)
            if waiting is not None:
                return waiting
        decision = super().next(seen, rng, can_start=can_start, n_left=n_left)
        if isinstance(decision, Promote):
            population = self._populations[self._levels[decision.fidelity]]
            return replace(decision, info={**decision.info, "place": population.next_place})
        return self._evolved(seen, decision, rng) if isinstance(decision, Start) else decision

    def resumable(self, seen: History) -> frozenset[int]:
        """Return the finished trials that may still be promoted: all that wait where a mutant may be one of them."""
        kept = super().resumable(seen)
        if seen.space.n_configurations is None:
            return kept
        return kept | {item.number for item in self._newest.values() if self._is_paused(item)}

    def why(self, seen: History, trial: int) -> str:
        """Return the rank of a trial: in its rung where the best of it go on, else among those of its fidelity."""
        found = seen.get(trial)
        index = None if found is None else found.info.get("bracket")
        if found is None or (type(index) is int and self._promotes(index)):
            return super().why(seen, trial)
        self._follow(seen)
        level = self._level(found)
        if level is None or score_of(found) is None:
            return ""
        population = self._populations[level]
        rank, where = population.rank(trial), f"in the population at fidelity {self.schedule.fidelities[level]:g}"
        return f"lost its place {where}" if rank is None else f"rank {rank} of {len(population.individuals)} {where}"

    def training_plan(self, limits: Limits) -> TrainingPlan | None:
        """Return what a search with these limits trains where no trial fails, and no mutant is one that waits."""
        return training_plan(self.schedule, self.num_iterations, limits, self._n_promoting)

    # What follows from the history.

    def news(self, seen: History) -> Step:
        """Return what has happened since the last call, after the subpopulations have taken it."""
        step = super().news(seen)
        if step.is_reset:
            self._clear()
        is_countable = seen.space.n_configurations is not None
        for item in step.asked:
            level = self._level(item)
            if level is not None and "place" in item.info:
                self._populations[level].n_asked += 1
            if is_countable:
                self._newest[seen.space.key(item.hp)] = item
        results = [(trial, score_of(trial), self._level(trial)) for trial in step.told]
        found = [(trial, score, level) for trial, score, level in results if score is not None and level is not None]
        if found:
            points, masks = seen.space.encode([t.hp for t, *_ in found]), seen.space.mask([t.hp for t, *_ in found])
            for (trial, score, level), point, mask in zip(found, points, masks, strict=True):
                place = trial.info.get("place", trial.number)
                place = place if type(place) is int else trial.number
                self._populations[level].compete(place, Individual(trial.number, score, point, mask))
        for trial in step.told:
            key = seen.space.key(trial.hp) if is_countable else ""
            if key in self._newest and self._newest[key].number == trial.number:
                self._newest[key] = trial
        return step

    def _level(self, item: Trial | Running) -> int | None:
        """The rung of a trial by its fidelity: known results take part, too."""
        full = self.schedule.fidelities[-1]
        return self._levels.get(full if item.fidelity is None else item.fidelity)

    # New configurations.

    def _evolved(self, seen: History, start: Start, rng: np.random.Generator) -> Start | Promote:
        """A decision with a mutant as the configuration, where there are three parents and it is a new one."""
        fidelity = start.fidelity if start.fidelity is not None else self.schedule.fidelities[-1]
        level = self._levels[fidelity]
        population, place = self._populations[level], self._populations[level].next_place
        info: dict[str, Any] = {**start.info, "place": place}
        target = population.individuals.get(place)
        everyone = [one for each in self._populations for one in each.best(each.size) if one is not target]
        if info["bracket"] == 0 or len(everyone) < N_PARENTS or not seen.space.n_columns:
            return replace(start, info=info)
        pool = self._pool(info["bracket"], info["rung"], level, target, seen)
        for _ in range(_TRIES):
            parents = _drawn(pool, everyone, rng)
            point = child(seen.space, target, parents, rng, F=self._F, CR=self._CR)
            hp = seen.space.decode(point[None])[0]
            numbers = [one.number for one in parents]
            versus = "a random one" if target is None else f"trial {target.number}"
            why = f"a mutant of the trials {numbers[0]}, {numbers[1]} and {numbers[2]}, crossed with {versus}"
            made = self._checked(seen, hp, fidelity, {**info, "why": why})
            if made is not None:
                return made
        return replace(start, info=info)

    def _pool(self, index: int, rung: int, level: int, target: Individual | None, seen: History) -> list[Individual]:
        """The individuals that the parents of a mutant are drawn from first."""
        if rung == 0:
            own = self._populations[level]
            return [one for one in own.best(own.size) if one is not target]
        plan = self._open[index].plan if index in self._open else self.schedule.bracket(index)
        return self._populations[level - 1].best(plan.sizes[rung])

    def _checked(
        self, seen: History, hp: Mapping[str, Any], fidelity: float, info: Mapping[str, Any]
    ) -> Start | Promote | None:
        """The decision that tries a configuration; None where it is not allowed, or is no news at this fidelity."""
        if not seen.space.is_allowed(hp):
            return None
        known = self._newest.get(seen.space.key(hp)) if seen.space.n_configurations is not None else None
        if known is None:
            return Start(fidelity, info, hp)
        had = known.fidelity
        if had is None or had >= fidelity or not self._is_free(known):
            return None
        return Promote(known.number, fidelity, {**info, "sizes": info.get("sizes")})

    def _is_paused(self, item: Trial | Running) -> bool:
        """Whether a trial waits below the full fidelity."""
        level = self._level(item)
        is_below = level is not None and level < len(self.sizes) - 1
        return isinstance(item, Trial) and is_below and score_of(item) is not None

    def _is_free(self, item: Trial | Running) -> bool:
        """Whether a trial waits, and its bracket has not chosen it, and will not."""
        return self._is_paused(item) and all(item.number not in one.resumable() for one in self._open.values())

    def _best_waiting(self, seen: History) -> Promote | None:
        """The best trial that waits just below a rung with a free slot, where no new configuration is left."""
        for index, bracket in self._open.items():
            if bracket.promotes or bracket.level == 0 or bracket.is_over or bracket.rung.n_free <= 0:
                continue
            level = self._levels[bracket.rung.fidelity]
            able = {item.number: item for item in self._newest.values() if self._is_free(item)}
            waiting = [t for t in able.values() if isinstance(t, Trial) and self._level(t) == level - 1]
            if waiting:
                best = max(waiting, key=lambda trial: (score_of(trial) or 0.0, -trial.number))
                place, fidelity = self._populations[level].next_place, bracket.rung.fidelity
                why = f"the best that waits at fidelity {best.fidelity:g}, as nothing new is left"
                sizes = None if bracket.plan == self.schedule.bracket(index) else list(bracket.plan.sizes)
                info = {"bracket": index, "rung": bracket.level, "place": place, "sizes": sizes, "why": why}
                return Promote(best.number, fidelity, info)
        return None


def _drawn(pool: list[Individual], everyone: list[Individual], rng: np.random.Generator) -> list[Individual]:
    """Three different parents of a pool; where it is too small, others join."""
    numbers = {one.number for one in pool}
    others = [one for one in everyone if one.number not in numbers]
    missing = max(0, N_PARENTS - len(pool))
    if missing:
        pool = pool + [others[int(i)] for i in rng.choice(len(others), size=missing, replace=False)]
    return [pool[int(i)] for i in rng.choice(len(pool), size=N_PARENTS, replace=False)]
