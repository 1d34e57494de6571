"""Population based training: a population is trained together, and its worst go on from copies of its best."""

from __future__ import annotations

import math
from bisect import bisect_left, insort
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from autohpo.errors import NotReady, OptimizationComplete, OptionError
from autohpo.history import History
from autohpo.schedulers.base import Decision, Fork, Limits, Promote, Scheduler, Start, TrainingPlan, score_of
from autohpo.schedulers.schedule import SLACK, Plan
from autohpo.spaces import SearchSpace
from autohpo.trial import Running, Trial, whole

_MOST_STEPS = 10_000

ExploreRule = Callable[[SearchSpace, Mapping[str, Any], np.random.Generator], dict[str, Any]]
"""Returns a configuration near another one."""


def steps_of(interval: float, max_fidelity: float) -> tuple[float, ...]:
    """Return the fidelities at which a population is compared: every interval, and the full one at the end.

    Args:
        interval: The fidelity between two comparisons.
        max_fidelity: The full one.

    Raises:
        OptionError: There would be too many.
    """
    if max_fidelity / interval > _MOST_STEPS:
        raise OptionError(f"interval: must make at most {_MOST_STEPS} steps up to {max_fidelity:g}, got {interval:g}")
    n = math.ceil(max_fidelity / interval - SLACK)
    return (*(whole(interval * k) for k in range(1, n)), whole(max_fidelity))


class PopulationBased(Scheduler):
    """Trains a population step by step; at each step the worst are replaced by copies of the best.

    Those who are furthest behind go on first. Whoever is among the worst of the results at its step ends, and a copy of
    one of the best there takes its place, with a configuration near that one's. Only a paused trial can be copied: the
    checkpoint of a running one is in flux, so that a loser waits while all of the best run. Where the best are trained
    in full already, the loser goes on by itself. One that failed is replaced, too, as long as anybody can be copied.
    Where the limits of the search would train none of the population in full, it is smaller.

    Args:
        size: How many are trained.
        steps: The fidelities at which they are compared, rising.
        quantile: The share of the results at a step that are the best, and that are the worst; at most a half.
        explore: Returns the configuration of a copy.

    Source: Jaderberg et al. 2017, arXiv 1711.09846, Algorithm 1, with truncation selection.

    Example:
        >>> from autohpo.schedulers.explore import Explore
        >>> PopulationBased(4, steps_of(2.0, 9.0), 0.25, Explore()).schedule
        (2, 4, 6, 8, 9)
    """

    def __init__(self, size: int, steps: Sequence[float], quantile: float, explore: ExploreRule) -> None:
        self.cost = float(size)
        self.schedule: Sequence[float] = tuple(steps)
        self._size, self._quantile, self._explore = size, quantile, explore
        self._restart()

    def _restart(self) -> None:
        self._newest: dict[int, Trial | Running] = {}  # of each member of the population
        self._members: dict[int, int] = {}  # which member a trial is of
        self._results: list[list[tuple[float, int]]] = [[] for _ in self.schedule]  # -score and number, the best first

    def next(
        self, seen: History, rng: np.random.Generator, *, can_start: bool = True, n_left: float = math.inf
    ) -> Decision:
        """Return a first member as long as the population is not full; else what the one furthest behind does next.

        Args:
            seen: The history of the search.
            rng: The generator that the copied trial and its configuration are drawn from.
            can_start: Whether a new configuration can be had; without, the population stays as it is.
            n_left: Not used.

        Raises:
            NotReady: All wait for running trials.
            OptimizationComplete: All are trained in full, or have failed.
        """
        self._follow(seen)
        if can_start and len(self._newest) < self._affordable(self.limits):
            return Start(self.schedule[0], {"member": len(self._newest), "rung": 0})
        is_waiting = False
        for trial in self._paused():
            best = self._best(trial) if self._is_loser(trial) else []
            parents = [one for one in best if isinstance(one, Trial) and not self._is_loser(one)]
            if parents:
                return self._fork(seen.space, trial, parents[rng.integers(len(parents))], rng)
            if any(isinstance(one, Running) for one in best):
                is_waiting = True
            elif score_of(trial) is not None:
                return self._promote(trial)
        if is_waiting:
            raise NotReady("the worst of the population wait for one of the best to pause, and to be copied")
        if any(isinstance(one, Running) for one in self._newest.values()):
            raise NotReady("all of the population are being trained")
        raise OptimizationComplete(f"the {len(self._newest)} trainings of the population are over")

    def training_plan(self, limits: Limits) -> TrainingPlan:
        """Return what a search with these limits trains where no trial fails."""
        size, full = self._affordable(limits), self.schedule[-1]
        n_trials, n_full, cost = 0, 0, 0.0
        for step, price in zip(self.schedule, self._costs(limits), strict=True):  # furthest behind first: in lockstep
            n = int(min(size, limits.n - n_trials, (limits.cost - cost) / price + SLACK))
            n_trials, cost, n_full = n_trials + n, cost + n * price, n_full + n * (step == full)
            if n < size:
                break
        return TrainingPlan(n_trials, n_full, cost * full, full)

    def _costs(self, limits: Limits) -> tuple[float, ...]:
        """What each step of a member costs, in full evaluations."""
        return Plan((1,) * len(self.schedule), tuple(self.schedule)).costs(limits.is_continued)

    def _affordable(self, limits: Limits) -> int:
        """How many members there are: fewer than wanted where none of these would be trained in full; one at least."""
        if not limits.is_any:
            return self._size
        *before, last = self._costs(limits)
        n_first, cost_first = self._size * len(before) + 1, self._size * sum(before) + last  # when the first one is
        if limits.n >= n_first and limits.cost + SLACK >= cost_first:
            return self._size
        most = min(limits.n / len(self.schedule), limits.cost / (sum(before) + last))
        return max(1, min(self._size, int(most + SLACK)))

    def resumable(self, seen: History) -> frozenset[int]:
        """Return the newest trial of each member that may be trained on."""
        self._follow(seen)
        return frozenset(trial.number for trial in self._paused() if score_of(trial) is not None)

    def why(self, seen: History, trial: int) -> str:
        """Return the rank of a trial at its step."""
        self._follow(seen)
        found = seen.get(trial)
        return "" if found is None or self._level(found) is None or score_of(found) is None else self._rank(found)

    def _follow(self, seen: History) -> None:
        """Catches up with the history."""
        step = self.news(seen)
        if step.is_reset:
            self._restart()
        for item in step.asked:
            if self._level(item) is not None:
                member = self._members[item.number] = item.info["member"]
                self._newest[member] = item
        for trial in step.told:
            level = self._level(trial)
            if level is not None:
                member = trial.info["member"]
                if self._newest[member].number == trial.number:
                    self._newest[member] = trial
                score = score_of(trial)
                if score is not None:
                    insort(self._results[level], (-score, trial.number))

    def _level(self, item: Trial | Running) -> int | None:
        """The place of a trial's step; None for a trial of another schedule."""
        level, member = item.info.get("rung"), item.info.get("member")
        if type(level) is not int or type(member) is not int or not 0 <= level < len(self.schedule):
            return None
        return level if item.fidelity == self.schedule[level] else None

    def _has_room(self, item: Trial | Running) -> bool:
        return item.fidelity != self.schedule[-1]

    def _paused(self) -> list[Trial]:
        """The newest trials that could be trained on or replaced, those furthest behind first, of equals the losers.

        That order keeps the parents of losers paused, and no copy is ever behind the one that it replaces.
        """
        able = [one for one in self._newest.values() if isinstance(one, Trial) and self._has_room(one)]
        return sorted(able, key=lambda trial: (trial.info["rung"], not self._is_loser(trial), trial.number))

    def _n_best(self, n: int) -> int:
        """How many of n results are the best, and how many the worst: the nearest number, and at most a half."""
        return math.ceil(self._quantile * n - 0.5 - SLACK)

    def _place(self, trial: Trial) -> tuple[int, int, int]:
        """The place of a result at its step, from 0, how many results there are, and how many of them are the best."""
        results = self._results[trial.info["rung"]]
        place = bisect_left(results, (-(trial.score or 0.0), trial.number))
        return place, len(results), self._n_best(len(results))

    def _is_loser(self, trial: Trial) -> bool:
        """Whether a trial did not come to its step, or is among the worst there."""
        if score_of(trial) is None:
            return True
        place, n, n_best = self._place(trial)
        return place >= n - n_best

    def _best(self, loser: Trial) -> list[Trial | Running]:
        """What those do now whose results at the step of a loser are the best, unless they are trained in full.

        A failed trial takes no place there, so it is the best one at least.
        """
        results = self._results[loser.info["rung"]]
        n_best = max(score_of(loser) is None, self._n_best(len(results)))
        newest = [self._newest[self._members[number]] for _, number in results[:n_best]]
        return [one for one in newest if self._has_room(one)]

    def _rank(self, trial: Trial) -> str:
        place, n, _ = self._place(trial)
        return f"rank {1 + place} of {n} at fidelity {trial.fidelity:g}"

    def _promote(self, trial: Trial) -> Promote:
        level = trial.info["rung"] + 1
        above = self.schedule[level]
        return Promote(trial.number, above, {"rung": level, "why": f"{self._rank(trial)}: trained on to {above:g}"})

    def _fork(self, space: SearchSpace, loser: Trial, parent: Trial, rng: np.random.Generator) -> Fork:
        """Lets a copy of a parent take the place of a loser."""
        level = parent.info["rung"] + 1
        reason = f"ended as {loser.state}" if score_of(loser) is None else f"was {self._rank(loser)}"
        info = {
            "member": loser.info["member"],
            "rung": level,
            "replaces": loser.number,
            "why": f"trial {loser.number} {reason}",
        }
        return Fork(parent.number, self._explore(space, parent.hp, rng), self.schedule[level], info)
